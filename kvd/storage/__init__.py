"""The append-only log, snapshots and recovery; the only room that touches a disk."""
