"""Nodes of trees, as they come out of a server's answers."""

from __future__ import annotations

from kvd.kvctl.node import Node

TIME = "2030-01-01T00:00:00Z"


def leaf(key, value="v", *, ttl=None):
    return Node(key, False, value, None, 1, 1, "" if ttl is None else TIME, ttl or 0)


def folder(key, *nodes, ttl=None):
    return Node(key, True, "", nodes, 1, 1, "" if ttl is None else TIME, ttl or 0)


def root(*nodes):
    return folder("", *nodes)
