"""Simulated clock, disk and network, and whole members on them."""
