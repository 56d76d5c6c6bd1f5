"""A forwarder that stands before a cluster: it keeps no data but where the members are."""
