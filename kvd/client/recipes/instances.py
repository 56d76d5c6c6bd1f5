"""Who serves under a name, as far as the registry says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

import attrs
from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.errors import ClientError
from kvd.client.recipes.followed import Followed
from kvd.client.recipes.live import Live, tell
from kvd.client.values import Node
from kvd.client.watching import Change


def _texts(found: Mapping[str, str]) -> dict[str, str]:
    made = dict(found)
    if not all(isinstance(each, str) for pair in made.items() for each in pair):
        raise ValueError("metadata is names and texts")
    return made


def name_of(text: str) -> str:
    """
    The name of a service, or the id of an instance.

    :raises ValueError: it can be no key, or only one that nobody sees.
    """
    if not text or "/" in text or text.startswith("_") or text in {".", ".."}:
        raise ValueError(
            f"{text!r} cannot be a name: empty, hidden or no part of a key"
        )
    return text


def _is_address(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not value or any(map(_is_odd, value)):
        raise ValueError(f"{value!r} cannot be an address")


def _is_odd(letter: str) -> bool:
    return letter.isspace() or not letter.isprintable()


@attrs.frozen
class Instance:
    """
    One of those who serve.

    :ivar id: its own among all of that name.
    :ivar address: host and port, or a URL; what reads it knows.
    :ivar metadata: more about it: a zone, a version, a weight.
    :raises ValueError: what cannot be a key, an address, or metadata.

    .. versionadded:: 0.1
    """

    id: str = attrs.field(converter=name_of)
    address: str = attrs.field(validator=_is_address)
    metadata: Mapping[str, str] = attrs.field(factory=dict, converter=_texts)

    def written(self, session: str) -> str:
        """What its key's value is; the session makes it this registration's own."""
        said = {
            "address": self.address,
            "metadata": self.metadata,
            "session": session,
        }
        return json.dumps(said, separators=(",", ":"))


def _read(node: Node) -> Instance | None:
    """None: that was not written by a registration."""
    try:
        said = json.loads(node.value or "")
        return Instance(node.name, said["address"], said.get("metadata", {}))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class Instances:
    """
    A list of all that are registered under one name, which keeps itself up to date.

    It is the list as of one index after another; none is skipped unless history was
    lost, then it is the present one. Who dies is on it until its time to live is over.
    While the cluster cannot be reached it is the one that was known last:
    ``age_seconds`` says for how long.

    :param changed: called with the new list if it differs from the last one; what it
        raises is logged.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        instances_max: int,
        changed: Callable[[tuple[Instance, ...]], object] | None,
    ) -> None:
        self._live = Live(
            client, path, deep=False, nodes_max=instances_max, told=self._take
        )
        self._changed = changed
        self._by_key: dict[str, tuple[Node, Instance | None]] = {}
        self._now: tuple[Instance, ...] = ()
        self._index = 0

    @property
    def now(self) -> tuple[Instance, ...]:
        """In the order of their ids; empty before the first list is known."""
        return self._now

    @property
    def index(self) -> int:
        """Of the newest change of the directory that is in the list; at first, 0."""
        return self._index

    @property
    def age_seconds(self) -> float:
        """
        Since it was last known that this is what the cluster has; at first, inf.

        While all is well it is at most twice the client's ``silent_seconds``, and what it
        needs for a request.
        """
        return self._live.age_seconds

    @property
    def problem(self) -> ClientError | None:
        """Why the list is not kept up to date, if a server refuses."""
        return self._live.problem

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Keys in the directory that no registration has written."""
        return tuple(key for key, (_, read) in self._by_key.items() if read is None)

    def start(self) -> Deferred[None]:
        """
        Begin; fires once the first list is there, through failures.

        :raises ClientError: the server refuses, or there are too many.
        """
        return self._live.start()

    def close(self) -> None:
        """Leave the list as it is."""
        self._live.close()

    def _take(self, followed: Followed, _: Change | None) -> None:
        before = self._by_key
        self._by_key = {
            key: before[key]
            if key in before and before[key][0] == node
            # An instance that did not change is not read anew.
            else (node, _read(node))
            for key, node in followed.nodes.items()
        }
        self._index = followed.index
        before_now, self._now = self._now, _in_order(self._by_key.values())
        if self._changed is not None and self._now != before_now:
            tell(self._changed, self._now)


def _in_order(
    found: Iterable[tuple[Node, Instance | None]],
) -> tuple[Instance, ...]:
    known = [each for _, each in found if each is not None]
    return tuple(sorted(known, key=lambda each: each.id))
