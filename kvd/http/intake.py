"""
From the bytes of one connection to requests: HTTP/1.0 and 1.1 by Go's rules.

States::

    between requests -> head incomplete -> body incomplete -> between requests

Requests come out one at a time, when they are asked for; what follows stays unread.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from kvd.http.answers import EXPECTATION_FAILED
from kvd.http.bodies import TOO_LARGE, ChunkedBody
from kvd.http.exchange import Handler, Request, Response
from kvd.http.fields import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    HeaderBlock,
    HeaderBlocks,
    NotHttpError,
    Refusal,
)
from kvd.http.settings import PortSettings
from kvd.http.targets import (
    RequestLine,
    is_http,
    parse_request_line,
    parse_usual_line,
)

_UNWANTED_BODY_MAX = 256 << 10  # of a body that nobody reads, as Go
_HEAD_END = re.compile(rb"\n\r?\n")


class Routes(Protocol):
    """Who decides what becomes of a request; the site."""

    settings: PortSettings
    blocks: HeaderBlocks

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        """Clean path, who answers, bytes of a body that they take (0: none)."""
        ...


class Arrived(NamedTuple):
    """
    A request to be answered.

    :ivar last: its body was not read to the end, so nothing more can be read.
    """

    handler: Handler
    request: Request
    last: bool


class _Body:
    """The body of a request that has not come completely."""

    __slots__ = ("chunked", "data", "handler", "left", "limit", "request", "wanted")

    def __init__(self, request: Request, handler: Handler, limit: int) -> None:
        self.request = request
        self.handler = handler
        self.wanted = limit > 0
        self.limit = limit or _UNWANTED_BODY_MAX
        self.left = request.block.length
        self.data = bytearray()
        self.chunked = ChunkedBody() if request.block.chunked else None


class Intake:
    """
    Unread bytes, and how far the next request has come.

    :ivar continue_due: the client waits for ``100 Continue`` and should get it.
    :ivar secure: what comes has come over TLS.
    """

    __slots__ = (
        "_at",
        "_body",
        "_credentials_block",
        "_credentials_fields",
        "_first",
        "_have",
        "_routes",
        "_scanned",
        "continue_due",
        "secure",
    )

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self.secure = False
        self._have: bytes | bytearray = b""
        self._at = 0  # read so far
        self._scanned = 0  # searched for the end of a head, from _at
        self._first = True  # no request was read yet
        self._credentials_block = b""
        self._credentials_fields: HeaderBlock | None = None
        self._body: _Body | None = None
        self.continue_due = False

    def feed(self, data: bytes) -> None:
        """More bytes came."""
        have = self._have
        if self._at >= len(have):
            self._have = data
            self._at = 0
        elif isinstance(have, bytearray):
            have += data
        else:
            self._have = bytearray(have[self._at :])
            self._have += data
            self._at = 0

    def clear(self) -> None:
        """Nothing will be read any more."""
        self._have = b""
        self._at = 0
        self._body = None

    @property
    def unread(self) -> int:
        """Bytes that no request has taken."""
        return len(self._have) - self._at

    @property
    def in_body(self) -> bool:
        """Whether the head of a request was read, but not its body."""
        return self._body is not None

    def next(self) -> Arrived | None:
        """
        The next request, or None when it is not complete.

        :raises Refusal: it is none; nothing more can be read.
        """
        if self._body is not None:
            return self._read_body(self._body)
        have = self._have
        at = self._at
        if at >= len(have):
            return None
        end = have.find(b"\r\n\r\n", at + self._scanned)
        settings = self._routes.settings
        if end < 0 or end - at > settings.header_bytes_max:
            return self._next_unusual()
        line_end = have.find(b"\r\n", at)
        line = bytes(have[at:line_end])
        block = bytes(have[line_end + 2 : end])
        usual = parse_usual_line(line)
        blocks = self._routes.blocks
        fields = blocks.known.get(block)
        if fields is None:
            fields = self._with_credentials(block)
        if (
            usual is None
            or fields is None
            or len(line) > settings.request_line_bytes_max
        ):
            if b"\n" in line or b"\n\n" in block or b"\n\r\n" in block:
                return self._next_unusual()
            self._read_to(end + 4)
            return self._begin(line, block)
        self._read_to(end + 4)
        self._first = False
        return self._route(usual, fields)

    def _with_credentials(self, block: bytes) -> HeaderBlock | None:
        """
        A block that is known but for its credentials. Only the connection that they
        came on remembers them, because it will send them again.
        """
        if block == self._credentials_block:
            return self._credentials_fields
        known = self._routes.blocks.known_but_credentials(block)
        if known is not None:
            self._credentials_block = block
            self._credentials_fields = known
        return known

    def _next_unusual(self) -> Arrived | None:
        """A head with bare line feeds, or incomplete, or too large."""
        have = self._have
        at = self._at
        settings = self._routes.settings
        found = _HEAD_END.search(have, at + self._scanned)
        size = (found.start() if found else len(have)) - at
        line_end = have.find(b"\n", at)
        line_size = (line_end if line_end >= 0 else len(have)) - at
        line = bytes(have[at : at + line_size]).removesuffix(b"\r")
        if line_end >= 0 and self._first and not is_http(line):
            raise NotHttpError
        if (
            size > settings.header_bytes_max
            or line_size > settings.request_line_bytes_max
        ):
            raise Refusal(HEAD_TOO_LARGE)
        if found is None:
            self._scanned = max(0, size - 2)
            return None
        block = bytes(have[line_end + 1 : found.start() + 1])
        self._read_to(found.end())
        return self._begin(line, block.removesuffix(b"\n").removesuffix(b"\r"))

    def _read_to(self, at: int) -> None:
        have = self._have
        if isinstance(have, bytearray):
            del have[:at]
            at = 0
        self._at = at
        self._scanned = 0

    def _begin(self, line: bytes, block: bytes) -> Arrived | None:
        routes = self._routes
        if len(line) > routes.settings.request_line_bytes_max:
            raise Refusal(HEAD_TOO_LARGE)
        parsed = parse_request_line(line, first=self._first)
        self._first = False
        return self._route(parsed, routes.blocks.judge(block, parsed.old))

    def _route(self, line: RequestLine, fields: HeaderBlock) -> Arrived | None:
        """The head is complete: decide who answers, and what of the body is needed."""
        old = line.old
        if self.secure:
            line = line._replace(secure=True)
        path, handler, limit = self._routes.route(line, fields)
        request = Request(line.method, path, line.query, fields, old)
        length = fields.length
        if fields.expects_other:
            return Arrived(_expectation_failed, request, True)
        if not length and not fields.chunked:
            return Arrived(handler, request, False)
        at = self._at
        if length <= limit and len(self._have) - at >= length > 0:
            # The usual case: all of it came with the head.
            request.body = bytes(self._have[at : at + length])
            self._read_to(at + length)
            self.continue_due = fields.awaits_continue and not old
            return Arrived(handler, request, False)
        if length > (limit or _UNWANTED_BODY_MAX):
            if limit:
                request.form_problem = TOO_LARGE
            return Arrived(handler, request, True)
        if fields.awaits_continue and not old:
            if not limit:
                return Arrived(handler, request, True)
            self.continue_due = True
        self._body = _Body(request, handler, limit)
        return self._read_body(self._body)

    def _read_body(self, body: _Body) -> Arrived | None:
        have = bytes(self._have[self._at :]) if self._at else bytes(self._have)
        self._have = b""
        self._at = 0
        chunked = body.chunked
        if chunked is not None:
            self._have = chunked.feed(have, limit=body.limit)
            if not chunked.complete and not chunked.problem:
                return None
            return self._complete(body, bytes(chunked.data), chunked.problem)
        body.data += have[: body.left]
        self._have = have[body.left :]
        body.left -= len(have) - len(self._have)
        return None if body.left else self._complete(body, bytes(body.data), "")

    def _complete(self, body: _Body, content: bytes, problem: str) -> Arrived:
        self._body = None
        request = body.request
        if body.wanted:
            request.body = content
            request.form_problem = problem
        return Arrived(body.handler, request, bool(problem))

    def end(self) -> Arrived | None:
        """
        No more bytes will come, and :meth:`next` has nothing to give.

        :raises Refusal: a head is incomplete.
        """
        if self._body is not None:
            cut_off = self._complete(self._body, b"", "unexpected EOF")
            return cut_off._replace(last=False)
        if self.unread:
            if self._first and b"\n" not in self._have:
                raise NotHttpError
            raise Refusal(BAD_REQUEST)
        return None


def _expectation_failed(_request: Request) -> Response:
    """For an ``Expect`` that is not ``100-continue``."""
    return EXPECTATION_FAILED
