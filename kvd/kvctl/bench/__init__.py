"""A load on a cluster, and what it answers under it."""
