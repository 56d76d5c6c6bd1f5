"""Raft traffic between members, over AMP."""
