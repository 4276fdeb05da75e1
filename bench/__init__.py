"""Measurements that a person runs: `make bench` compares the served system with the in-process ceiling."""
