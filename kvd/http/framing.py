"""Answers to bytes: status line, CORS, date, length or chunks (V2-SPEC 1.1, 1.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate

from kvd.http.exchange import Request, Response, Streaming

_SECOND_NS = 1_000_000_000
LENGTH_MAX = 2048  # bytes of a body that is sent with its length, as Go does
REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    301: "Moved Permanently",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_CORS = (
    "Access-Control-Allow-Headers: accept, content-type, authorization\r\n"
    "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"
    "Access-Control-Allow-Origin: {origin}\r\n"
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def refusal_bytes(status: str, body: str) -> bytes:
    """What is said where no request could be read: no date, no CORS (V2-SPEC 1.4)."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode("ascii")


def chunk(piece: bytes) -> bytes:
    """One chunk of a chunked body; the piece is not empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class Framing:
    """Makes the bytes of answers; the date is made anew once a second."""

    def __init__(self, *, cors: Sequence[str], wall_time_ns: Callable[[], int]) -> None:
        self._any_origin = "*" in cors
        self._origins = frozenset(origin.encode("utf-8") for origin in cors)
        self._wall_time_ns = wall_time_ns
        self._second = -1
        self._date = b""
        self._date_and_length = b""
        any_cors = _CORS.format(origin="*") if self._any_origin else ""
        self._any_cors = any_cors.encode("ascii")
        self._bare_starts = {
            status: f"HTTP/1.1 {status} {reason}\r\n".encode("ascii")
            for status, reason in REASONS.items()
        }
        self._starts = {
            status: start + self._any_cors
            for status, start in self._bare_starts.items()
        }

    def usual(self, response: Response, origin: bytes) -> bytes:
        """For HTTP/1.1 and a connection that stays open, not for HEAD."""
        body = response.body
        size = len(body)
        if (
            size > LENGTH_MAX
            or response.late
            or not (response.cors and response.framed)
            or (origin and not self._any_origin)
        ):
            return self.frame(
                response, origin=origin, old=False, bodiless=False, connection=b""
            )
        second = self._wall_time_ns() // _SECOND_NS
        if second != self._second:
            self._tick(second)
        return b"%b%b%b%d\r\n\r\n%b" % (
            self._starts[response.status],
            response.headers,
            self._date_and_length,
            size,
            body,
        )

    def unusual(
        self, response: Response, request: Request, *, last: bool
    ) -> tuple[bytes, bool]:
        """
        For HEAD, HTTP/1.0 and the end of a connection.

        :returns: the bytes, and whether the connection must be closed after them.
        """
        # An HTTP/1.0 client sees the end of such a body by the end of the connection.
        endless = request.old and len(response.body) > LENGTH_MAX
        last = last or endless or response.last
        connection = b""
        if request.old and not last:
            connection = b"keep-alive"
        elif last and not request.old and not response.last:
            connection = b"close"
        data = self.frame(
            response,
            origin=request.block.origin,
            old=request.old,
            bodiless=request.method == "HEAD",
            connection=connection,
        )
        return data, last

    def frame(
        self,
        response: Response,
        *,
        origin: bytes,
        old: bool,
        bodiless: bool,
        connection: bytes,
    ) -> bytes:
        """
        :param old: the request was HTTP/1.0.
        :param bodiless: it was HEAD.
        :param connection: what the header of that name says, empty for none.
        """
        body = response.body
        framing = b""
        if len(body) > LENGTH_MAX:
            if not old and not bodiless:
                framing = b"Transfer-Encoding: chunked\r\n"
                body = chunk(body) + LAST_CHUNK
        elif response.framed:
            framing = b"Content-Length: %d\r\n" % len(body)
        return b"".join(
            (
                self.head(
                    response.status,
                    response.headers,
                    origin=origin if response.cors else None,
                    old=old,
                ),
                framing,
                response.late,
                b"Connection: %b\r\n" % connection if connection else b"",
                b"\r\n",
                b"" if bodiless else body,
            )
        )

    def head(
        self, status: int, headers: bytes, *, origin: bytes | None, old: bool
    ) -> bytes:
        """
        Status line and headers up to the date, without the empty line.

        :param origin: of the request, empty when it has none; None: no CORS headers.
        """
        second = self._wall_time_ns() // _SECOND_NS
        if second != self._second:
            self._tick(second)
        start = (self._bare_starts if origin is None else self._starts)[status]
        if old:
            start = start.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        return b"".join((start, self._cors_for(origin), headers, self._date))

    def stream_head(self, answer: Streaming, request: Request, *, last: bool) -> bytes:
        """A complete head of a body that comes piece by piece."""
        old = request.old
        origin = request.block.origin
        if answer.phrase:
            head = self._relayed_head(answer, origin=origin, old=old)
        else:
            head = self.head(answer.status, answer.headers, origin=origin, old=old)
        chunked = answer.length is None and not old
        connection = b""
        if old and not last:
            connection = b"Connection: keep-alive\r\n"
        elif last and not old:
            connection = b"Connection: close\r\n"
        return b"".join(
            (
                head,
                b"Transfer-Encoding: chunked\r\n" if chunked else b"",
                connection,
                b"\r\n",
            )
        )

    def cors(self, origin: bytes) -> bytes:
        """The headers that say who may read an answer in a browser."""
        return self._any_cors + self._cors_for(origin)

    def _relayed_head(self, answer: Streaming, *, origin: bytes, old: bool) -> bytes:
        """Another server's; the only CORS headers are ours."""
        start = b"HTTP/1.%d %d %b\r\n" % (0 if old else 1, answer.status, answer.phrase)
        return b"".join((start, self._any_cors, self._cors_for(origin), answer.headers))

    def _cors_for(self, origin: bytes | None) -> bytes:
        """Where only some origins may: these are told so, others nothing."""
        if self._any_origin or origin is None or origin not in self._origins:
            return b""
        return _CORS.format(origin=origin.decode("utf-8")).encode("utf-8")

    def _tick(self, second: int) -> None:
        self._second = second
        self._date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        self._date_and_length = self._date + b"Content-Length: "
