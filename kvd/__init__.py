"""kvd: an event-driven network daemon on Twisted that serves etcd's v2 API."""

__version__ = "0.1.0"
