"""``twistd kvd-when-leader``: any Twisted service, on the elected one of many processes."""
