"""What log entries mean: the envelope, the registry of state machines, snapshots."""
