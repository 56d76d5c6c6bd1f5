"""Flags as Go's flag package and urfave/cli 1.22 read them; checked on etcdctl 3.4.23."""

from __future__ import annotations

import pytest

from kvd.kvctl.errors import UsageProblem
from kvd.kvctl.flags import Flag, Kind, parse, reordered

FLAGS = (
    Flag(("recursive", "r"), "", Kind.SWITCH),
    Flag(("output", "o"), "", Kind.TEXT, "simple"),
    Flag(("roles",), "", Kind.TEXTS),
    Flag(("ttl",), "", Kind.NUMBER),
    Flag(("timeout",), "", Kind.DURATION, 2.0),
)


def read(line: str):
    return parse(FLAGS, line.split())


@pytest.mark.parametrize(
    ("line", "name", "value", "words"),
    [
        ("", "output", "simple", []),
        ("", "timeout", 2.0, []),
        ("--recursive /a", "recursive", True, ["/a"]),
        ("-recursive", "recursive", True, []),
        ("-r", "recursive", True, []),
        ("-r=false /a", "recursive", False, ["/a"]),
        ("--recursive=T", "recursive", True, []),
        ("-o json", "output", "json", []),
        ("--o=json", "output", "json", []),
        ("-o=a=b", "output", "a=b", []),
        ("-o --", "output", "--", []),
        ("-o= x", "output", "", ["x"]),
        ("--roles a --roles b,c", "roles", ("a", "b,c"), []),
        ("--ttl 0x10", "ttl", 16, []),
        ("--ttl -1", "ttl", -1, []),
        ("--ttl=010", "ttl", 8, []),
        ("--ttl 0b11", "ttl", 3, []),
        ("--ttl 1_000", "ttl", 1000, []),
        ("--timeout 1m30s", "timeout", 90.0, []),
        ("--timeout .5h", "timeout", 1800.0, []),
        ("--timeout 0", "timeout", 0.0, []),
        ("--timeout -1.5ms", "timeout", -0.0015, []),
        ("-- -r", "recursive", False, ["-r"]),
        ("/a -r", "recursive", False, ["/a", "-r"]),
        ("- -r", "recursive", False, ["-", "-r"]),
        ("-r -- -- x", "recursive", True, ["--", "x"]),
    ],
)
def test_flags_end_at_the_first_word_that_is_none(line, name, value, words):
    parsed = read(line)
    assert parsed.values[name] == value
    assert parsed.words == words


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-x", "flag provided but not defined: -x"),
        ("--x=1", "flag provided but not defined: -x"),
        ("-rr", "flag provided but not defined: -rr"),
        ("---r", "bad flag syntax: ---r"),
        ("--=x", "bad flag syntax: --=x"),
        ("-=", "bad flag syntax: -="),
        ("-o", "flag needs an argument: -o"),
        ("-r=maybe", 'invalid boolean value "maybe" for -r: parse error'),
        ("--ttl x", 'invalid value "x" for flag -ttl: parse error'),
        ("--ttl=", 'invalid value "" for flag -ttl: parse error'),
        ("--ttl 08", 'invalid value "08" for flag -ttl: parse error'),
        ("--ttl 1__0", 'invalid value "1__0" for flag -ttl: parse error'),
        (
            "--ttl 9223372036854775808",
            'invalid value "9223372036854775808" for flag -ttl: value out of range',
        ),
        ("--timeout 1", 'invalid value "1" for flag -timeout: parse error'),
        ("--timeout 1d", 'invalid value "1d" for flag -timeout: parse error'),
        ("--timeout .s", 'invalid value ".s" for flag -timeout: parse error'),
        ("--timeout 300y", 'invalid value "300y" for flag -timeout: parse error'),
        (
            "--timeout 2562048h",
            'invalid value "2562048h" for flag -timeout: parse error',
        ),
        (
            "-r --recursive",
            "Cannot use two forms of the same flag: r recursive",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_gos_words(line, problem):
    with pytest.raises(UsageProblem) as caught:
        read(line)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("/a -r", "-r /a"),
        ("/a -r /b", "-r /b /a"),  # even a switch takes the next word along
        ("/a -r -o json", "-r -o json /a"),
        ("/a -r=true /b", "-r=true /a /b"),
        ("/a -1", "/a -1"),
        ("-x /a", "-x /a"),
        ("/a -- -r", "-- /a -r"),
        ("-r -- /a", "-r -- /a"),
        ("-r /a -- b -o", "-r /a -- b -o"),
        ("/a b -- c", "-- /a b c"),
        ("/a - -o", "-o /a -"),
    ],
)
def test_a_commands_flags_are_moved_before_its_arguments(line, moved):
    assert reordered(FLAGS, line.split()) == moved.split()
