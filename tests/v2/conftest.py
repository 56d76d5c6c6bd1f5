"""A store to talk to in a line, and logs that can be applied again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from kvd.state import at_once
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.events import Event
from kvd.v2.machine import V2

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class Subject:
    """A V2 machine whose operations are methods; ``log`` is what was applied."""

    def __init__(self, make: Callable[[], V2] = V2) -> None:
        self.make = make
        self.v2 = make()
        self.now = NOW
        self.log: list[tuple[int, bytes]] = []

    def do(self, op: Op, path: str = "", **fields: object) -> object:
        body = encode_command(Command(op, path, **fields))
        return self.apply(body)

    def apply(self, body: bytes) -> object:
        self.log.append((self.now, body))
        value = self.v2.apply(index=len(self.log), time_ns=self.now, body=body)
        self.v2.publish()
        return value

    def set(self, path: str, value: str = "", **fields: object) -> object:
        return self.do(Op.SET, path, value=value, **fields)

    def create(self, path: str, value: str = "", **fields: object) -> object:
        return self.do(Op.CREATE, path, value=value, **fields)

    def post(self, path: str, value: str = "", **fields: object) -> object:
        return self.do(Op.CREATE_IN_ORDER, path, value=value, **fields)

    def update(self, path: str, value: str = "", **fields: object) -> object:
        return self.do(Op.UPDATE, path, value=value, **fields)

    def cas(self, path: str, value: str = "", **fields: object) -> object:
        return self.do(Op.COMPARE_AND_SWAP, path, value=value, **fields)

    def delete(self, path: str, **fields: object) -> object:
        return self.do(Op.DELETE, path, **fields)

    def cad(self, path: str, **fields: object) -> object:
        return self.do(Op.COMPARE_AND_DELETE, path, **fields)

    def sync(self, at: int | None = None, limit: int = 0) -> object:
        return self.do(
            Op.SYNC, expiration_ns=self.now if at is None else at, limit=limit
        )

    def get(self, path: str, *, recursive: bool = False, ordered: bool = True) -> Event:
        return self.v2.get(path, recursive=recursive, sorted=ordered)

    def keys(self, path: str = "/") -> list[str]:
        """Visible keys below a path, depth first."""
        found = []
        waiting = [self.get(path, recursive=True).node]
        while waiting:
            node = waiting.pop()
            found.append(node.key)
            waiting += reversed(node.nodes or ())
        return found[1:]

    def watch(
        self,
        path: str,
        *,
        recursive: bool = False,
        stream: bool = False,
        since: int = 0,
    ) -> Seen:
        seen = Seen()
        seen.watched = self.v2.watch(
            path, recursive=recursive, stream=stream, since=since, callback=seen.append
        )
        if seen.watched.event is not None:
            seen.append(seen.watched.event)
        return seen

    def restarted(self) -> Subject:
        """Another one, restored from this one's snapshot."""
        other = Subject(self.make)
        other.now = self.now
        restore(other.v2, self.v2)
        return other


class Seen(list):
    """The events that a watcher was told; None means dropped."""

    def steps(self) -> list[tuple[str, str, int] | None]:
        return [
            event and (event.action, event.node.key, event.node.modified_index)
            for event in self
        ]


def restore(into: V2, of: V2, chunks: Iterable[bytes] | None = None) -> None:
    section = of.snapshot()
    chunks = section.chunks if chunks is None else chunks
    at_once(into.restoring(version=section.version, chunks=chunks))


@pytest.fixture
def subject() -> Subject:
    return Subject()


@pytest.fixture
def make_subject() -> type[Subject]:
    return Subject
