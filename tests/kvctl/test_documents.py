"""JSON of the APIs beside the keys."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvd.kvctl import documents
from kvd.kvctl.errors import BadAnswer


def test_documents_are_written_as_go_writes_them():
    document = {"user": 'a"<b>&', "roles": None, "grant": ["r", "s"], "n": {}, "e": []}
    assert documents.written(document) == (
        '{"user":"a\\"\\u003cb\\u003e\\u0026","roles":null,"grant":["r","s"],'
        '"n":{},"e":[]}'
    )
    with pytest.raises(TypeError):
        documents.written({"number": 5})


texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=8,
    )
)
def test_what_is_written_says_what_was_meant(document):
    assert json.loads(documents.written(document)) == document


def test_a_byte_that_is_no_character_does_not_go_out():
    assert json.loads(documents.written("a\udcff")) == "a\ufffd"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":1', "unexpected end of JSON input"),
        (b'{"a"x', "invalid character 'x' after object key"),
        (b"{a", "invalid character 'a' looking for beginning of object key string"),
        (b"nul", "invalid character ' ' in literal null (expecting 'l')"),
        (b"[" * 99_999, "unexpected end of JSON input"),
        (b"[" * 30_000 + b"]" * 30_000, "the answer is no JSON"),
        (b'"text"', "the answer is no JSON object: 'text'"),
        (b"[" + b"1," * 99 + b"1]", f"the answer is no JSON object: {[1] * 99}"[:130]),
    ],
)
def test_what_is_no_object_is_told(body, problem):
    with pytest.raises(BadAnswer) as bad:
        documents.read(body)
    assert str(bad.value) == problem


def test_bytes_that_are_no_text_do_no_harm():
    assert documents.read(b'{"user":"\xff"}') == {"user": "\udcff"}
    assert documents.read(b"null") == {}
