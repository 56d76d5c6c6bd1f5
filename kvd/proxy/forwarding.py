"""A client's request, sent to one member after the other until one has answered."""

from __future__ import annotations

import re
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kvd import golang
from kvd.http import answers
from kvd.http.bodies import TOO_LARGE
from kvd.http.exchange import Answer, Outlet, Request, Response, Stream, Streaming
from kvd.proxy.counts import Counts, Dropped
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

    :ivar bodies_bytes: of request bodies that wait for an answer, at most
        ``bodies_bytes_max``.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        upstream: Upstream,
        bodies_bytes_max: int,
        counts: Counts,
        clock: IReactorTime,
    ) -> None:
        self._endpoints = endpoints
        self._upstream = upstream
        self._bodies_bytes_max = bodies_bytes_max
        self._counts = counts
        self._clock = clock
        self.bodies_bytes = 0

    def answer(
        self, request: Request, *, host: bytes | None
    ) -> Response | Deferred[Answer]:
        """:param host: the one that the client meant, None if it named none."""
        counts, method = self._counts, request.method
        counts.came(method)
        if request.form_problem:
            counts.drop(method, Dropped.NO_BODY)
            return _unreadable(request.form_problem)
        urls = self._endpoints.available()
        if not urls:
            counts.drop(method, Dropped.NOBODY)
            return _NOBODY
        if self.bodies_bytes + len(request.body) > self._bodies_bytes_max:
            counts.drop(method, Dropped.NO_BODY)
            return _NO_ROOM
        question = Question(
            method=method.encode("ascii"),
            target=_target(request),
            fields=request_fields(
                request.block.fields, client=request.client.address, host=host
            ),
            body=request.body,
        )
        endless = method == "GET" and _WAIT.search(request.query) is not None
        return Deferred.fromCoroutine(self._forward(urls, question, endless=endless))

    async def _forward(
        self, urls: tuple[str, ...], question: Question, *, endless: bool
    ) -> Answer:
        self.bodies_bytes += len(question.body)
        try:
            return await self._first_answer(urls, question, endless=endless)
        finally:
            self.bodies_bytes -= len(question.body)

    async def _first_answer(
        self, urls: tuple[str, ...], question: Question, *, endless: bool
    ) -> Answer:
        method = question.method.decode("ascii")
        began = self._clock.seconds()
        for tried, url in enumerate(urls, start=1):
            try:
                answered = await self._upstream.ask(url, question)
            except (Unreached, Lost) as problem:
                self._endpoints.failed(url, str(problem))
                self._counts.drop(method, Dropped.NOT_SENT)
                if isinstance(problem, Lost) and question.method not in SAFE:
                    self._counts.drop(method, Dropped.NO_ANSWER)
                    return _no_answer(tried, "; it may have been carried out")
            else:
                self._counts.answered(method, answered.status)
                if not endless:
                    self._counts.took(method, self._clock.seconds() - began)
                return _relayed(answered, endless=endless)
        self._counts.drop(method, Dropped.NO_ANSWER)
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
