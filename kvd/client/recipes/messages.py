"""What a topic is made of: messages, and how long they are kept."""

from __future__ import annotations

import json
from typing import Final

import attrs
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, KeyNotFound, NoAnswer, Unknown
from kvd.client.recipes.kept import AGAIN_SECONDS
from kvd.client.values import Node

SURE: Final = 0.9
"""The part of a time to live in which nothing runs out, however the clocks differ."""


@attrs.frozen
class Message:
    """
    Something that was published.

    :ivar offset: greater than that of every message published before; an index of the
        cluster, so offsets have gaps.

    .. versionadded:: 0.1
    """

    offset: int
    text: str

    @property
    def position(self) -> int:
        """Everything up to it was seen by whoever has seen this."""
        return self.offset


@attrs.frozen
class Missed:
    """
    Messages may have been removed by their retention before this subscription saw them.

    Those would have had offsets greater than ``after`` and less than ``before``.

    .. versionadded:: 0.1
    """

    after: int
    before: int

    @property
    def position(self) -> int:
        """Everything up to it was seen or is gone."""
        return self.before - 1


@attrs.frozen
class Retention:
    """
    What is removed, always the oldest first.

    :ivar seconds: that a message is kept; None: without an end.
    :ivar count: of the newest messages that are kept; None: all.
    :raises ValueError: nothing would ever be removed, or everything.
    """

    seconds: int | None
    count: int | None

    def __attrs_post_init__(self) -> None:
        given = [each for each in (self.seconds, self.count) if each is not None]
        if not given or min(given) < 1:
            raise ValueError("a topic keeps messages for a time, or a number of them")

    def may_have_taken(
        self, directory: Node | None, *, position: int, unseen_seconds: float | None
    ) -> bool:
        """
        Whether it can have removed a message after this position.

        :param directory: with all that are there; None: there is none.
        :param unseen_seconds: how long ago all messages were those up to the position;
            None: nobody knows.
        """
        retained = _files(directory)
        seen = [each for each in retained if each.created_index <= position]
        if self.count is not None and not seen and len(retained) >= self.count:
            return True  # otherwise it would have been removed after those
        if self.seconds is None:
            return False
        if unseen_seconds is not None and unseen_seconds < self.seconds * SURE:
            return False
        return not any(_is_young(each, self.seconds) for each in seen)


def written(text: str, unique: str) -> str:
    """A message as a value, which nobody else writes."""
    said = {"id": unique, "text": text}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def message_of(node: Node) -> Message:
    """What was published there; a value that no publisher wrote is itself the text."""
    text = _text_of(node)
    return Message(node.created_index, (node.value or "") if text is None else text)


def messages_of(directory: Node | None) -> list[Message]:
    """All in a directory, the oldest first."""
    return sorted(map(message_of, _files(directory)), key=lambda each: each.offset)


def _text_of(node: Node) -> str | None:
    """What a publisher wrote; None: somebody else wrote it."""
    try:
        said = json.loads(node.value or "")
        if said.keys() == {"id", "text"} and isinstance(said["text"], str):
            return said["text"]
    except (ValueError, AttributeError, RecursionError):
        pass
    return None


def _is_young(node: Node, seconds: int) -> bool:
    """
    Whether nothing that was published after it can have run out, however clocks differ:
    the one that said when it does, the one by which that is done, the one that was read.
    """
    if node.ttl is None or _text_of(node) is None:
        return False
    return node.ttl - 1 > 2 * (1 - SURE) * seconds


def _files(directory: Node | None) -> list[Node]:
    nodes = () if directory is None else directory.nodes
    return [each for each in nodes if not each.dir]


async def listed(client: Client, path: str) -> tuple[Node | None, int]:
    """A directory and the index it is of, as soon as anybody answers; None: none."""
    while True:
        try:
            found = await client.get(path, quorum=True)
        except KeyNotFound as absent:
            return None, absent.index
        except BadAnswer:
            raise
        except (NoAnswer, Unknown):
            await deferLater(client.clock, AGAIN_SECONDS)
        else:
            return found.node, found.etcd_index
