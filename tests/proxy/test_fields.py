"""Header fields on their way through."""

from __future__ import annotations

from kvd.proxy.fields import answer_fields, request_fields


def test_what_concerns_one_connection_stays_on_it():
    fields = (
        (b"connection", b"close, X-Mine , keep-alive"),
        (b"x-mine", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"trailer", b"X"),
        (b"trailers", b"X"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"proxy-authorization", b"Basic eDp5"),
        (b"proxy-authenticate", b"Basic"),
        (b"proxy-connection", b"keep-alive"),
        (b"authorization", b"Basic cm9vdDpy"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    )
    assert request_fields(fields, client="", host=b"kvd") == (
        (b"Authorization", b"Basic cm9vdDpy"),
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Host", b"kvd"),
    )


def test_how_the_body_came_does_not_matter_any_more():
    fields = (
        (b"content-length", b"7"),
        (b"expect", b"100-continue"),
        (b"host", b"a"),
        (b"", b"no name"),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
    )
    sent = request_fields(fields, client="", host=b"b")
    assert sent == ((b"X-Twice", b"1"), (b"X-Twice", b"2"), (b"Host", b"b"))


def test_the_client_is_added_to_the_route():
    assert request_fields((), client="10.0.0.9", host=None) == (
        (b"X-Forwarded-For", b"10.0.0.9"),
    )
    fields = ((b"x-forwarded-for", b"10.1.1.1, 10.2.2.2"), (b"x-forwarded-for", b"::1"))
    assert request_fields(fields, client="10.0.0.9", host=None) == (
        (b"X-Forwarded-For", b"10.1.1.1, 10.2.2.2, ::1, 10.0.0.9"),
    )
    assert request_fields(fields[1:], client="", host=None) == (
        (b"X-Forwarded-For", b"::1"),
    )


def test_an_answer_keeps_its_fields_in_the_order_of_their_names():
    fields = (
        (b"X-Etcd-Index", b"7"),
        (b"date", b"Tue, 24 Nov 2026 13:06:25 GMT"),
        (b"WWW-Authenticate", b"Basic realm=etcd"),
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Access-Control-Allow-Methods", b"GET"),
        (b"Access-Control-Allow-Headers", b"accept"),
        (b"Set-Cookie", b"b"),
        (b"Set-Cookie", b"a"),
        (b"bad name", b"1"),
    )
    assert answer_fields(fields, length=3) == (
        (b"Content-Length", b"3"),
        (b"Date", b"Tue, 24 Nov 2026 13:06:25 GMT"),
        (b"Set-Cookie", b"b"),
        (b"Set-Cookie", b"a"),
        (b"Www-Authenticate", b"Basic realm=etcd"),
        (b"X-Etcd-Index", b"7"),
    )


def test_a_length_of_the_heads_own_stays_where_none_is_given():
    fields = ((b"content-length", b"84"),)
    assert answer_fields(fields, length=None) == ((b"Content-Length", b"84"),)
    assert answer_fields(fields, length=84) == ((b"Content-Length", b"84"),)
