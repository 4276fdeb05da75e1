"""Pixels: decoding an upload, finding its regions, drawing what was found. Pure functions of arrays; OpenCV inside."""
