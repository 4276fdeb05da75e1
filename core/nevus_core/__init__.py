"""The ground that the front end and the workers share: records, state table, store, settings, errors.

No gRPC, no Celery application, no numpy and no TensorFlow in here: whatever stands on this floor may import it.
"""
