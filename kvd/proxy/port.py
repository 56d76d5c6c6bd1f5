"""The proxy's client port: what it answers itself, and what goes to the members."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from kvd.http import answers
from kvd.http.exchange import Handler, Request, Response
from kvd.http.fields import HeaderBlock
from kvd.http.port import HttpPort, empty
from kvd.http.settings import PortSettings
from kvd.http.targets import CONNECT, RequestLine
from kvd.proxy.endpoints import Endpoints
from kvd.proxy.forwarding import Forwarding

_LOCAL = "/v2/config/local/proxy"


class ProxySettings(PortSettings, Protocol):
    """The part of :class:`kvd.config.Config` that is read here."""

    @property
    def proxy(self) -> str: ...
    @property
    def request_bytes_max(self) -> int: ...


class ProxyPort(HttpPort):
    """
    Answers clients as etcd's proxy does (V2-SPEC 18).

    :param metrics: everything in the text format of Prometheus.
    """

    def __init__(
        self,
        *,
        config: ProxySettings,
        endpoints: Endpoints,
        forwarding: Forwarding,
        metrics: Callable[[], bytes],
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
    ) -> None:
        super().__init__(config=config, clock=clock, wall_time_ns=wall_time_ns)
        self._endpoints = endpoints
        self._forwarding = forwarding
        self._metrics = metrics
        self._readonly = config.proxy == "readonly"
        self._request_bytes_max = config.request_bytes_max

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        """
        Clean path, who answers, and how many bytes of a body they take (0: none).

        In the order of etcd's proxy: Host, ``*``, clean path, metrics, readonly, OPTIONS,
        routes.
        """
        path = line.path
        own = self._own_answer(line, fields)
        if own is not None:
            return path, own, 0
        host = fields.host if line.host is None else line.host
        forward = partial(self._forwarding.answer, host=host)
        return path, forward, self._request_bytes_max

    def _own_answer(self, line: RequestLine, fields: HeaderBlock) -> Handler | None:
        """Who answers what is not forwarded."""
        refused = self.of_another_host(line, fields)
        if refused is not None:
            return refused
        elsewhere = self.of_no_clean_path(line)
        if elsewhere is not None:
            return _without_cors(elsewhere)
        if line.method == CONNECT:
            return _without_cors(_not_found)
        if line.path == "/metrics":
            return self._page
        if self._readonly and line.method != "GET":
            return _reads_only
        if line.method == "OPTIONS":
            return empty
        return self._local if line.path == _LOCAL else None

    def _page(self, _request: Request) -> Response:
        return Response(200, answers.METRICS, self._metrics(), cors=False)

    def _local(self, request: Request) -> Response:
        if request.method != "GET":
            return answers.method_not_allowed(["GET"])
        urls = list(self._endpoints.available())
        shown = json.dumps({"endpoints": urls}, separators=(",", ":"))
        return answers.sniffed_text(f"{shown}\n".encode("ascii"))


def _without_cors(handler: Handler) -> Handler:
    """Etcd's proxy looks at origins later than a member does."""

    def answer(request: Request) -> Response:
        response = handler(request)
        if not isinstance(response, Response):
            raise TypeError(response)
        return response._replace(cors=False)

    return answer


def _not_found(_request: Request) -> Response:
    return answers.NOT_FOUND


def _reads_only(request: Request) -> Response:
    """To HEAD, Go tells no length here."""
    return Response(501, b"", b"", framed=request.method != "HEAD", cors=False)
