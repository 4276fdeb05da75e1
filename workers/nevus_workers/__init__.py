"""The Celery worker: holds loaded models; fetches, decodes, segments, batches, classifies, writes the result once."""
