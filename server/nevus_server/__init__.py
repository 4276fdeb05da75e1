"""The gRPC front end: checks, stores, enqueues, streams. No numpy, no OpenCV, no TensorFlow in this process."""
