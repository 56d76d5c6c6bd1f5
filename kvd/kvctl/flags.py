"""
Flags as etcdctl takes them: Go's ``flag`` package, and what ``urfave/cli`` does before.

One dash or two; ``-name=text`` or the next word; a switch takes a word only with ``=``;
parsing ends at the first word that is no flag, or after ``--``. A command's own flags may
also follow its arguments: they are moved to the front, each with the word behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from kvd.golang import quote
from kvd.kvctl.errors import TwoForms, UsageProblem

Value = bool | str | int | float | tuple[str, ...]


class Kind(Enum):
    """What a flag holds."""

    SWITCH = "switch"
    TEXT = "text"
    TEXTS = "texts"  # may be given several times
    NUMBER = "number"
    DURATION = "duration"  # in seconds; written with a unit


_NOTHING: Final[dict[Kind, Value]] = {
    Kind.SWITCH: False,
    Kind.TEXT: "",
    Kind.TEXTS: (),
    Kind.NUMBER: 0,
    Kind.DURATION: 0.0,
}


class Flag(NamedTuple):
    """
    One flag.

    :ivar names: without dashes; the first is the one that a command asks for.
    :ivar help: one line.
    :ivar default: None: nothing of its kind.
    :ivar placeholder: what stands for its text in help.
    :ivar beyond: whether etcdctl has none such.
    """

    names: tuple[str, ...]
    help: str
    kind: Kind = Kind.SWITCH
    default: Value | None = None
    placeholder: str = "value"
    beyond: bool = False

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def unset(self) -> Value:
        """Its value while nobody gives one."""
        return _NOTHING[self.kind] if self.default is None else self.default


class Parsed(NamedTuple):
    """
    :ivar values: of every flag, by its first name.
    :ivar words: what follows the flags.
    """

    values: dict[str, Value]
    words: list[str]


def parse(
    flags: Sequence[Flag], words: Sequence[str], *, forms_first: bool = False
) -> Parsed:
    """
    Read flags up to the first word that is none.

    :param forms_first: whether a flag with two of its names is told before anything
        else that is wrong, as it is of the program's flags and a group's.
    :raises UsageProblem:
    """
    values = {flag.name: flag.unset for flag in flags}
    given: set[str] = set()
    rest = list(words)
    try:
        _read(flags, rest, values, given)
    except UsageProblem:
        if forms_first:
            _check_forms(flags, given)
        raise
    _check_forms(flags, given)
    return Parsed(values, rest)


def _read(
    flags: Sequence[Flag], rest: list[str], values: dict[str, Value], given: set[str]
) -> None:
    """Take flags off the words into the values; the names by which they were given."""
    known = {name: flag for flag in flags for name in flag.names}
    while rest and len(rest[0]) >= 2 and rest[0][0] == "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, text = _name_and_text(word)
        flag = known.get(name)
        if flag is None:
            raise UsageProblem(f"flag provided but not defined: -{name}")
        if flag.kind is not Kind.SWITCH and text is None:
            if not rest:
                raise UsageProblem(f"flag needs an argument: -{name}")
            text = rest.pop(0)
        value = _value(flag, name, text)
        if isinstance(value, tuple):
            value = (*_texts(values[flag.name]), *value)
        values[flag.name] = value
        given.add(name)


def _check_forms(flags: Sequence[Flag], given: set[str]) -> None:
    """:raises TwoForms:"""
    for flag in flags:
        forms = [name for name in flag.names if name in given]
        if len(forms) > 1:
            raise TwoForms(
                f"Cannot use two forms of the same flag: {forms[1]} {forms[0]}"
            )


def reordered(flags: Sequence[Flag], words: Sequence[str]) -> list[str]:
    """
    The words with all flags of the command in front, as urfave/cli 1.22 moves them.

    The word behind a flag moves with it, even behind a switch; ``--`` moves to the front
    of what stays.
    """
    names = {name for flag in flags for name in flag.names}
    moved: list[str] = []
    stay: list[str] = []
    may_be_text = False
    for number, word in enumerate(words):
        known = _looks_like(word) in names
        if may_be_text and not known:
            may_be_text = False
            moved.append(word)
        elif word == "--":
            stay = ["--", *stay, *words[number + 1 :]]
            break
        elif known:
            moved.append(word)
            may_be_text = "=" not in word
        else:
            stay.append(word)
    return moved + stay


def _looks_like(word: str) -> str:
    """The name that a word would give as a flag, empty if it is none."""
    if word in {"-", "--"} or not word.startswith("-"):
        return ""
    name = word.removeprefix("--") if word.startswith("--") else word
    return name.removeprefix("-").partition("=")[0]


def _name_and_text(word: str) -> tuple[str, str | None]:
    name = word[2:] if word.startswith("--") else word[1:]
    if not name or name[0] in "-=":
        raise UsageProblem(f"bad flag syntax: {word}")
    name, equals, text = name.partition("=")
    return name, text if equals else None


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _value(flag: Flag, name: str, text: str | None) -> Value:
    if text is None:
        return True
    try:
        match flag.kind:
            case Kind.SWITCH:
                return _switch(text)
            case Kind.NUMBER:
                return number(text)
            case Kind.DURATION:
                return duration_seconds(text)
            case Kind.TEXT:
                return text
            case Kind.TEXTS:
                return (text,)
    except ValueError as error:
        shown = quote(text.encode("utf-8", "surrogateescape"))
        if flag.kind is Kind.SWITCH:
            problem = f"invalid boolean value {shown} for -{name}: {error}"
        else:
            problem = f"invalid value {shown} for flag -{name}: {error}"
        raise UsageProblem(problem) from None


_SWITCHES: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_NUMBER: Final = re.compile(
    r"([+-]?)(?:0[xX](?P<x>(?:_?[0-9a-fA-F])+)|0[bB](?P<b>(?:_?[01])+)"
    r"|0[oO]?(?P<o>(?:_?[0-7])+)|(?P<d>0|[1-9](?:_?[0-9])*))"
)
_BASES: Final = {"x": 16, "b": 2, "o": 8, "d": 10}
_DURATION: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+"
)
_PIECE: Final = re.compile(r"([0-9.]+)([^0-9.]+)")
_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_DURATION_SECONDS_MAX: Final = float(2**63) / 1e9


def _switch(text: str) -> bool:
    """:raises ValueError: worded as Go does, like the next two."""
    try:
        return _SWITCHES[text]
    except KeyError:
        raise ValueError("parse error") from None


def number(text: str) -> int:
    """A whole number of 64 bits, decimal, ``0x``, ``0o`` or ``0b``."""
    found = _NUMBER.fullmatch(text)
    if found is None or found.lastgroup is None:
        raise ValueError("parse error")
    digits = found[found.lastgroup].replace("_", "")
    value = int(found[1] + digits, _BASES[found.lastgroup])
    if not -(2**63) <= value < 2**63:
        raise ValueError("value out of range")
    return value


def duration_seconds(text: str) -> float:
    """Such as ``1m30s`` or ``250ms``; without a unit only 0."""
    if text.lstrip("+-") == "0" and len(text) <= 2:
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError("parse error")
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PIECE.findall(text))
    if seconds >= _DURATION_SECONDS_MAX:
        raise ValueError("parse error")
    return -seconds if text[0] == "-" else seconds
