"""The lines of an export."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.kvctl.transfer.records import (
    End,
    Header,
    Malformed,
    Record,
    decode,
    encode,
)

NAMES = st.text(
    st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1
).filter(lambda name: name not in {".", ".."})
KEYS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
RECORDS = st.builds(
    Record,
    key=KEYS,
    value=st.none() | st.binary(max_size=50),
    ttl=st.none() | st.integers(0, 2**63 - 1),
    lossy=st.booleans(),
)
HEADERS = st.builds(
    Header,
    prefix=st.just("/") | KEYS,
    index=st.integers(0, 2**63 - 1),
    piecewise=st.booleans(),
)
ENDS = st.builds(End, st.integers(0, 10**9))


@given(RECORDS | HEADERS | ENDS)
def test_what_was_written_is_read_again(line):
    data = encode(line)
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    assert decode(data) == line


def test_the_form_is_as_documented():
    header = Header(prefix="/", index=9)
    assert [
        encode(each)
        for each in (
            header,
            Record(key="/empty"),
            Record(key="/session", value="späť".encode(), ttl=27),
            Record(key="/bytes", value=b"\xff"),
            Record(key="/\ufffd", value=b"x", lossy=True),
            End(4),
        )
    ] == [
        (
            b'{"format":"kvd-export","version":1,"prefix":"/","index":9,'
            b'"consistency":"index"}\n'
        ),
        b'{"key":"/empty","dir":true}\n',
        '{"key":"/session","value":"späť","ttl":27}\n'.encode(),
        b'{"key":"/bytes","value64":"/w=="}\n',
        '{"key":"/\ufffd","value":"x","lossy":true}\n'.encode(),
        b'{"end":4}\n',
    ]


HEADER = {
    "format": "kvd-export",
    "version": 1,
    "prefix": "/",
    "index": 9,
    "consistency": "index",
}
BAD = {
    "no JSON": (b"{", "a JSON object"),
    "no object": (b"[]", "a JSON object"),
    "no UTF-8": (b'{"key":"/\xff"}', "UTF-8"),
    "too deep": (b"[" * 100_000, "a JSON object"),
    "other format": ({**HEADER, "format": "x"}, '"format":"kvd-export"'),
    "other version": ({**HEADER, "version": 2}, '"version":1'),
    "other consistency": ({**HEADER, "consistency": "x"}, '"consistency"'),
    "index below 0": (
        {**HEADER, "index": -1},
        'whole number, 0 or more, after "index"',
    ),
    "no prefix": (
        {**HEADER, "prefix": None},
        'a key that begins with / after "prefix"',
    ),
    "end is text": ({"end": "4"}, 'whole number, 0 or more, after "end"'),
    "end is true": ({"end": True}, "whole number"),
    "no slash": ({"key": "a", "value": ""}, "begins with /"),
    "empty name": ({"key": "/a//b", "value": ""}, "empty names"),
    "dots": ({"key": "/a/../b", "value": ""}, "empty names"),
    "half a character": ({"key": "/\ud800", "value": ""}, "surrogate"),
    "half in the value": ({"key": "/a", "value": "\ud800"}, "surrogate"),
    "no content": ({"key": "/a"}, "exactly one of"),
    "two contents": ({"key": "/a", "value": "", "dir": True}, "exactly one of"),
    "no directory": ({"key": "/a", "dir": False}, 'true after "dir"'),
    "value is a number": ({"key": "/a", "value": 1}, 'text after "value"'),
    "no base64": ({"key": "/a", "value64": "*"}, "base64"),
    "ttl is a fraction": ({"key": "/a", "value": "", "ttl": 1.5}, "whole number"),
    "ttl too large": ({"key": "/a", "value": "", "ttl": 2**63}, "whole number"),
    "lossy is text": ({"key": "/a", "value": "", "lossy": "no"}, "true or false"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_says_what_was_expected(name):
    line, expected = BAD[name]
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    with pytest.raises(Malformed, match="expected") as raised:
        decode(data)
    assert expected in str(raised.value)


def test_members_that_nobody_knows_are_left_alone():
    assert decode(b'{"key":"/a","value":"b","owner":"c"}') == Record(
        key="/a", value=b"b"
    )
