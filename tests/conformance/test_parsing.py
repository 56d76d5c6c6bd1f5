"""Routes and methods; where parameters come from; which mistake is told first."""

from __future__ import annotations

import itertools

import pytest

from kvd.testing.rows import Raw, Row, names, row

pytestmark = pytest.mark.oracle

MIB = 1 << 20


def put(content_type: str | None, body: bytes, target: str = "$/a") -> Raw:
    typed = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    head = f"PUT {target} HTTP/1.1\r\nHost: s\r\n{typed}Content-Length: {len(body)}"
    return Raw(head.encode("latin-1") + b"\r\n\r\n" + body)


METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "TRACE", "get", "X")
TARGETS = (
    "/v2/keys",
    "/v2/keys/nothing",
    "/v2/keysX",
    "/v2",
    "/v2/",
    "/",
    "/nowhere",
    "/v2/machines",
    "/v2/machines/",
    "/v2/stats/self/",
    "/v2/stats/store/",
    "/v2/stats",
    "/v2/stats/",
    "/v2/stats/other",
    "/version/",
    "/health/",
    "/v1/keys",
    "/keys",
    "/favicon.ico",
)

ROUTES = [
    *(
        row(f"every method on {target}", *(f"{method} {target}" for method in METHODS))
        for target in TARGETS
        if target not in {"/v2/keys", "/v2/keys/nothing"}
    ),
    row(
        "methods that the keys do not know are 405",
        *(
            f"{method} {target}"
            for method in ("PATCH", "TRACE", "get", "X", "COPY")
            for target in ("/v2/keys", "/v2/keys/nothing?ttl=junk")
        ),
    ),
    *(
        row(
            f"methods that {target} does not know are 405",
            *(
                f"{method} {target}"
                for method in ("PUT", "POST", "DELETE", "PATCH", "X", "HEAD")
            ),
        )
        for target in (
            "/v2/machines",
            "/v2/stats/self",
            "/v2/stats/store",
            "/v2/stats/leader",
            "/version",
            "/health",
        )
    ),
    row(
        "methods that members do not know are 405",
        *(
            f"{method} {target}"
            for method in ("HEAD", "PATCH", "X")
            for target in (
                "/v2/members",
                "/v2/members/",
                "/v2/members/leader",
                "/v2/members/1",
            )
        ),
    ),
]

SOURCES = [
    row(
        "the body beats the query",
        "PUT $/a?value=query value=body",
        "PUT $/a?ttl=junk ttl=",
        "PUT $/a?dir=junk dir=true",
    ),
    row(
        "the first of two counts",
        "PUT $/a value=1&value=2",
        "PUT $/b?value=1&value=2",
        "PUT $/a value=1&ttl=100&ttl=junk",
    ),
    row(
        "names are case sensitive, others are ignored",
        "PUT $/a Value=1&VALUE=2&x=y&prevexist=junk",
        "GET $/a?Wait=true&RECURSIVE=junk",
    ),
    row(
        "a plus is a blank, escapes are bytes",
        "PUT $/a value=a+b%2Bc%20d%00%FF%C3%A9",
        "GET $/a",
    ),
    row(
        "empty and nameless pieces are fine",
        "PUT $/a &&value=1&&=x&valueless&",
        "PUT $/b value",
        "PUT $/c =&=",
        "PUT $/d value=a=b",
    ),
    row(
        "a body of another type is not read",
        put("text/plain", b"value=1"),
        put("application/json", b'{"value":"1"}'),
        put(
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="value"\r\n\r\n1\r\n--x--\r\n',
        ),
        put(None, b"value=1"),
        put("multipart/mixed", b"x"),
    ),
    row(
        "a form's type may have any case and parameters",
        put("APPLICATION/X-WWW-Form-UrlEncoded", b"value=1"),
        put("application/x-www-form-urlencoded; charset=UTF-8", b"value=1"),
        put(" application/x-www-form-urlencoded ;charset=utf-8", b"value=1"),
        put('application/x-www-form-urlencoded; a="b;c"', b"value=1"),
    ),
    row("an empty type is no type", put("", b"value=1")),
    *(
        row(
            f"the type {bad!r} is an error or not",
            put(bad, b"value=1"),
            put(bad, b"value=1", "$/b?value=%zz"),
        )
        for bad in (
            ";",
            "bad/;;type",
            "a/b; c",
            "a/b;c=",
            "a b",
            "text",
            "/",
            "a/b/c",
            "a/b; c=d; c=e",
            "a/b; c=d; c=d",
            "a/b;",
            "a/b; =x",
            'a/b; c="d',
            "a/b; c=d e",
            "application/x-www-form-urlencoded; x",
            "\xe9/x",
            "a/b;;",
            "@/x",
            "a/@",
            "a/b; c*=utf-8''x",
            "application/x-www-form-urlencoded;",
        )
    ),
    row(
        "a get's type is not looked at",
        Raw(b"GET $/a HTTP/1.1\r\nHost: s\r\nContent-Type: ;\r\n\r\n"),
        Raw(b"DELETE $/a HTTP/1.1\r\nHost: s\r\nContent-Type: ;\r\n\r\n"),
    ),
    row(
        "a post's type is",
        Raw(b"POST $/a HTTP/1.1\r\nHost: s\r\nContent-Type: ;\r\n\r\n"),
    ),
    *(
        row(
            f"the bad escape {bad}",
            f"PUT $/a value={bad}",
            f"PUT $/a?value={bad} value=1",
            f"GET $/a?x={bad}",
            f"DELETE $/a?{bad}",
            f"PUT $/a {bad}=1",
        )
        for bad in ("%zz", "%", "%1", "%1g", "a%%41", "%G", "%25%", "%c3%a", "%é")
    ),
    row(
        "a raw semicolon is an error",
        "PUT $/a value=1;ttl=2",
        "GET $/a?a=1;b=2",
        "PUT $/a?x;y value=1",
        "GET $/a?;",
    ),
    row("an escaped semicolon is not", "PUT $/a value=1%3Bttl=2"),
    row(
        "of a bad body and a bad query the body is told",
        "PUT $/a?%zz value=%yy",
        "PUT $/a?%zz a;b",
        "PUT $/a?a;b value=%yy",
    ),
    row(
        "of two bad pieces the first is told",
        "PUT $/a a;b&c=%zz",
        "PUT $/a c=%zz&a;b",
        "GET $/a?c=%z1&d=%z2",
    ),
    row(
        "what follows a bad piece is told as the bad piece",
        "PUT $/a value=1&c=%zz&prevExist=junk",
    ),
    row(
        "a form of 10 MiB is taken",
        put(
            "application/x-www-form-urlencoded",
            b"value=" + b"x" * (10 * MIB - 6),
            "$/a?noValueOnSuccess=true",
        ),
        "DELETE $/a?noValueOnSuccess=true",
    ),
    row(
        "a form of a byte more is too large",
        put("application/x-www-form-urlencoded", b"value=" + b"x" * (10 * MIB - 5)),
        "GET $/a",
        meant="the same answer; kvd then closes the connection, etcd reads up to 256 KiB "
        "more away and keeps it",
    ),
    row(
        "a too large body of another type is not read",
        put("text/plain", b"x" * (10 * MIB + 5)),
    ),
]

# One bad value for each field, in the order in which they are looked at (V2-SPEC 3.3).
MISTAKES = (
    "prevIndex=x",
    "waitIndex=x",
    "recursive=x",
    "sorted=x",
    "wait=x",
    "dir=x",
    "quorum=x",
    "stream=x",
    "prevValue=",
    "noValueOnSuccess=x",
    "ttl=x",
    "prevExist=x",
    "refresh=x",
)


def one_by_one(name: str, values: tuple[str, ...]) -> Row:
    """The same field with each value, on a method where it means little."""
    return row(
        f"values that {name} takes and refuses",
        *(f"DELETE $/no?{name}={value}" for value in values),
        f"DELETE $/no?{name}",
    )


BOOLEANS = (
    "1",
    "t",
    "T",
    "TRUE",
    "true",
    "True",
    "0",
    "f",
    "F",
    "FALSE",
    "false",
    "False",
    "",
    "yes",
    "tRUE",
    "%20true",
    "2",
    "on",
    "-1",
)
NUMBERS = (
    "0",
    "1",
    "007",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "%2B1",
    "",
    "1.0",
    "0x1",
    "1e3",
    "%201",
    "1_000",
    "x",
    "%D9%A1",
)
LATE = {"waitIndex", "stream"}  # have no meaning on DELETE at all

VALIDATION = [
    *(
        one_by_one(name, BOOLEANS)
        for name in (
            "recursive",
            "sorted",
            "dir",
            "quorum",
            "stream",
            "noValueOnSuccess",
            "prevExist",
            "refresh",
        )
    ),
    *(one_by_one(name, NUMBERS) for name in ("prevIndex", "waitIndex", "ttl")),
    row(
        "values that wait takes and refuses",
        *(f"GET $/no?quorum=true&wait={value}" for value in BOOLEANS),
    ),
    row(
        "wait is for gets only",
        *(f"{method} $/no?wait=true" for method in ("HEAD", "PUT", "POST", "DELETE")),
        "PUT $/a wait=true&value=1",
        "PUT $/a wait=false&value=1",
    ),
    row(
        "wait on another method comes after the booleans and before the rest",
        "PUT $/a wait=true&stream=x",
        "PUT $/a wait=true&prevValue=",
        "PUT $/a wait=true&ttl=x",
        "HEAD $/a?wait=true&dir=x",
    ),
    row(
        "an empty prevValue is refused on any method",
        *(
            f"{method} $/no?prevValue="
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
        ),
    ),
    row(
        "a refresh with a value is 211",
        "PUT $/a refresh=true&value=1&ttl=5",
        "PUT $/a refresh=true&value=1",
        "PUT $/a refresh=false&value=1",
    ),
    row(
        "a refresh without a ttl is 212",
        "PUT $/a refresh=true",
        "PUT $/a refresh=true&ttl=",
        "GET $/a?refresh=true",
        "DELETE $/a?refresh=1",
    ),
    row(
        "a refresh is looked at on every method",
        "GET $/a?refresh=true&value=1",
        "POST $/a refresh=true&value=1",
    ),
    row(
        "fields are checked where they mean nothing",
        "GET $/a?ttl=x",
        "GET $/a?prevExist=x",
        "DELETE $/a?waitIndex=x",
        "POST $/a prevIndex=x",
        "HEAD $/a?refresh=x",
    ),
    *(
        row(
            f"of two mistakes, {first.partition('=')[0]} is told before those after it",
            *(
                step
                for second in rest
                for step in (f"PUT $/a {first}&{second}", f"PUT $/a {second}&{first}")
            ),
        )
        for first, rest in (
            (first, MISTAKES[at + 1 :]) for at, first in enumerate(MISTAKES)
        )
        if rest
    ),
    row(
        "every mistake beside a refresh with a value",
        *(f"PUT $/a refresh=true&value=1&{mistake}" for mistake in MISTAKES[:-1]),
    ),
    row(
        "every mistake beside a wait on a put",
        *(
            f"PUT $/a wait=true&{mistake}"
            for mistake in MISTAKES
            if mistake != "wait=x"
        ),
    ),
    row(
        "a form mistake comes before every field's",
        *(f"PUT $/a?%zz {mistake}" for mistake in MISTAKES),
    ),
    row(
        "a method mistake comes before all",
        *(f"PATCH $/a?{mistake}" for mistake in MISTAKES),
    ),
    row(
        "a mistake comes before what the store would say",
        "PUT /v2/keys ttl=x",
        "DELETE $/no?prevIndex=x",
        "PUT $/f value=1",
        "PUT $/f/x ttl=x",
    ),
    row(
        "all mistakes in one request",
        f"PUT $/a {'&'.join(MISTAKES)}",
        f"GET $/a?{'&'.join(reversed(MISTAKES))}",
    ),
]

PREV_EXIST = ("", "prevExist=true", "prevExist=false")
PREV_VALUE = ("", "prevValue=1", "prevValue=2")
PREV_INDEX = ("", "prevIndex=0", "prevIndex=@1", "prevIndex=1")
STATES = {
    "nothing": (),
    "a file": ("PUT $/k value=1",),
    "a directory": ("PUT $/k dir=true",),
    "a full directory": ("PUT $/k/x value=1",),
}


def conditions() -> list[str]:
    combined = itertools.product(PREV_EXIST, PREV_VALUE, PREV_INDEX)
    return ["&".join(filter(None, each)) for each in combined]


DISPATCH = (
    [
        row(
            f"{method} with {condition or 'no condition'} on {state}",
            *before,
            f"{method} $/k?{condition} value=3",
            "GET $?recursive=true",
        )
        for method in ("PUT", "POST", "DELETE")
        for condition in conditions()
        for state, before in STATES.items()
    ]
    + [
        row(
            f"PUT of a dir with {condition or 'no condition'} on {state}",
            *before,
            f"PUT $/k?{condition} dir=true",
            "GET $?recursive=true",
        )
        for condition in conditions()
        for state, before in STATES.items()
    ]
    + [
        row(
            f"DELETE {flags} with {condition or 'no condition'} on {state}",
            *before,
            f"DELETE $/k?{flags}&{condition}",
            "GET $?recursive=true",
        )
        for flags in ("dir=true", "recursive=true", "dir=true&recursive=true")
        for condition in ("", "prevValue=1", "prevIndex=@1")
        for state, before in STATES.items()
    ]
)

ROWS = [*ROUTES, *SOURCES, *VALIDATION, *DISPATCH]


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd(row, agree) -> None:
    agree(row)
