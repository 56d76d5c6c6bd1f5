"""
One token of a discovery service: ordinary v2 keys, which anybody's etcd may serve.

::

    TOKEN/_config/size   how many members found the cluster
    TOKEN/<id>           name=url1,name=url2      the first of them, in order of creation
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote, urlsplit

import attrs

from kvd.discovery.failures import (
    AlreadyRegistered,
    DiscoveryFailed,
    Late,
    Unreachable,
)
from kvd.discovery.fetch import Fetch, Fetched

REQUEST_SECONDS: Final = 5.0
"""etcd's."""

WATCH_SECONDS: Final = 60.0
"""How long a watch may say nothing; then the keys are looked at again."""

SIZE_MAX: Final = 100
"""Members that one token may be for."""

_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_KEY_NOT_FOUND: Final = 100
_NODE_EXISTS: Final = 105
_SHOWN_MAX: Final = 200


@attrs.frozen
class Entry:
    """What one member registered."""

    member_id: str
    value: str
    created_index: int


@attrs.frozen
class Entries:
    """
    Everybody who is registered, in the order in which they came.

    :ivar index: the service's index at that moment.
    """

    index: int
    entries: tuple[Entry, ...]


class Registry:
    """
    The keys of one token.

    Every request raises :class:`~kvd.discovery.failures.Unreachable` when it may go
    better later, and :class:`~kvd.discovery.failures.DiscoveryFailed` when not, in
    etcd's words where it has them (V2-SPEC 16.1).

    :param url: the discovery URL; its path is the folder of the keys.
    """

    def __init__(self, *, url: str, fetch: Fetch) -> None:
        parts = urlsplit(url)
        path = "/".join(filter(None, parts.path.split("/")))
        self._folder = f"{parts.scheme}://{parts.netloc}/{quote(path, safe='/%')}"
        self._fetch = fetch

    async def size(self) -> int:
        """How many members the cluster will have."""
        answer = await self._get("/_config/size")
        if answer.status != 200:
            raise _refusal(answer, "discovery: size key not found")
        text = _text(_node(answer), "value")
        size = int(text) if _DIGITS.fullmatch(text) else 0
        if not 1 <= size <= SIZE_MAX:
            raise DiscoveryFailed(
                f"discovery: size key is bad: expected a whole number from 1 to "
                f'{SIZE_MAX}, got "{_shown(text)}"'
            )
        return size

    async def entries(self) -> Entries:
        """Who is there."""
        answer = await self._get("")
        if answer.status != 200:
            raise _refusal(answer, "discovery: token not found")
        nodes = _node(answer).get("nodes", [])
        if not isinstance(nodes, list):
            raise _bad_endpoint(answer)
        entries = [
            Entry(
                _text(node, "key").rpartition("/")[2],
                _text(node, "value"),
                _number(node, "createdIndex"),
            )
            for node in nodes
            if isinstance(node, dict) and not node.get("dir")
        ]
        entries = [each for each in entries if each.member_id != "_config"]
        entries.sort(key=lambda entry: entry.created_index)
        return Entries(answer.index, tuple(entries))

    async def register(self, member_id: str, value: str) -> int:
        """
        Take a place; the index at which that happened.

        :raises AlreadyRegistered: there is such an entry.
        """
        answer = await self._fetch(
            "PUT",
            f"{self._folder}/{member_id}?prevExist=false",
            form=f"value={quote(value, safe='')}",
            seconds=REQUEST_SECONDS,
        )
        _check_server(answer)
        if answer.status not in {200, 201}:
            if _error_code(answer) == _NODE_EXISTS:
                raise AlreadyRegistered
            raise _refusal(answer, "discovery: token not found")
        return _number(_node(answer), "createdIndex")

    async def wait(self, since: int) -> None:
        """
        Return when something below the token has changed at or after this index, or
        might have: whoever waits looks at the entries again.
        """
        try:
            answer = await self._fetch(
                "GET",
                f"{self._folder}?wait=true&recursive=true&waitIndex={since}",
                seconds=WATCH_SECONDS,
            )
        except Late:
            return
        _check_server(answer)

    async def _get(self, path: str) -> Fetched:
        answer = await self._fetch(
            "GET", f"{self._folder}{path}", seconds=REQUEST_SECONDS
        )
        _check_server(answer)
        return answer


def _check_server(answer: Fetched) -> None:
    if answer.status >= 500:
        raise Unreachable(f"HTTP status {answer.status}: {_shown(_words(answer))}")


def _refusal(answer: Fetched, not_found: str) -> DiscoveryFailed:
    """For an answer that is not the one asked for."""
    if _error_code(answer) == _KEY_NOT_FOUND:
        return DiscoveryFailed(not_found)
    if _error_code(answer):
        return DiscoveryFailed(f"discovery: {_shown(_words(answer))}")
    return _bad_endpoint(answer)


def _bad_endpoint(answer: Fetched) -> DiscoveryFailed:
    return DiscoveryFailed(
        f"discovery: bad discovery endpoint: HTTP status {answer.status}, "
        f'"{_shown(_words(answer))}"'
    )


def _document(answer: Fetched) -> dict[str, object]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _node(answer: Fetched) -> dict[str, object]:
    node = _document(answer).get("node")
    if not isinstance(node, dict):
        raise _bad_endpoint(answer)
    return node


def _text(node: dict[str, object], name: str) -> str:
    value = node.get(name)
    return value if isinstance(value, str) else ""


def _number(node: dict[str, object], name: str) -> int:
    value = node.get(name)
    return value if isinstance(value, int) else 0


def _error_code(answer: Fetched) -> int:
    return _number(_document(answer), "errorCode")


def _words(answer: Fetched) -> str:
    """An error as etcd's clients print it, or the beginning of whatever it is."""
    document = _document(answer)
    code, message = _number(document, "errorCode"), _text(document, "message")
    if code and message:
        cause, index = _text(document, "cause"), _number(document, "index")
        return f"{code}: {message} ({cause}) [{index}]"
    return message or answer.body[: _SHOWN_MAX + 1].decode("utf-8", "replace")


def _shown(text: str) -> str:
    """Without control characters, and not longer than a line can bear."""
    cut = text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut.strip())
