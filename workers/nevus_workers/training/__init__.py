"""Making weights for `notebook-cnn` from labelled images. Nothing here is loaded by a serving worker."""
