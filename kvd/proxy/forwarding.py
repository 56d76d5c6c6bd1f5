"""A client's request, sent to one member after the other until one has answered."""

from __future__ import annotations

import re
from typing import Final

from twisted.internet.defer import Deferred

from kvd.http import answers, golang
from kvd.http.bodies import TOO_LARGE
from kvd.http.exchange import Answer, Outlet, Request, Response, Stream, Streaming
from kvd.proxy.endpoints import Endpoints
from kvd.proxy.fields import request_fields
from kvd.proxy.relay import Relay
from kvd.proxy.upstream import SAFE, Answered, Lost, Question, Unreached, Upstream

# What makes of a GET a watch, whose answer may never come to an end.
_WAIT: Final = re.compile(r"(?:^|&)wait=(?:1|t|T|true|True|TRUE)(?:&|$)")
_VISIBLE: Final = frozenset(range(0x21, 0x7F)) - {0x23}  # all but a number sign
_NOBODY: Final = answers.message(503, "httpproxy: zero endpoints currently available")
_NO_ROOM: Final = answers.message(503, "httpproxy: too many request bodies")
_TOO_LARGE: Final = answers.message(413, "httpproxy: request body too large")


class Forwarding:
    """
    ::

        body complete -> first endpoint -- any answer --> relayed
                              | no connection; or no answer, and the method is safe
                              v
                         next endpoint ... none left --> 502

    A request that may have been carried out is not sent again, unless it only reads.

    :param bodies_bytes_max: of request bodies that wait for an answer.
    """

    def __init__(
        self, *, endpoints: Endpoints, upstream: Upstream, bodies_bytes_max: int
    ) -> None:
        self._endpoints = endpoints
        self._upstream = upstream
        self._bodies_bytes_max = bodies_bytes_max
        self._bodies_bytes = 0

    def answer(
        self, request: Request, *, host: bytes | None
    ) -> Response | Deferred[Answer]:
        """:param host: the one that the client meant, None if it named none."""
        if request.form_problem:
            return _unreadable(request.form_problem)
        urls = self._endpoints.available()
        if not urls:
            return _NOBODY
        if self._bodies_bytes + len(request.body) > self._bodies_bytes_max:
            return _NO_ROOM
        question = Question(
            method=request.method.encode("ascii"),
            target=_target(request),
            fields=request_fields(
                request.block.fields, client=request.client.address, host=host
            ),
            body=request.body,
        )
        endless = request.method == "GET" and _WAIT.search(request.query) is not None
        return Deferred.fromCoroutine(self._forward(urls, question, endless=endless))

    async def _forward(
        self, urls: tuple[str, ...], question: Question, *, endless: bool
    ) -> Answer:
        self._bodies_bytes += len(question.body)
        try:
            return await self._first_answer(urls, question, endless=endless)
        finally:
            self._bodies_bytes -= len(question.body)

    async def _first_answer(
        self, urls: tuple[str, ...], question: Question, *, endless: bool
    ) -> Answer:
        for tried, url in enumerate(urls, start=1):
            try:
                answered = await self._upstream.ask(url, question)
            except Unreached as problem:
                self._endpoints.failed(url, str(problem))
            except Lost as problem:
                self._endpoints.failed(url, str(problem))
                if question.method not in SAFE:
                    return _no_answer(tried, "; it may have been carried out")
            else:
                return _relayed(answered, endless=endless)
        return _no_answer(len(urls))


def _relayed(answered: Answered, *, endless: bool) -> Streaming:
    def begin(outlet: Outlet) -> Stream:
        relay = Relay(outlet, endless=endless and answered.length is None)
        relay.begin(answered)
        return relay

    return Streaming(
        status=answered.status,
        headers=b"".join(b"%b: %b\r\n" % field for field in answered.fields),
        begin=begin,
        length=answered.length,
        phrase=answered.phrase,
    )


def _target(request: Request) -> bytes:
    """Path and query as the client meant them, in characters that any server takes."""
    target = golang.escape_path(request.path.encode("utf-8", "surrogateescape"))
    if not request.query:
        return target.encode("ascii")
    query = "".join(
        chr(byte) if byte in _VISIBLE else f"%{byte:02X}"
        for byte in request.query.encode("utf-8", "surrogateescape")
    )
    return f"{target}?{query}".encode("ascii")


def _unreadable(problem: str) -> Response:
    if problem == TOO_LARGE:
        return _TOO_LARGE
    return answers.message(500, f"httpproxy: failed to read request body: {problem}")


def _no_answer(tried: int, more: str = "") -> Response:
    return answers.message(
        502, f"httpproxy: unable to get response from {tried} endpoint(s){more}"
    )
