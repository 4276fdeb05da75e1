"""Proof by force: real processes killed, stopped and flooded. `PYTHONPATH=tests python -m chaos --help`."""
