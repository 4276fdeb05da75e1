"""The classifiers: their cards and files on disk, the loaded engine, and the batcher that feeds it."""
