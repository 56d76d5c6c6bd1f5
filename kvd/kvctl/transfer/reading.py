"""A file of records, read once to check it and once to use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import attrs

from kvd.kvctl.transfer.records import (
    LINE_BYTES_MAX,
    End,
    Header,
    Malformed,
    Record,
    decode,
)

PROBLEMS_MAX: Final = 20


class BrokenFile(Exception):
    """
    The file cannot be imported.

    :ivar problems: a line for each, with its number; at most ``PROBLEMS_MAX``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@attrs.frozen
class Numbered:
    """A record and the line on which it stands."""

    number: int
    record: Record


@attrs.frozen
class Checked:
    """
    A file in which every line is what it should be.

    :ivar count: of records.
    """

    header: Header
    count: int


def check(file: BinaryIO) -> Checked:
    """
    Read all of it, and then go back to where it began.

    :raises BrokenFile: the problems of all its lines.
    """
    start = file.tell()
    checking = _Checking()
    for number, data in _lines(file):
        checking.take(number, data)
        if len(checking.problems) >= PROBLEMS_MAX:
            checking.problems.append("and there may be more")
            break
    else:
        checking.finish()
    if checking.problems or checking.header is None:
        raise BrokenFile(checking.problems)
    file.seek(start)
    return Checked(checking.header, checking.count)


def records(file: BinaryIO) -> Iterator[Numbered]:
    """
    The records of a file that was checked.

    :raises BrokenFile: it is not what it was at that time.
    """
    for number, data in _lines(file):
        try:
            line = decode(data)
        except Malformed as error:
            raise BrokenFile([f"line {number}: {error}"]) from None
        if isinstance(line, Record):
            yield Numbered(number, line)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while data := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        yield number, data
        while len(data) > LINE_BYTES_MAX and not data.endswith(b"\n"):
            data = file.readline(LINE_BYTES_MAX + 1)


class _Checking:
    """What was seen so far."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.count = 0
        self.problems: list[str] = []
        self._end: End | None = None
        # Of keys that are certain; two that are shown alike may differ.
        self._seen: set[int] = set()

    def take(self, number: int, data: bytes) -> None:
        try:
            self._take(data)
        except Malformed as error:
            self.problems.append(f"line {number}: {error}")

    def finish(self) -> None:
        """What can only be said at the end."""
        if self.header is None and not self.problems:
            self.problems.append("line 1: expected the header of an export")
        elif self._end is None:
            self.problems.append(
                "the end is missing: the export was not finished, or the file is cut off"
            )
        elif self._end.count != self.count and not self.problems:
            self.problems.append(
                f"expected {self._end.count} keys, as the last line says, "
                f"and found {self.count}"
            )

    def _take(self, data: bytes) -> None:
        if len(data) > LINE_BYTES_MAX:
            raise Malformed(f"expected a line of at most {LINE_BYTES_MAX} bytes")
        if self._end is not None:
            raise Malformed("expected nothing after the end")
        line = decode(data)
        if isinstance(line, Header):
            if self.header is not None or self.count:
                raise Malformed("expected one header, on the first line")
            self.header = line
            return
        if self.header is None:
            # Said once; the others are looked at all the same.
            self.header = Header(prefix="/", index=0)
            raise Malformed("expected the header of an export on the first line")
        if isinstance(line, End):
            self._end = line
            return
        self.count += 1
        self._check_key(line, self.header)

    def _check_key(self, record: Record, header: Header) -> None:
        prefix = header.prefix.rstrip("/")
        if record.key != prefix and not record.key.startswith(f"{prefix}/"):
            raise Malformed(f"expected a key below {header.prefix}")
        if record.key == "/":
            raise Malformed("expected a key, and not the root")
        if not record.lossy:
            mark = hash(record.key)
            if mark in self._seen:
                raise Malformed("expected a key that is not in the file yet")
            self._seen.add(mark)
