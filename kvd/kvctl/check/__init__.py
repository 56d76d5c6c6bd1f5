"""What may be wrong with a cluster and around it, and what to do about it."""
