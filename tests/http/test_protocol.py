"""HTTP as V2-SPEC 1 has it: framing, CORS, path cleaning, refusals; a row a behaviour."""

from __future__ import annotations

import pytest

CORS = (
    "Access-Control-Allow-Headers: accept, content-type, authorization\r\n"
    "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"
    "Access-Control-Allow-Origin: *\r\n"
)
DATE = "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
PLAIN = "Content-Type: text/plain; charset=utf-8\r\n"
NOSNIFF = PLAIN + "X-Content-Type-Options: nosniff\r\n"
VERSION = '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}'
VERSION_OK = (
    f"HTTP/1.1 200 OK\r\n{CORS}Content-Type: application/json\r\n{DATE}"
    f"Content-Length: 45\r\n\r\n{VERSION}"
)
OPTIONS_OK = f"HTTP/1.1 200 OK\r\n{CORS}{DATE}Content-Length: 0\r\n\r\n"
NOT_FOUND = (
    f"HTTP/1.1 404 Not Found\r\n{CORS}{NOSNIFF}{DATE}"
    "Content-Length: 19\r\n\r\n404 page not found\n"
)
HOST = "Host: kvd\r\n"
GET = f"GET /version HTTP/1.1\r\n{HOST}"


def refused(status: str, body: str = "") -> str:
    return f"HTTP/1.1 {status}\r\n{PLAIN}Connection: close\r\n\r\n{body or status}"


def moved(location: str, shown: str = "") -> str:
    body = f'<a href="{shown or location}">Moved Permanently</a>.\n\n'
    return (
        f"HTTP/1.1 301 Moved Permanently\r\n{CORS}"
        f"Content-Type: text/html; charset=utf-8\r\nLocation: {location}\r\n{DATE}"
        f"Content-Length: {len(body.encode('latin-1'))}\r\n\r\n{body}"
    )


def get(target: str) -> str:
    return f"GET {target} HTTP/1.1\r\n{HOST}\r\n"


BAD = refused("400 Bad Request")
SILENT = ""

# name: (sent, said, end). Latin-1 stands for raw bytes.
ROWS: dict[str, tuple[str, str, str]] = {
    # -- 1.1: keep-alive and versions
    "1.1 stays open": (GET + "\r\n", VERSION_OK, "open"),
    "1.1 closes when asked": (
        GET + "Connection: foo, Close\r\n\r\n",
        VERSION_OK.replace("45\r\n", "45\r\nConnection: close\r\n"),
        "closed",
    ),
    "1.0 closes": (
        "GET /version HTTP/1.0\r\n\r\n",
        VERSION_OK.replace("HTTP/1.1", "HTTP/1.0"),
        "closed",
    ),
    "1.0 stays open when asked": (
        "GET /version HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        VERSION_OK.replace("HTTP/1.1", "HTTP/1.0").replace(
            "45\r\n", "45\r\nConnection: keep-alive\r\n"
        ),
        "open",
    ),
    "1.2 is taken for 1.1": (GET.replace("1.1", "1.2") + "\r\n", VERSION_OK, "open"),
    "a HEAD has the length and no body": (
        f"HEAD /v2/machines HTTP/1.1\r\n{HOST}\r\n",
        f"HTTP/1.1 200 OK\r\n{CORS}{DATE}Content-Length: 31\r\n{PLAIN}\r\n",
        "open",
    ),
    # -- 1.2: CORS and OPTIONS
    "OPTIONS on any path": (f"OPTIONS /x//y?%zz HTTP/1.1\r\n{HOST}\r\n", OPTIONS_OK, "open"),
    "OPTIONS with a body": (
        f"OPTIONS /v2/keys HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc",
        OPTIONS_OK,
        "open",
    ),
    "OPTIONS *": (
        f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{DATE}\r\n",
        "open",
    ),
    # -- 1.3: path cleaning
    "doubled slashes": (get("/v2//keys//a"), moved("/v2/keys/a"), "open"),
    "a dot": (get("/v2/./keys/a"), moved("/v2/keys/a"), "open"),
    "two dots": (get("/v2/keys/c1/.."), moved("/v2/keys"), "open"),
    "two dots escaped": (get("/v2/keys/%2e%2e/foo"), moved("/v2/foo"), "open"),
    "above the root": (get("/../../version"), moved("/version"), "open"),
    "a slash escaped": (get("/v2/keys/%2Ffoo"), moved("/v2/keys/foo"), "open"),
    "a trailing slash stays": (get("//v2/keys/"), moved("/v2/keys/"), "open"),
    "a trailing dot goes": (get("/v2/keys/."), moved("/v2/keys"), "open"),
    "the query stays raw": (
        get("/v2//keys?a=<%zz>&b='\""),
        moved("/v2/keys?a=<%zz>&b='\"", "/v2/keys?a=&lt;%zz&gt;&amp;b=&#39;&#34;"),
        "open",
    ),
    "an empty query goes": (get("/v2//keys?"), moved("/v2/keys"), "open"),
    "what was escaped is escaped again": (
        get("/v2//keys/!'()*$&+,:;=@~%41%3f%23%25%c3%a9 ".strip()),
        moved(
            "/v2/keys/%21%27%28%29%2A$&+,:;=@~A%3F%23%25%C3%A9",
            "/v2/keys/%21%27%28%29%2A$&amp;+,:;=@~A%3F%23%25%C3%A9",
        ),
        "open",
    ),
    "raw bytes in the query": (
        get("/v2//keys?a=\xff"),
        moved("/v2/keys?a=%ff", "/v2/keys?a=\xff"),
        "open",
    ),
    "PUT gets no body with its 301": (
        f"PUT /v2//keys HTTP/1.1\r\n{HOST}\r\n",
        (f"HTTP/1.1 301 Moved Permanently\r\n{CORS}Location: /v2/keys\r\n{DATE}"
        "Content-Length: 0\r\n\r\n"),
        "open",
    ),
    "HEAD gets no length with its 301": (
        f"HEAD /v2//keys HTTP/1.1\r\n{HOST}\r\n",
        (f"HTTP/1.1 301 Moved Permanently\r\n{CORS}"
        f"Content-Type: text/html; charset=utf-8\r\nLocation: /v2/keys\r\n{DATE}\r\n"),
        "open",
    ),
    "CONNECT is not cleaned": (f"CONNECT /x//y HTTP/1.1\r\n{HOST}\r\n", NOT_FOUND, "open"),
    "CONNECT to a host": (f"CONNECT a:1 HTTP/1.1\r\n{HOST}\r\n", NOT_FOUND, "open"),
    "an absolute target": (get("http://other:99/version"), VERSION_OK, "open"),
    "an absolute target with a user": (get("http://u:p@other/version"), VERSION_OK, "open"),
    "an absolute target with an address": (get("http://[::1]:9/version"), VERSION_OK, "open"),
    "any scheme": (get("ftp://other/version"), VERSION_OK, "open"),
    "an absolute target without a path": (get("http://other"), moved("/"), "open"),
    "an absolute target with a query only": (get("http://other?a=b"), moved("/?a=b"), "open"),
    "an opaque target": (get("mailto:x"), moved("/"), "open"),
    "paths are case sensitive": (get("/Version"), NOT_FOUND, "open"),
    "a hash is an ordinary character": (get("/version#x"), NOT_FOUND, "open"),
    # -- 1.4: refusals
    "a bad escape in the path": (get("/v2/keys/%zz"), BAD, "half"),
    "a bad escape in the host": (get("http://%zz/version"), BAD, "half"),
    "a bad port": (get("http://other:x/version"), BAD, "half"),
    "an address without its bracket": (get("http://[::1/version"), BAD, "half"),
    "a control character in the path": (get("/v2/keys/\x01"), BAD, "half"),
    "a control character in the query": (get("/v2/keys?a=\x7f"), BAD, "half"),
    "a target without a slash": (get("version"), BAD, "half"),
    "two hosts": (GET + HOST + "\r\n", BAD, "half"),
    "a length that is no number": (GET + "Content-Length: x\r\n\r\n", BAD, "half"),
    "a header without a colon": (GET + "Foo\r\n\r\n", BAD, "half"),
    "a first header that is a continuation": (
        f"GET /version HTTP/1.1\r\n {HOST}\r\n",
        BAD,
        "half",
    ),
    "no host": (
        "GET /version HTTP/1.1\r\n\r\n",
        refused("400 Bad Request: missing required Host header"),
        "half",
    ),
    "an empty host": ("GET /version HTTP/1.1\r\nHost:\r\n\r\n", VERSION_OK, "open"),
    "a malformed host": (
        "GET /version HTTP/1.1\r\nHost: a b\r\n\r\n",
        refused("400 Bad Request: malformed Host header"),
        "half",
    ),
    "a space in a header's name": (
        GET + "A b: c\r\n\r\n",
        refused("400 Bad Request: invalid header name"),
        "half",
    ),
    "a header's name in no ASCII": (
        GET + "\xe4: c\r\n\r\n",
        refused("400 Bad Request: invalid header name"),
        "half",
    ),
    "a header without a name": (GET + ": c\r\n\r\n", VERSION_OK, "open"),
    "a control character in a header": (
        GET + "A: b\x00c\r\n\r\n",
        refused("400 Bad Request: invalid header value"),
        "half",
    ),
    "a lone CR in a header": (
        GET + "A: b\rc\r\n\r\n",
        refused("400 Bad Request: invalid header value"),
        "half",
    ),
    "a coding that we do not know": (
        GET + "Transfer-Encoding: gzip\r\n\r\n",
        refused("501 Not Implemented", "Unsupported transfer encoding"),
        "half",
    ),
    "an expectation that we do not know": (
        GET + "Expect: peace\r\n\r\n",
        (f"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\n{DATE}"
        "Content-Length: 0\r\n\r\n"),
        "half",
    ),
    "GET *": (
        get("*"),
        (f"HTTP/1.1 400 Bad Request\r\n{CORS}Connection: close\r\n{DATE}"
        "Content-Length: 0\r\n\r\n"),
        "closed",
    ),
    "a method that is no token": (f"G(T /version HTTP/1.1\r\n{HOST}\r\n", BAD, "half"),
    "no request line": ("FOO\r\n", SILENT, "closed"),
    "an empty first line": ("\r\n" + GET + "\r\n", SILENT, "closed"),
    "HTTP/2.0": (GET.replace("1.1", "2.0") + "\r\n", SILENT, "closed"),
    "HTTP/1.10": (GET.replace("1.1", "1.10") + "\r\n", SILENT, "closed"),
    "http in small letters": (GET.replace("HTTP", "http") + "\r\n", SILENT, "closed"),
    "a space in the target": (get("/ver sion"), SILENT, "closed"),
    "two spaces": (get(" /version"), SILENT, "closed"),
    "later no request line": (GET + "\r\nFOO\r\n\r\n", VERSION_OK + BAD, "half"),
    "later a version that is none": (
        GET + "\r\nGET / HTTP/x\r\n\r\n",
        VERSION_OK + BAD,
        "half",
    ),
    "later HTTP/2.0": (
        GET + "\r\n" + GET.replace("1.1", "2.0") + "\r\n",
        VERSION_OK + refused("505 HTTP Version Not Supported: unsupported protocol version"),
        "half",
    ),
    # -- what is accepted
    "line feeds alone": (GET.replace("\r", "") + "\n", VERSION_OK, "open"),
    "line feeds in one line": (GET + "A: b\nC: d\r\n\r\n", VERSION_OK, "open"),
    "a line feed before the end": (GET + "A: b\n\r\n", VERSION_OK, "open"),
    "a line feed at the end": (GET + "A: b\r\n\n", VERSION_OK, "open"),
    "no header at all": ("GET /version HTTP/1.0\n\n", VERSION_OK.replace("HTTP/1.1", "HTTP/1.0"), "closed"),
    "a folded header": (GET + "A: b\r\n\tc\r\n\r\n", VERSION_OK, "open"),
    "odd characters in the target": (get('/{}|"<>^`\\\xe4'), NOT_FOUND, "open"),
    "a pipeline": ((GET + "\r\n") * 3, VERSION_OK * 3, "open"),
    "a body that nobody reads": (
        f"GET /version HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc" + GET + "\r\n",
        VERSION_OK * 2,
        "open",
    ),
    "a chunked body that nobody reads": (
        GET + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + GET + "\r\n",
        VERSION_OK * 2,
        "open",
    ),
    "a method in small letters is another": (
        f"get /version HTTP/1.1\r\n{HOST}\r\n",
        (f"HTTP/1.1 405 Method Not Allowed\r\n{CORS}Allow: GET\r\n{NOSNIFF}{DATE}"
        "Content-Length: 19\r\n\r\nMethod Not Allowed\n"),
        "open",
    ),
}  # fmt: skip


@pytest.mark.parametrize("split", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_protocol(port, name, split):
    sent, said, end = ROWS[name]
    data = sent.encode("latin-1")
    client = port.connect()
    for piece in [data[i : i + 1] for i in range(len(data))] if split else [data]:
        client.send(piece)
    assert client.said.decode("latin-1") == said
    assert client.end == end


class TestOrigins:
    """V2-SPEC 1.2 with an explicit list."""

    ORIGINS = ("http://a", "http://b")

    @pytest.mark.parametrize(
        ("origin", "told"), [("http://b", True), ("http://c", False)]
    )
    def test_only_origins_of_the_list_are_told(self, make_port, origin, told):
        port = make_port(cors=self.ORIGINS)
        answer = port.request("GET", "/v2/keys", headers=f"Origin: {origin}\r\n")
        assert answer["Access-Control-Allow-Origin"] == (origin if told else None)
        assert (answer["Access-Control-Allow-Methods"] is not None) == told

    def test_no_origin_no_headers(self, make_port):
        answer = make_port(cors=self.ORIGINS).request("GET", "/v2/keys")
        assert answer["Access-Control-Allow-Origin"] is None

    def test_an_empty_list_allows_nobody(self, make_port):
        answer = make_port(cors=()).request("GET", "/x", headers="Origin: http://a\r\n")
        assert answer["Access-Control-Allow-Origin"] is None


class TestHosts:
    """V2-SPEC 1.2, host-whitelist."""

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("good", 200),
            ("good:2379", 200),
            ("[::1]:2379", 200),
            ("bad", 421),
            ("bad:2379", 421),
            ("[::2]:1", 421),
            ("[::1]", 421),  # as Go's SplitHostPort leaves it
            ("a:b:c", 421),
        ],
    )
    def test_only_hosts_of_the_list_are_answered(self, make_port, read, host, status):
        port = make_port(host_whitelist=("good", "::1"))
        said, end = port.ask(f"GET /version HTTP/1.1\r\nHost: {host}\r\n\r\n")
        (answer,) = read(said)
        assert answer.status == status
        assert (answer["Access-Control-Allow-Origin"] == "*") == (status == 200)
        assert end == "open"

    def test_the_host_of_an_absolute_target_counts(self, make_port, read):
        port = make_port(host_whitelist=("good",))
        said, _ = port.ask("GET http://bad/version HTTP/1.1\r\nHost: good\r\n\r\n")
        assert read(said)[0].status == 421

    def test_no_host_at_all_is_not_in_the_list(self, make_port, read):
        said, _ = make_port(host_whitelist=("good",)).ask("GET / HTTP/1.0\r\n\r\n")
        assert read(said)[0].status == 421


def test_no_server_header_and_a_date_that_follows_the_clock(port):
    answer = port.request("GET", "/v2/keys")
    assert answer["Server"] is None
    assert answer["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    port.clock.advance(1.5)
    assert port.request("GET", "/v2/keys")["Date"] == "Tue, 14 Nov 2023 22:13:21 GMT"
    assert port.request("GET", "/x//")["Date"] == "Tue, 14 Nov 2023 22:13:21 GMT"


@pytest.mark.parametrize("size", [2048, 2049])
def test_a_body_over_2048_bytes_is_chunked(port, read, size):
    def sized(count: int) -> str:
        return "v" * count

    port.request("PUT", "/v2/keys/a", "value=")
    empty = len(port.request("GET", "/v2/keys/a").body)
    port.request("PUT", "/v2/keys/a", f"value={sized(size - empty)}")
    answer = port.request("GET", "/v2/keys/a")
    assert len(answer.body) == size
    chunked = size > 2048
    assert (answer["Transfer-Encoding"] == "chunked") == chunked
    assert answer["Content-Length"] == (None if chunked else "2048")
    head = port.request("HEAD", "/v2/keys/a")
    assert head["Content-Length"] == (None if chunked else "2048")
    assert head["Transfer-Encoding"] is None
    said, end = port.ask("GET /v2/keys/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    (old,) = read(said)
    assert len(old.body) == size
    assert old["Transfer-Encoding"] is None
    assert end == ("closed" if chunked else "open")


def test_no_header_injection(port, read):
    """H09: what clients choose never ends a header line."""
    for target in (
        "/v2/keys/..%0d%0aX:y",
        "/v2/..%0d%0aSet-Cookie:%20x/..",
        "/x//%0d%0a%0d%0a<script>",
        "/v2/members/%0d%0a",
        "/v2/keys/a%0d%0aX:y?prevIndex=%0d%0a",
    ):
        said, _ = port.ask(f"GET {target} HTTP/1.1\r\nHost: kvd\r\n\r\n")
        (answer,) = read(said)
        names = {name for name, _ in answer.headers}
        assert names <= {
            "Access-Control-Allow-Headers",
            "Access-Control-Allow-Methods",
            "Access-Control-Allow-Origin",
            "Content-Type",
            "Content-Length",
            "Date",
            "Location",
            "X-Content-Type-Options",
            "X-Etcd-Cluster-Id",
            "X-Etcd-Index",
        }
    origin = "http://a\tb"
    port.site.framing._origins = frozenset([origin.encode()])
    said, _ = port.ask(f"GET /x HTTP/1.1\r\nHost: k\r\nOrigin: {origin}\rX: y\r\n\r\n")
    assert b"X: y" not in said
