"""Members, clients and the time between them, all in memory: for users' own tests."""
