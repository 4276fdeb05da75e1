"""`nevus evaluate`: labelled images through the pipeline that serves, and what comes out as figures and a page."""
