"""Where an answer ends, whatever pieces it comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.kvctl.bench import answers
from kvd.kvctl.bench.answers import AnswerReader, Garbled

PLAIN = b"HTTP/1.1 201 Created\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
)
STATUSES = {PLAIN: 201, EMPTY: 404, CHUNKED: 200}


@given(st.lists(st.sampled_from(list(STATUSES)), max_size=5), st.data())
def test_each_answer_is_found_once_and_at_its_end(sent, data):
    reader = AnswerReader()
    for each in sent:
        cuts = data.draw(st.sets(st.integers(1, len(each) - 1), max_size=6))
        places = [0, *sorted(cuts), len(each)]
        pieces = [each[a:b] for a, b in pairwise(places)]
        found = [reader.take(piece) for piece in pieces]
        assert found == [None] * (len(pieces) - 1) + [STATUSES[each]]


@pytest.mark.parametrize(
    "garbage",
    [
        PLAIN + b"x",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_garbage_is_told(garbage):
    with pytest.raises(Garbled):
        AnswerReader().take(garbage)


def test_a_head_has_a_limit():
    reader = AnswerReader()
    assert reader.take(b"HTTP/1.1 200 OK\r\n") is None
    with pytest.raises(Garbled, match="head"):
        reader.take(b"x" * answers.HEAD_BYTES_MAX)


def test_a_body_has_a_limit(monkeypatch):
    monkeypatch.setattr(answers, "BODY_BYTES_MAX", 9)
    with pytest.raises(Garbled, match="body"):
        AnswerReader().take(CHUNKED)
    assert AnswerReader().take(PLAIN) == 201
