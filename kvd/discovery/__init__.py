"""How founders find each other: a discovery service's keys, or DNS SRV records."""
