"""A member: the Ready loop, who waits for what, and the Member door."""
