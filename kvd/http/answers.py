"""Answers that several routes share."""

from __future__ import annotations

from collections.abc import Sequence

from kvd.http.exchange import Response
from kvd.http.render import message_json
from kvd.http.targets import Redirect

_PLAIN = (
    b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
)
PLAIN_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
JSON = b"Content-Type: application/json\r\n"
METRICS = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

NOT_FOUND = Response(404, _PLAIN, b"404 page not found\n")
_CLOSE = b"Connection: close\r\n"
EMPTY = Response(200, b"", b"")
EMPTY_STAR = Response(200, b"Content-Length: 0\r\n", b"", framed=False, cors=False)
BAD_STAR = Response(400, _CLOSE, b"", last=True)
EXPECTATION_FAILED = Response(417, _CLOSE, b"", last=True, cors=False)
INTERNAL_ERROR = Response(500, _CLOSE, b"", last=True)


def plain_error(status: int, text: str, extra: bytes = b"") -> Response:
    """As Go's ``http.Error``; ``extra`` headers whose names sort behind these."""
    return Response(status, _PLAIN + extra, f"{text}\n".encode())


def plain_text(status: int, text: str) -> Response:
    """Text that nobody should take for anything else."""
    return Response(status, _PLAIN, text.encode())


def method_not_allowed(allowed: Sequence[str]) -> Response:
    """The allowed ones are shown in the order given."""
    return Response(
        405,
        b"Allow: %b\r\n%b" % (",".join(allowed).encode("ascii"), _PLAIN),
        b"Method Not Allowed\n",
    )


def sniffed_text(body: bytes) -> Response:
    """Text whose type etcd leaves to Go to find out."""
    return Response(200, b"", body, late=PLAIN_TEXT)


def message(status: int, text: str, extra: bytes = b"") -> Response:
    """``{"message": ...}``, as the APIs beside keys say what is wrong."""
    return Response(status, JSON + extra, message_json(text))


def moved(method: str, elsewhere: Redirect) -> Response:
    """301 to a clean path; only GET gets a body, HEAD not even its length."""
    location = b"Location: %b\r\n" % elsewhere.location
    if method not in {"GET", "HEAD"}:
        return Response(301, location, b"")
    headers = b"Content-Type: text/html; charset=utf-8\r\n" + location
    if method == "HEAD":
        return Response(301, headers, b"", framed=False)
    return Response(301, headers, elsewhere.body)


def misdirected(host: bytes) -> Response:
    """For a Host that is not one of ours (DNS rebinding, CVE-2018-5702)."""
    shown = host.decode("utf-8", "backslashreplace")
    return plain_error(
        421,
        f"This server does not answer for the host {shown!r}.\n"
        "Add the name to host-whitelist, or use HTTPS, which is exempt.",
    )._replace(cors=False)
