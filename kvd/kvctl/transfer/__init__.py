"""Whole trees in a file: written, read back, and put into a cluster."""
