"""
Requests to one endpoint by ``http.client``, each with two ends: of the time for its
headers, after which the next endpoint is tried, and of the time for the whole command.
"""

from __future__ import annotations

import base64
import re
import select
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final, NamedTuple

from kvd.golang import quote
from kvd.kvctl import dialling, words
from kvd.kvctl.connection import Connection
from kvd.kvctl.endpoint import Endpoint, endpoint_of
from kvd.kvctl.errors import BadAnswer, DeadlineExceeded, EndpointFailed
from kvd.kvctl.tls import Files

if TYPE_CHECKING:
    import ssl

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

REDIRECTS_MAX: Final = 10
IDLE_MAX: Final = 64
"""Connections that are kept for a later request, one for each endpoint."""

_SENDABLE: Final = re.compile("[!-~]+")

Tell = Callable[[str], object]


class Request(NamedTuple):
    """
    What is asked, of whichever endpoint.

    :ivar target: path and query, escaped.
    :ivar body: None without one.
    :ivar patient: its answer may come at any time; only its connection is waited for.
    :ivar anonymous: without saying who asks.
    """

    method: str
    target: str
    body: bytes | None = None
    content_type: str = ""
    patient: bool = False
    anonymous: bool = False


class Answer(NamedTuple):
    """
    What an endpoint said to it.

    :ivar endpoint: its URL.
    :ivar headers: by their names in lower case.
    """

    endpoint: str
    status: int
    headers: dict[str, str]
    body: bytes


class Settings(NamedTuple):
    """
    How an endpoint is asked.

    :ivar request_seconds: for the headers of an answer; 0: no end.
    :ivar dial_seconds: for a connection.
    :ivar body_bytes_max: of one answer.
    :ivar auth: a user's name and password.
    """

    request_seconds: float
    dial_seconds: float
    body_bytes_max: int
    files: Files = Files()
    auth: tuple[str, str] | None = None


class Wire:
    """
    Connections to endpoints, kept while they can be used again.

    :param tell: hears of each request as a command line of curl's; None: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tell: Tell | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._idle: dict[str, Connection] = {}
        self._tls: ssl.SSLContext | None = None
        self._headers = {"User-Agent": "kvctl"}
        if settings.auth is not None:
            named = ":".join(settings.auth).encode("utf-8", "surrogateescape")
            basic = base64.b64encode(named).decode("ascii")
            self._headers["Authorization"] = f"Basic {basic}"

    def ask(
        self, endpoint: Endpoint, request: Request, deadline: float | None
    ) -> Answer:
        """
        One try, and the ones that the endpoint refers to.

        :param deadline: of the command, by the clock; None: it may take any time.
        :raises EndpointFailed: no answer, or not in time.
        :raises BadAnswer: a longer one than is taken.
        :raises DeadlineExceeded:
        """
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._ask_once(endpoint, request, deadline)
            if not 300 <= answer.status < 400:
                return answer
            other, target = _referred(endpoint, answer)
            # Another host need not hear who asks.
            anonymous = request.anonymous or other[1:4] != endpoint[1:4]
            request = request._replace(target=target, anonymous=anonymous)
            endpoint = other
        raise EndpointFailed(endpoint.url, "client: too many redirects")

    def close(self) -> None:
        """Drop the connections that are kept."""
        for connection in self._idle.values():
            connection.close()
        self._idle.clear()

    def _ask_once(
        self, endpoint: Endpoint, request: Request, deadline: float | None
    ) -> Answer:
        if self._tell is not None:
            self._tell(curl(endpoint, request))
        if deadline is not None and deadline <= self._clock():
            raise DeadlineExceeded
        connection = self._connection(endpoint)
        seconds = 0.0 if request.patient else self._settings.request_seconds
        connection.until = _earlier(deadline, self._clock() + seconds if seconds else 0)
        try:
            response = self._response(connection, endpoint, request)
            connection.until = deadline
            body = _body(response, self._settings.body_bytes_max)
        except BaseException as error:
            connection.close()
            if isinstance(error, dialling.NotDialled):
                raise EndpointFailed(
                    endpoint.url, str(error), connection=True
                ) from None
            if isinstance(error, TimeoutError):
                raise self._late(endpoint, deadline) from None
            if isinstance(error, OSError | HTTPException):
                text, is_connection = words.of(error, connection.way)
                raise EndpointFailed(
                    endpoint.url, text, connection=is_connection
                ) from None
            raise
        if not response.will_close and response.isclosed():
            self._keep(endpoint, connection)
        else:
            connection.close()
        headers = {name.lower(): text for name, text in response.getheaders()}
        return Answer(endpoint.url, response.status, headers, body)

    def _late(
        self, endpoint: Endpoint, deadline: float | None
    ) -> EndpointFailed | DeadlineExceeded:
        if deadline is not None and self._clock() >= deadline:
            return DeadlineExceeded()
        return EndpointFailed(
            endpoint.url, f"client: endpoint {endpoint.url} exceeded header timeout"
        )

    def _connection(self, endpoint: Endpoint) -> Connection:
        kept = self._idle.pop(endpoint.url, None)
        if kept is not None:
            # Readable means that it was closed, or that it says what nobody asked for.
            if not select.select([kept.sock], [], [], 0)[0]:
                return kept
            kept.close()
        if endpoint.secure and self._tls is None:
            self._tls = self._settings.files.context()
        name = self._settings.files.server_name
        dial = partial(
            dialling.dial,
            endpoint,
            tls=self._tls if endpoint.secure else None,
            server_name=name or endpoint.host,
            seconds_max=self._settings.dial_seconds,
        )
        return Connection(endpoint, dial, self._clock)

    def _keep(self, endpoint: Endpoint, connection: Connection) -> None:
        if len(self._idle) >= IDLE_MAX:
            self._idle.pop(next(iter(self._idle))).close()
        self._idle[endpoint.url] = connection

    def _response(
        self, connection: Connection, endpoint: Endpoint, request: Request
    ) -> HTTPResponse:
        headers = dict(self._headers)
        if request.anonymous:
            headers.pop("Authorization", None)
        if request.content_type:
            headers["Content-Type"] = request.content_type
        try:
            connection.request(
                request.method,
                endpoint.prefix + request.target,
                body=request.body,
                headers=headers,
            )
        except (BrokenPipeError, ConnectionResetError):
            # The server may have refused it before it had read all of it.
            try:
                return connection.getresponse()
            except (OSError, HTTPException):
                pass
            raise
        return connection.getresponse()


def curl(endpoint: Endpoint, request: Request) -> str:
    """The request as ``--debug`` shows it."""
    line = f"curl -X {request.method} {endpoint.url.rstrip('/')}{request.target}"
    if request.body is not None:
        line += f" -d {quote(request.body)}"
    return f"cURL Command: {line}"


def _earlier(deadline: float | None, other: float) -> float | None:
    if not other:
        return deadline
    return other if deadline is None else min(deadline, other)


def _body(response: HTTPResponse, bytes_max: int) -> bytes:
    """
    All of it.

    :raises BadAnswer: there is more than that.
    :raises HTTPException: or OSError: it was cut off.
    """
    body = response.read(bytes_max + 1)
    if len(body) > bytes_max:
        raise BadAnswer(
            f"client: an answer of more than {bytes_max} bytes "
            "(--answer-bytes-max allows more)"
        )
    if response.length:
        raise words.CutOff
    return body


def _referred(endpoint: Endpoint, answer: Answer) -> tuple[Endpoint, str]:
    """Where a redirect leads to, and what is asked there."""
    location = answer.headers.get("location", "")
    if not location:
        raise EndpointFailed(endpoint.url, "location header not set")
    if not _SENDABLE.fullmatch(location):
        raise EndpointFailed(
            endpoint.url,
            f"location header not valid URL: {quote(location.encode('latin-1', 'replace'))}",
        )
    if location.startswith("/") and not location.startswith("//"):
        return endpoint._replace(path=""), location
    from urllib.parse import urlsplit  # noqa: PLC0415 -- hardly ever

    try:
        parts = urlsplit(location)
        other = endpoint_of(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        raise EndpointFailed(
            endpoint.url, f"location header not valid URL: {location}"
        ) from None
    if endpoint.secure and not other.secure:
        raise EndpointFailed(
            endpoint.url, f"client: referred to {location}, which is not https"
        )
    query = f"?{parts.query}" if parts.query else ""
    return other, f"{parts.path or '/'}{query}"
