"""From a file, the environment and flags to one checked ``Config``."""
