"""
The head of a request: its first line and its header fields, by Go's rules.

What this module refuses and how is V2-SPEC 1.4. A header block is judged once and
remembered by its bytes, because a client sends the same block again and again; this
is what makes reading a head cheap (``docs/design/http.rst``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kvd import golang

_HOST = re.compile(rb"[A-Za-z0-9!$%&()*+,\-.:;='\[\]_~]*")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]+")
_CONTENT_LENGTH_MAX = 2**63 - 1
_CREDENTIALS = b"authorization"
_CREDENTIALS_LINE = re.compile(
    rb"(?:\A|(?<=\r\n))Authorization: ([!-~](?:[ -~]*[!-~])?)(?:\r\n(?![ \t])|\Z)"
)
_REMEMBERED_MAX = 1024  # blocks
_REMEMBERED_BYTES_MAX = 2048  # of one block


class Refusal(Exception):
    """
    The bytes are no HTTP request that can be served: answer so and close.

    :ivar status: status and reason, which is also the body unless one is given.
    """

    def __init__(self, status: str, body: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.body = body or status


class NotHttpError(Refusal):
    """The first line of a connection is none of HTTP/1: close without an answer."""

    def __init__(self) -> None:
        super().__init__("")


BAD_REQUEST = "400 Bad Request"
HEAD_TOO_LARGE = "431 Request Header Fields Too Large"


class HeaderBlock(NamedTuple):
    """
    The header fields of one request, judged.

    :ivar length: of the body as declared, 0 when there is none.
    :ivar keep: whether an HTTP/1.1 connection stays open afterwards.
    :ivar keep_old: whether an HTTP/1.0 client asked to keep it open.
    :ivar dubious: framed in two ways at once; answered, then closed.
    :ivar awaits_continue: the client waits for ``100 Continue``.
    :ivar expects_other: it expects something that we do not do.
    :ivar form: whether a body is a form; ``form_problem`` why it cannot be read.
    :ivar authorization: who asks, as he says; in no ``repr``.
    """

    length: int
    chunked: bool
    keep: bool
    keep_old: bool
    dubious: bool
    awaits_continue: bool
    expects_other: bool
    host: bytes | None
    origin: bytes
    form: bool
    form_problem: str
    fields: tuple[tuple[bytes, bytes], ...]
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"HeaderBlock(length={self.length}, {len(self.fields)} fields)"

    def get(self, name: bytes) -> bytes:
        """The first value of a field, empty when there is none; lower-case name."""
        for have, value in self.fields:
            if have == name:
                return value
        return b""


class HeaderBlocks:
    """
    Judges header blocks, and remembers the usual ones.

    :ivar known: those of HTTP/1.1 requests whose every line ends in CR LF.
    """

    def __init__(self, *, count_max: int) -> None:
        self._count_max = count_max
        self.known: dict[bytes, HeaderBlock] = {}

    def judge(self, block: bytes, old: bool) -> HeaderBlock:
        """
        :param block: all header lines, the last without its line end.
        :param old: HTTP/1.0, which has no transfer codings and needs no Host.
        :raises Refusal: for anything that V2-SPEC 1.4 refuses in a header.
        """
        judged = _judge(_lines(block, self._count_max), old=old)
        line_feeds = block.count(b"\n")
        usual = not old and line_feeds == block.count(b"\r\n")
        if usual and len(block) <= _REMEMBERED_BYTES_MAX:
            self._remember(block, judged)
        return judged

    def _remember(self, block: bytes, judged: HeaderBlock) -> None:
        if len(self.known) >= _REMEMBERED_MAX:
            self.known.clear()
        if judged.authorization:
            block, credentials = _without_credentials(block)
            if not credentials:
                return
            fields = tuple(each for each in judged.fields if each[0] != _CREDENTIALS)
            if len(fields) != len(judged.fields) - 1:
                return
            judged = judged._replace(authorization=b"", fields=fields)
        self.known[block] = judged

    def known_but_credentials(self, block: bytes) -> HeaderBlock | None:
        """
        A block that is known but for its ``Authorization`` line, which nobody
        remembers.
        """
        rest, credentials = _without_credentials(block)
        known = self.known.get(rest) if credentials else None
        if known is None or len(known.fields) >= self._count_max - 1:
            return None
        return known._replace(
            authorization=credentials,
            fields=(*known.fields, (_CREDENTIALS, credentials)),
        )


def _without_credentials(block: bytes) -> tuple[bytes, bytes]:
    """The block without its usual ``Authorization`` line, and the line's value."""
    if b"Authorization: " not in block:
        return block, b""
    line = _CREDENTIALS_LINE.search(block)
    if line is None:
        return block, b""
    return (block[: line.start()] + block[line.end() :]).removesuffix(b"\r\n"), line[1]


def _lines(block: bytes, count_max: int) -> list[tuple[bytes, bytes]]:
    if not block:
        return []
    if block.count(b"\n") >= count_max:
        raise Refusal(HEAD_TOO_LARGE)
    unfolded: list[bytes] = []
    for line in block.split(b"\n"):
        whole = line.removesuffix(b"\r")
        if whole[:1] not in {b" ", b"\t"}:
            unfolded.append(whole)
        elif unfolded:
            # It continues the line before; RFC 9112 5.2 wants a space between them.
            unfolded[-1] = b"%b %b" % (unfolded[-1].rstrip(b" \t"), whole.strip(b" \t"))
        else:
            raise Refusal(BAD_REQUEST)
    fields = []
    for line in unfolded:
        name, colon, value = line.partition(b":")
        if not colon:
            raise Refusal(BAD_REQUEST)
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _judge(fields: list[tuple[bytes, bytes]], *, old: bool) -> HeaderBlock:
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    hosts = values.get(b"host", [])
    if len(hosts) > 1:
        raise Refusal(BAD_REQUEST)
    codings = [] if old else values.get(b"transfer-encoding", [])
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise Refusal("501 Not Implemented", "Unsupported transfer encoding")
    lengths = values.get(b"content-length", [])
    length = 0 if codings else _length(lengths)
    if not hosts and not old:
        raise Refusal(f"{BAD_REQUEST}: missing required Host header")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Refusal(f"{BAD_REQUEST}: malformed Host header")
    for name, value in fields:
        if name and not golang.is_token(name):
            raise Refusal(f"{BAD_REQUEST}: invalid header name")
        if _BAD_VALUE.search(value):
            raise Refusal(f"{BAD_REQUEST}: invalid header value")
    tokens = _tokens(values.get(b"connection", []))
    expects = values.get(b"expect", [])
    continues = b"100-continue" in _tokens(expects)
    form, form_problem = _form(values.get(b"content-type", [b""])[0])
    return HeaderBlock(
        length=length,
        chunked=bool(codings),
        keep=b"close" not in tokens,
        keep_old=b"keep-alive" in tokens and b"close" not in tokens,
        dubious=bool(lengths and values.get(b"transfer-encoding")),
        awaits_continue=continues,
        expects_other=bool(expects and expects[0]) and not continues,
        host=hosts[0] if hosts else None,
        origin=values.get(b"origin", [b""])[0],
        form=form,
        form_problem=form_problem,
        fields=tuple(fields),
        authorization=values.get(_CREDENTIALS, [b""])[0],
    )


def _length(lengths: list[bytes]) -> int:
    if not lengths or not lengths[0]:
        if len(set(lengths)) > 1:
            raise Refusal(BAD_REQUEST)
        return 0
    if any(other != lengths[0] for other in lengths[1:]):
        raise Refusal(BAD_REQUEST)
    digits = lengths[0]
    if not _DIGITS.fullmatch(digits) or len(digits.lstrip(b"0")) > 19:
        raise Refusal(BAD_REQUEST)
    length = int(digits.lstrip(b"0") or b"0")
    if length > _CONTENT_LENGTH_MAX:
        raise Refusal(BAD_REQUEST)
    return length


def _tokens(values: list[bytes]) -> set[bytes]:
    return {
        token.strip(b" \t").lower() for value in values for token in value.split(b",")
    }


def _form(content_type: bytes) -> tuple[bool, str]:
    """Whether PUT and POST read their body as a form, and why they cannot."""
    if not content_type:
        return False, ""
    try:
        kind = golang.media_type(content_type)
        problem = golang.media_problem(content_type)
    except golang.MediaTypeError as error:
        return False, str(error)
    return kind == b"application/x-www-form-urlencoded", problem
