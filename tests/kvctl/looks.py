"""Looks at members that are not there."""

from __future__ import annotations

import json
from typing import NamedTuple

from kvd.kvctl.observing import CannotAsk, Member, Observation


def member(name, *, port=1, host="10.0.0.1", **more):
    given = {
        "member_id": f"a{name}",
        "name": name,
        "peer_urls": (f"http://{host}:{port + 1}",),
        "client_urls": (f"http://{host}:{port}",),
    }
    return Member(**(given | more))


def seen(name="m1", *, metrics=None, at=0.0, **more):
    """An answering member that is well; metrics as ``{"name{label=value}": number}``."""
    given = {
        "endpoint": f"http://{name}",
        "healthy": True,
        "state": "follower",
        "leader": "am1",
        "term": 3,
        "commit": 100,
        "applied": 100,
        "version": "3.4.23",
        "cluster_id": "c",
    }
    who = more.pop("member", None) or member(name)
    named = {_name(text): value for text, value in (metrics or {}).items()}
    return Observation(member=who, at_seconds=at, metrics=named, **(given | more))


def missing(name="m3", trouble="connection refused", **more):
    who = more.pop("member", None) or member(name)
    return Observation(member=who, at_seconds=0.0, trouble=trouble)


def _name(text):
    name, _, labels = text.partition("{")
    pairs = [pair.split("=") for pair in labels.rstrip("}").split(",") if pair]
    return name, tuple(sorted((label, value) for label, value in pairs))


class Said(NamedTuple):
    status: int
    headers: dict
    body: bytes


def said(document, status=200, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Said(status, headers, body)


class Endpoints:
    """Answers by endpoint and target."""

    def __init__(self, answers):
        self.answers = answers

    def look(self, endpoint, target):
        answer = self.answers.get((endpoint, target))
        if answer is None:
            raise CannotAsk(f"{endpoint}{target}: connection refused")
        return answer
