"""JSON read as Go reads it; the words are etcd's, which uses Go's encoding/json."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd import grammar
from kvd.http import documents
from kvd.http.documents import BadDocumentError, Kind, Struct

MEMBER = Struct(
    'struct { PeerURLs []string "json:\\"peerURLs\\"" }', {"peerURLs": Kind.TEXTS}
)
ROLE = Struct(
    "Role",
    {
        "role": Kind.TEXT,
        "grant": Struct("Permissions", {"read": Kind.TEXTS}),
    },
    name="Role",
)

# What etcd 3.4.23 said to each of them; bytes are shown as Go shows them.
MISTAKES = [
    (b"", "unexpected end of JSON input"),
    (b" \t\r\n", "unexpected end of JSON input"),
    (b"{", "unexpected end of JSON input"),
    (b"[", "unexpected end of JSON input"),
    (b'"abc', "unexpected end of JSON input"),
    (b'{"a"', "unexpected end of JSON input"),
    (b'{"a":', "unexpected end of JSON input"),
    (b'{"a":1', "unexpected end of JSON input"),
    (b'{"a":["', "unexpected end of JSON input"),
    (b"[1,]", "invalid character ']' looking for beginning of value"),
    (b"[,", "invalid character ',' looking for beginning of value"),
    (b"[1 2]", "invalid character '2' after array element"),
    (b'{"a":[1}', "invalid character '}' after array element"),
    (b'{"a" 1}', "invalid character '1' after object key"),
    (b'{"a"}', "invalid character '}' after object key"),
    (b'{"a":1 2}', "invalid character '2' after object key:value pair"),
    (b'{"a":false1}', "invalid character '1' after object key:value pair"),
    (b'{"a":}', "invalid character '}' looking for beginning of value"),
    (b"{1:2}", "invalid character '1' looking for beginning of object key string"),
    (b"{,", "invalid character ',' looking for beginning of object key string"),
    (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
    (b"NaN", "invalid character 'N' looking for beginning of value"),
    (b"Infinity", "invalid character 'I' looking for beginning of value"),
    (b"-Infinity", "invalid character 'I' in numeric literal"),
    (b"nul", "invalid character ' ' in literal null (expecting 'l')"),
    (b"nulx", "invalid character 'x' in literal null (expecting 'l')"),
    (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
    (b"fAlse", "invalid character 'A' in literal false (expecting 'a')"),
    (b"-", "invalid character ' ' in numeric literal"),
    (b"-x", "invalid character 'x' in numeric literal"),
    (b"1.", "invalid character ' ' after decimal point in numeric literal"),
    (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
    (b"1.5.", "invalid character '.' after top-level value"),
    (b"1e", "invalid character ' ' in exponent of numeric literal"),
    (b"1ex", "invalid character 'x' in exponent of numeric literal"),
    (b"1.5E+x", "invalid character 'x' in exponent of numeric literal"),
    (b"1e5e5", "invalid character 'e' after top-level value"),
    (b"01", "invalid character '1' after top-level value"),
    (b'"a"x', "invalid character 'x' after top-level value"),
    (b'"a""', "invalid character '\"' after top-level value"),
    (b'{"a":1}}', "invalid character '}' after top-level value"),
    (b"{}x", "invalid character 'x' after top-level value"),
    (b"[] []", "invalid character '[' after top-level value"),
    (b'{"a":[],"b":{}]', "invalid character ']' after object key:value pair"),
    (b"[{},[]x]", "invalid character 'x' after array element"),
    (b"[1]]", "invalid character ']' after top-level value"),
    (b'"a\\x"', "invalid character 'x' in string escape code"),
    (b'"\\\'"', "invalid character '\\'' in string escape code"),
    (b'"\\', "invalid character ' ' in string escape code"),
    (b'"a\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
    (b'"\\u12', "invalid character ' ' in \\u hexadecimal character escape"),
    (b'"\x01"', "invalid character '\\x01' in string literal"),
    (b'{"a":"\n"}', "invalid character '\\n' in string literal"),
    (b"'", "invalid character '\\'' looking for beginning of value"),
    (b"\x00", "invalid character '\\x00' looking for beginning of value"),
    (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
    (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
]


@pytest.mark.parametrize(("data", "words"), MISTAKES, ids=repr)
def test_a_mistake_is_told_in_the_words_of_go(data, words):
    with pytest.raises(BadDocumentError) as caught:
        documents.read(data, depth_max=9)
    assert str(caught.value) == words


TYPES = [
    ("[1]", f"array into Go value of type {MEMBER.kind}"),
    ('"s"', f"string into Go value of type {MEMBER.kind}"),
    ("1", f"number into Go value of type {MEMBER.kind}"),
    ("true", f"bool into Go value of type {MEMBER.kind}"),
    ('{"peerURLs":1}', "number into Go struct field .peerURLs of type []string"),
    ('{"peerURLs":"s"}', "string into Go struct field .peerURLs of type []string"),
    ('{"peerURLs":false}', "bool into Go struct field .peerURLs of type []string"),
    ('{"PEERurls":{}}', "object into Go struct field .peerURLs of type []string"),
    ('{"peerURLs":[1.5e999]}', "number into Go struct field .peerURLs of type string"),
    ('{"peerURLs":["a",[]]}', "array into Go struct field .peerURLs of type string"),
    ('{"peerURLs":[{}, 1]}', "object into Go struct field .peerURLs of type string"),
]


@pytest.mark.parametrize(("text", "words"), TYPES, ids=repr)
def test_a_value_of_another_type_is_told_in_the_words_of_go(text, words):
    document = documents.read(text.encode(), depth_max=9)
    with pytest.raises(BadDocumentError) as caught:
        documents.fields_of(document, MEMBER)
    assert str(caught.value) == f"json: cannot unmarshal {words}"


def fields(text: bytes | str, struct: Struct = MEMBER) -> documents.Fields:
    data = text.encode() if isinstance(text, str) else text
    return documents.fields_of(documents.read(data, depth_max=9), struct)


def peer_urls(text: bytes | str) -> list[str] | None:
    return fields(text).texts("peerURLs")


def test_names_match_in_any_case_and_others_are_ignored():
    assert peer_urls('{"a":{"peerURLs":1},"peerURLs":["x"],"peer":1}') == ["x"]
    assert peer_urls('{"PeerUrls":["x"]}') == ["x"]
    assert peer_urls('{"peerURL\u017f":["x"]}') == ["x"]  # a long s, as Go folds it
    assert peer_urls('{"peerURL\u00df":["x"]}') is None
    assert peer_urls("{}") is None


def test_the_name_as_it_is_written_goes_before_one_in_another_case():
    both = Struct("Both", {"A": Kind.TEXT, "a": Kind.TEXT})
    given = fields('{"a":"1","A":"2"}', both)
    assert (given.text("a"), given.text("A")) == ("1", "2")


def test_null_is_nothing():
    assert peer_urls("null") is None
    assert peer_urls('{"peerURLs":null}') is None
    assert peer_urls('{"peerURLs":[]}') == []
    assert peer_urls('{"peerURLs":["a"],"peerURLs":null}') is None
    assert peer_urls('{"peerURLs":[null,"a"]}') == ["", "a"]
    given = fields('{"role":"r","role":null,"grant":null}', ROLE)
    assert given.text("role") == "r"
    assert given.inner("grant") is None
    assert fields("{}", ROLE).text("role") == ""


def test_the_last_of_a_name_counts():
    assert peer_urls('{"peerURLs":["a","b"],"PEERURLS":["c"]}') == ["c"]
    # Go reuses the list.
    assert peer_urls('{"peerURLs":["a","b"],"peerURLs":[null,"c",null]}') == [
        "a",
        "c",
        "",
    ]


def test_structs_in_structs():
    given = fields('{"grant":{"read":["a"]},"Grant":{"READ":["b"],"x":1}}', ROLE)
    inner = given.inner("grant")
    assert inner is not None
    assert inner.texts("read") == ["b"]
    assert fields('{"grant":{}}', ROLE).inner("grant") is not None
    with pytest.raises(BadDocumentError, match=r"Role\.grant of type Permissions"):
        fields('{"grant":[]}', ROLE)
    with pytest.raises(BadDocumentError, match=r"Role\.grant\.read of type string"):
        fields('{"grant":{"read":[0]}}', ROLE)
    with pytest.raises(BadDocumentError, match=r"Role\.role of type string"):
        fields('{"role":7}', ROLE)


def test_what_is_no_character_is_replaced():
    assert peer_urls(b'{"peerURLs":["\xff\xfe","\xed\xa0\x80"]}') == [
        "\ufffd" * 2,
        "\ufffd" * 3,
    ]
    assert peer_urls('{"peerURLs":["\\ud800","\\ud83d\\ude00","\\udcffa"]}') == [
        "\ufffd",
        "\U0001f600",
        "\ufffda",
    ]


def test_only_the_first_document_is_read_when_that_is_asked_for():
    assert documents.read_first(b' {"a":1} trailing', depth_max=9) == [("a", "1")]
    with pytest.raises(BadDocumentError):
        documents.read(b'{"a":1} trailing', depth_max=9)
    with pytest.raises(BadDocumentError):
        documents.read_first(b"", depth_max=9)


def test_a_long_number_costs_no_more_than_its_digits():
    # Python's int() refuses so many digits, and takes its time for them.
    assert documents.read(b"9" * 100_000, depth_max=9) == "9" * 100_000


pieces = st.one_of(
    st.sampled_from("{}[],:\"-0x \n\\\x01\xff'"),
    st.sampled_from(['"a"', "1", ".5", "e", "e+1", "true", "nul", "null", "\\u00"]),
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_what_python_takes_has_no_mistake_and_what_it_refuses_has(text):
    data = text.encode()
    try:
        json.loads(text)
    except ValueError:
        assert grammar.problem(data)
        with pytest.raises(BadDocumentError):
            documents.read(data, depth_max=20)
    else:
        assert grammar.problem(data) == ""
        documents.read(data, depth_max=20)
