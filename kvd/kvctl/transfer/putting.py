"""One record into a cluster, so that doing it again changes nothing."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from enum import Enum
from typing import Final
from urllib.parse import quote, urlencode

from kvd.kvctl.errors import BadAnswer, KeysRefused
from kvd.kvctl.node import Node, response_of
from kvd.kvctl.transfer.records import REPLACEMENT, Record
from kvd.kvctl.wire import Answer

_NOT_A_FILE: Final = 102
_NOT_A_DIRECTORY: Final = 104
_EXISTS: Final = 105
_NOT_FOUND: Final = 100
_COMPARE_FAILED: Final = 101
_ABOUT_WHAT_IS_THERE: Final = frozenset(
    {_NOT_FOUND, _COMPARE_FAILED, _NOT_A_FILE, _NOT_A_DIRECTORY, _EXISTS}
)
_TRIES: Final = 3


class Policy(Enum):
    """What is done about a key that is there with something else in it."""

    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Outcome(Enum):
    """What came of a record."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    CONFLICT = "in conflict"
    LEFT_OUT = "left out"


Ask = Callable[[str, str, bytes], Answer]
"""Method, target and form to an answer."""


class Refused(Exception):
    """The cluster said no, and not because of what is there; the text is its own."""


class Putting:
    """
    Puts records where they belong.

    :param source: the prefix that the records have.
    :param destination: the one that they get.
    :param lossy: also those whose bytes are not certain.
    :param dry: only look what would be done.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        source: str,
        destination: str,
        policy: Policy,
        lossy: bool = False,
        dry: bool = False,
    ) -> None:
        self._ask = ask
        self._source = source.rstrip("/")
        self._destination = destination.rstrip("/")
        self._policy = policy
        self._lossy = lossy
        self._dry = dry

    def key_of(self, record: Record) -> str:
        """Where it goes."""
        return self._destination + record.key.removeprefix(self._source)

    def put(self, record: Record) -> Outcome:
        """
        Put one.

        :raises Refused:
        """
        if record.lossy and not self._lossy:
            return Outcome.LEFT_OUT
        key = self.key_of(record)
        for _ in range(_TRIES):
            code = _EXISTS
            if not self._dry:
                code = self._write(key, record, prevExist="false")
            if code == 0:
                return Outcome.CREATED
            if code == _EXISTS:
                code, there = self._look(key)
                if there is not None:
                    return self._resolve(key, record, there)
                if code == _NOT_FOUND and self._dry:
                    return Outcome.CREATED
            if code == _NOT_A_DIRECTORY:
                return self._conflict()
            if code != _NOT_FOUND:
                raise Refused(f"{key}: the cluster says error {code}")
        raise Refused(f"{key}: it is there and not there in turn; try again later")

    def _resolve(self, key: str, record: Record, there: Node) -> Outcome:
        if self._same(key, record, there):
            return Outcome.UNCHANGED
        if self._policy is Policy.SKIP:
            return Outcome.SKIPPED
        if self._policy is Policy.FAIL or (there.is_dir and record.value is not None):
            return Outcome.CONFLICT
        if self._dry:
            return Outcome.REPLACED
        extra = {"prevExist": "true"} if there.is_dir else {}
        code = self._write(key, record, **extra)
        if code in {_NOT_A_FILE, _NOT_A_DIRECTORY}:
            return Outcome.CONFLICT
        if code:
            raise Refused(f"{key}: the cluster says error {code}")
        return Outcome.REPLACED

    def _same(self, key: str, record: Record, there: Node) -> bool:
        if (record.ttl is None) != (not there.expiration):
            return False
        if record.value is None or there.is_dir:
            return record.value is None and there.is_dir
        shown = as_shown(record.value)
        if shown != there.value:
            return False
        if REPLACEMENT not in shown or self._dry:
            return True
        # Only the server can compare what it cannot show.
        return not self._write(key, record, prevValue=record.value)

    def _conflict(self) -> Outcome:
        return Outcome.SKIPPED if self._policy is Policy.SKIP else Outcome.CONFLICT

    def _look(self, key: str) -> tuple[int, Node | None]:
        """The code of an error, or 0 and what is there."""
        return _outcome(key, self._ask("GET", f"{_target(key)}?quorum=true", b""))

    def _write(self, key: str, record: Record, **condition: str | bytes) -> int:
        """0, or the code of an error that says what is there."""
        form: dict[str, str | bytes] = dict(condition)
        if record.value is None:
            form["dir"] = "true"
        else:
            form["value"] = record.value
        if record.ttl is not None:
            form["ttl"] = str(record.ttl)
        answer = self._ask("PUT", _target(key), urlencode(form).encode())
        return _outcome(key, answer)[0]


def as_shown(value: bytes) -> str:
    """As a server writes these bytes in JSON: each that is no UTF-8 as U+FFFD."""
    return value.decode("utf-8", "kvd-each-replaced")


def _each_replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return REPLACEMENT * (error.end - error.start), error.end


codecs.register_error("kvd-each-replaced", _each_replaced)


def _target(key: str) -> str:
    return "/v2/keys" + quote(key or "/")


def _outcome(key: str, answer: Answer) -> tuple[int, Node | None]:
    """
    0 and a node, or the code of an error that says what is there.

    :raises Refused: an error that no other try would mend.
    """
    try:
        return 0, response_of(answer).node
    except KeysRefused as error:
        if error.code in _ABOUT_WHAT_IS_THERE:
            return error.code, None
        raise Refused(f"{key}: {error}") from None
    except BadAnswer:
        text = answer.body.decode("utf-8", "replace").strip()[:200]
        raise Refused(f"{key}: the cluster answers {answer.status} {text}") from None
