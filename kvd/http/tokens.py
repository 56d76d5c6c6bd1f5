"""
``/new``: a member as a discovery service makes a token (V2-SPEC 16.1).

Everything else of such a service is keys: founders register below the token, and watch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from kvd.errors import RequestError, invariant
from kvd.http import answers
from kvd.http.exchange import Answer, Handler, Request, Response
from kvd.http.params import INVALID_FORM, form_fields
from kvd.http.render import encode

PATH: Final = "/new"
METHODS: Final = ("GET", "PUT", "POST")
BODY_BYTES_MAX: Final = 1024
SIZE_MAX: Final = 100
"""Members that one token may be for; who joins accepts no more either."""

_FOLDER: Final = "/v2/keys/_etcd/registry"
_SIZE: Final = "3"  # the public service's
_DIGITS: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_SHOWN_MAX: Final = 40


class Tokens:
    """
    Makes tokens, each for one cluster.

    The size is written by an ordinary request to ``/v2/keys`` on behalf of whoever
    asks, so that nobody may do here what he may not do there.

    :param keys: who answers such requests.
    :param client_urls: where this member is found; the first is told.
    """

    def __init__(
        self,
        *,
        keys: Handler,
        client_urls: Sequence[str],
        randbelow: Callable[[int], int],
    ) -> None:
        self._keys = keys
        self._client_urls = client_urls
        self._randbelow = randbelow

    def answer(self, request: Request) -> Response | Deferred[Response]:
        """The URL as text, or why there is none."""
        try:
            size = _size(request)
        except RequestError as error:
            return answers.plain_error(400, error.cause)
        token = f"{self._randbelow(1 << 128):032x}"
        write = Request(
            "PUT",
            f"{_FOLDER}/{token}/_config/size",
            f"prevExist=false&value={size}",
            request.block,
            request.old,
        )
        write.client = request.client
        written = self._keys(write)
        url = f"{self._client_urls[0]}{_FOLDER}/{token}"
        if isinstance(written, Deferred):
            return written.addCallback(_told, url)
        return _told(written, url)


def _told(written: Answer, url: str) -> Response:
    invariant(isinstance(written, Response), "a change is answered whole")
    assert isinstance(written, Response)  # noqa: S101 -- for the type checker
    return answers.sniffed_text(encode(url)) if written.status == 201 else written


def _size(request: Request) -> int:
    """:raises RequestError: why it is none."""
    text = form_fields(request).get("size") or _SIZE
    size = int(text) if _DIGITS.fullmatch(text) else 0
    if not 1 <= size <= SIZE_MAX:
        shown = ascii(text[:_SHOWN_MAX])[1:-1]
        raise RequestError(
            INVALID_FORM,
            f'size: expected a whole number from 1 to {SIZE_MAX}, got "{shown}"',
        )
    return size
