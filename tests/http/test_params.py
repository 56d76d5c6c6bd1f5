"""Forms as Go reads them, and the table of V2-SPEC 3.3."""

from __future__ import annotations

import json
import time

import pytest

NUMBERS = 'invalid value for "{}"'


def cause(port, method: str, query: str, form: str | None = None, headers: str = ""):
    """Code and cause of a refusal, or None."""
    answer = port.request(method, f"/v2/keys/a?{query}", form, headers)
    if answer.status < 300 or answer.status == 404:
        return None
    error = json.loads(answer.body)
    if error["code" if "code" in error else "errorCode"] < 200:
        return None
    assert answer.status == 400
    assert error["index"] == 0
    assert answer["X-Etcd-Index"] == "0"
    assert answer["X-Etcd-Cluster-Id"] == "d141b266ca1a82cc"
    assert answer["X-Raft-Index"] is None
    return error["errorCode"], error["cause"]


# V2-SPEC 3.3 row by row, in its order.
TABLE = [
    ("prevIndex=x", 203, 'invalid value for "prevIndex"'),
    ("waitIndex=x", 203, 'invalid value for "waitIndex"'),
    ("recursive=x", 209, 'invalid value for "recursive"'),
    ("sorted=x", 209, 'invalid value for "sorted"'),
    ("wait=x", 209, 'invalid value for "wait"'),
    ("dir=x", 209, 'invalid value for "dir"'),
    ("quorum=x", 209, 'invalid value for "quorum"'),
    ("stream=x", 209, 'invalid value for "stream"'),
    ("wait=true", 209, '"wait" can only be used with GET requests'),
    ("prevValue=", 201, '"prevValue" cannot be empty'),
    ("noValueOnSuccess=x", 209, 'invalid value for "noValueOnSuccess"'),
    ("ttl=x", 202, 'invalid value for "ttl"'),
    ("prevExist=x", 209, "invalid value for prevExist"),
    ("refresh=x", 209, "invalid value for refresh"),
    ("refresh=true&value=v", 211, "A value was provided on a refresh"),
    ("refresh=true", 212, "No TTL value set"),
]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "GET"])
@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_each_check_on_each_method(port, method, row):
    query, code, text = row
    if method == "GET" and query == "wait=true":
        return
    assert cause(port, method, query) == (code, text)


def test_a_watch_is_a_get_not_a_head(port):
    assert port.request("HEAD", "/v2/keys/a?wait=true").status == 400


@pytest.mark.parametrize("at", range(len(TABLE) - 1))
def test_the_first_failing_check_decides(port, at):
    query, code, text = TABLE[at]
    after, *_ = TABLE[at + 1]
    if query == "wait=x":
        after = "dir=x"
    if query.startswith("refresh=x"):
        after = "value=v"
    assert cause(port, "PUT", f"{after}&{query}") == (code, text)


def test_a_form_that_cannot_be_read_comes_before_all_fields(port):
    assert cause(port, "PUT", "prevIndex=x&a=%zz") == (
        210,
        'invalid URL escape "%zz"',
    )


def test_number_parsing_strict(port):
    """H06"""
    bad = ["1_000", "１２", " 5", "5 ", "+5", "-5", "0x10", "", "1.0", "1e3", "٣", "²"]
    bad += ["9" * 6000, str(2**64), "0" * 7000 + str(2**64)]
    for name, code in (("prevIndex", 203), ("waitIndex", 203), ("ttl", 202)):
        for text in bad:
            if name == "ttl" and not text:
                continue
            form = f"{name}={text.replace('+', '%2B')}"
            assert cause(port, "PUT", "", form) == (code, NUMBERS.format(name)), text
    for text in ("0", "007", str(2**64 - 1), "0" * 7000 + "1"):
        assert cause(port, "PUT", "", f"ttl={text}") is None, text


def test_python_s_int_would_not_do(port, monkeypatch):
    """The mutant of H06 takes what Go does not."""
    from kvd.http import params

    monkeypatch.setattr(params, "parse_uint64", int)
    for text in ("1_000", "１２", " 5", "%2B5"):
        assert cause(port, "PUT", "", f"ttl={text}") is None, text


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_what_is_true(port, text):
    answer = port.request("PUT", f"/v2/keys/a?dir={text}")
    assert b'"dir":true' in answer.body


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_what_is_false(port, text):
    answer = port.request("PUT", f"/v2/keys/a?dir={text}")
    assert b'"dir"' not in answer.body


@pytest.mark.parametrize("text", ["", "yes", "tRUE", "2", "%20true", "on"])
def test_what_is_neither(port, text):
    assert cause(port, "PUT", f"dir={text}") == (209, 'invalid value for "dir"')


# query, form, the value that is stored
FORMS = [
    ("", "value=a", "a"),
    ("value=q", "value=b", "b"),
    ("value=q", "other=b", "q"),
    ("", "value=1&value=2", "1"),
    ("", "Value=1", ""),
    ("", "&&value=1&&", "1"),
    ("", "=x&value=1", "1"),
    ("", "value", ""),
    ("", "value=a=b", "a=b"),
    ("", "value=a+b%2Bc%20d", "a b+c d"),
    ("", "%76alue=x", "x"),
    ("", "val%75e=x&value=y", "x"),
    ("", "value=%c3%a9\u00e9", "\u00e9\u00e9"),
    ("", "value=%26%3b%3D", "&;="),
    ("", "value=%00%0a%7f", "\x00\n\x7f"),
    ("value=%E2%82%AC", "", "\u20ac"),
]


@pytest.mark.parametrize(("query", "form", "stored"), FORMS)
def test_a_form(port, query, form, stored):
    answer = port.request("PUT", f"/v2/keys/a?{query}", form)
    assert json.loads(answer.body)["node"]["value"] == stored


BAD_FORMS = [
    ("", "value=%zz", 'invalid URL escape "%zz"'),
    ("", "value=%", 'invalid URL escape "%"'),
    ("", "value=%4", 'invalid URL escape "%4"'),
    ("", "value=ab%4xyz", 'invalid URL escape "%4x"'),
    ("", "%zz=1", 'invalid URL escape "%zz"'),
    ("", "value=%41%4", 'invalid URL escape "%4"'),
    ("", 'value=%"\\', 'invalid URL escape "%\\"\\\\"'),
    ("", "value=%\x01\x7f", 'invalid URL escape "%\\x01\\x7f"'),
    ("", "value=%\u00e9", 'invalid URL escape "%\u00e9"'),
    ("", "a;b=c", "invalid semicolon separator in query"),
    ("a;b", "", "invalid semicolon separator in query"),
    ("a=%zz", "b;c", "invalid semicolon separator in query"),
    ("b;c", "a=%zz", 'invalid URL escape "%zz"'),
    ("", "c=%zz&a;b", "invalid semicolon separator in query"),
    ("", "a=%y&a=%z", 'invalid URL escape "%y"'),
]


@pytest.mark.parametrize(("query", "form", "text"), BAD_FORMS)
def test_a_bad_form(port, query, form, text):
    assert cause(port, "PUT", query, form) == (210, text)
    assert b'"nodes"' not in port.request("GET", "/v2/keys").body


def test_bad_utf8_and_percent(port):
    """H08: bytes that are no UTF-8 are kept, and shown as U+FFFD each."""
    answer = port.request("PUT", "/v2/keys/%ff%C3", b"value=\xff\xc3%fe\xe2\x82%AC")
    assert answer.status == 201
    body = answer.body.decode()
    assert '"key":"/\\ufffd\\ufffd"' in body
    assert '"value":"\\ufffd\\ufffd\\ufffd\u20ac"' in body
    form = b"value=2&prevValue=%ff\xc3\xfe%e2%82%ac"
    assert port.request("PUT", "/v2/keys/%ff%c3", form).status == 200
    assert port.request("GET", "/v2/keys/%ff").status == 404
    assert cause(port, "PUT", "value=%zz") == (210, 'invalid URL escape "%zz"')
    said, _ = port.ask("GET /v2/keys/%zz HTTP/1.1\r\nHost: kvd\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    said, _ = port.ask(b"GET /v2/keys/\xff\xc3 HTTP/1.1\r\nHost: kvd\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


FORM_TYPE = "application/x-www-form-urlencoded"
# Content-Type, what is stored or the cause
TYPES = [
    (FORM_TYPE, "v", None),
    (FORM_TYPE.upper(), "v", None),
    (f"  {FORM_TYPE} ; charset=UTF-8", "v", None),
    (f'{FORM_TYPE}; a="b;\\"c"; d=e;', "v", None),
    (f"{FORM_TYPE};", "v", None),
    (f"{FORM_TYPE}; ;", None, "mime: invalid media parameter"),
    (f"{FORM_TYPE}; a", None, "mime: invalid media parameter"),
    (f"{FORM_TYPE}; a=", None, "mime: invalid media parameter"),
    (f'{FORM_TYPE}; a="b', None, "mime: invalid media parameter"),
    (f"{FORM_TYPE}; a=b c", None, "mime: invalid media parameter"),
    ("a/b; c=d; c=d", None, "mime: duplicate parameter name"),
    ("a/b; c=d; C=e", None, "mime: duplicate parameter name"),
    ("text/plain", "", None),
    ("multipart/form-data; boundary=x", "", None),
    ("application/json", "", None),
    ("text", "", None),
    ("", "", None),
    (";", None, "mime: no media type"),
    ("/x", None, "mime: no media type"),
    ("a b", None, "mime: expected slash after first token"),
    ("bad/;;type", None, "mime: expected token after slash"),
    ("a/b c", None, "mime: unexpected content after media subtype"),
]


@pytest.mark.parametrize(("kind", "stored", "text"), TYPES)
def test_a_content_type(port, read, kind, stored, text):
    said, _ = port.ask("")
    head = f"PUT /v2/keys/a HTTP/1.1\r\nHost: k\r\nContent-Type: {kind}\r\n"
    said, _ = port.ask(f"{head}Content-Length: 7\r\n\r\nvalue=v")
    (answer,) = read(said)
    body = json.loads(answer.body)
    if text is None:
        assert body["node"]["value"] == stored
    else:
        assert (body["errorCode"], body["cause"]) == (210, text)


def test_other_methods_read_no_body_and_look_at_no_type(port):
    port.request("PUT", "/v2/keys/a", "value=1")
    for method in ("GET", "HEAD", "DELETE"):
        headers = "Content-Type: ;\r\nContent-Length: 9\r\n\r\nprevIndex"
        answer = port.request(method, "/v2/keys/a", headers=headers[:-2])
        assert answer.status == 200


def test_a_hostile_form_is_read_in_linear_time(port):
    began = time.process_time()
    for form in ("&" * 400_000, "%" * 400_000, "a=%61&" * 60_000, "=;" * 200_000):
        port.request("PUT", "/v2/keys/a", form)
    assert time.process_time() - began < 10  # quadratic would take minutes
