"""Raft, sans-IO: the algorithm alone, with no clock, disk or socket."""
