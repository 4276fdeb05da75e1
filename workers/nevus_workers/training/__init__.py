"""Making weights from labelled images: `notebook-cnn`, `derm-joint`. Nothing here is loaded by a serving worker."""
