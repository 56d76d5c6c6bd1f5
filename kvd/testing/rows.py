"""
The rows of a conformance table: a sentence, and the steps that show it.

In a step ``$`` stands for the row's own key
prefix (``/v2/keys/...``), ``@5`` for the etcd index at the row's start plus five, and
``@@5`` for that as an in-order name::

    PUT $/a value=1            a request, its form as body; the answers are compared
    GET /version               any other target is taken as it is
    w> GET $/a?wait=true       open the watch ``w``: its head is compared
    w<                         the next event of ``w`` is compared
    w< end                     its body must end
    w< nothing                 for a moment, nothing may come
    w gone                     the client goes away
    until gone $/a             ask until it is 404 (nothing else expires by itself)
    pause 0.2
    1000 x PUT $/a value=1     many times, only the last answers are compared
    as ann:secret GET $/a      a request with credentials; ``as =text`` sends the text
                               as it is for the Authorization field, dots for blanks
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence

import attrs

_INDEX = re.compile(r"@(@?)(-?\d+)")


@attrs.frozen
class Raw:
    """
    Bytes to send on a connection of their own, as they are.

    :ivar answers: how many to wait for; fewer may come.
    :ivar heads: whether the requests are HEAD (their answers have no bodies).
    :ivar then: more bytes, sent when the first answer has come.
    :ivar finish: close the sending half after the bytes.
    """

    data: bytes
    answers: int = 1
    heads: bool = False
    then: bytes = b""
    finish: bool = False


@attrs.frozen
class Json:
    """
    A request with a JSON document as its body, or with what should be one.

    :ivar kind: the Content-Type, None for none.
    """

    method: str
    target: str
    body: bytes
    kind: str | None = "application/json"

    @property
    def request(self) -> bytes:
        """As it is sent."""
        kind = f"Content-Type: {self.kind}\r\n" if self.kind is not None else ""
        return (
            f"{self.method} {self.target} HTTP/1.1\r\nHost: server\r\n{kind}"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        ).encode() + self.body


Step = str | Raw | Json


@attrs.frozen
class Row:
    """
    One behaviour: a sentence, and the steps that show it.

    :ivar meant: why kvd answers otherwise on purpose, empty where it does not.
    :ivar listens: whether what is left in the open watches is compared at the end.
    """

    name: str
    steps: tuple[Step, ...]
    meant: str = ""
    listens: bool = False

    @property
    def counts_comparable(self) -> bool:
        """Polling asks as often as it must, so the counters may differ."""
        return not any(
            isinstance(step, str) and step.startswith("until") for step in self.steps
        )


def row(name: str, *steps: Step, meant: str = "") -> Row:
    return Row(name, steps, meant)


def request_bytes(
    method: str, target: str, form: str | None = None, user: str = ""
) -> bytes:
    """
    A request as it is sent, with a form as its body.

    :param user: ``name:password``, or behind ``=`` a whole Authorization with ``.`` for
        blanks.
    """
    head = f"{method} {target} HTTP/1.1\r\nHost: server\r\n"
    if user:
        value = user[1:].replace(".", " ")
        if not user.startswith("="):
            value = f"Basic {b64encode(user.encode()).decode()}"
        head += f"Authorization: {value}\r\n"
    if form is None:
        return f"{head}\r\n".encode()
    body = form.encode()
    return (
        f"{head}Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def placed(step: Step, prefix: str, base: int) -> Step:
    """A step with the row's prefix and indexes filled in."""

    def index(found: re.Match[str]) -> str:
        return str(base + int(found[2])).zfill(20 if found[1] else 1)

    def fill(text: str) -> str:
        return _INDEX.sub(index, text).replace("$", prefix)

    if isinstance(step, str):
        return fill(step)
    if isinstance(step, Json):
        return step
    data, then = (
        fill(part.decode("latin-1")).encode("latin-1")
        for part in (step.data, step.then)
    )
    return attrs.evolve(step, data=data, then=then)


def names(rows: Sequence[Row]) -> list[str]:
    """Sentences, as ids of a parametrised test."""
    return [each.name for each in rows]
