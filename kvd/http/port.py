"""A port that speaks HTTP: its connections, their deadlines, and how it is closed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory

from kvd.http import answers
from kvd.http.channel import Connection
from kvd.http.exchange import Client, Handler, Request, Response
from kvd.http.fields import HeaderBlock, HeaderBlocks
from kvd.http.framing import Framing
from kvd.http.settings import PortSettings
from kvd.http.targets import CONNECT, RequestLine, redirect
from kvd.http.visits import STOPPING, Visit

_SWEEP_SECONDS = 1.0
_LINGER_SECONDS = 2.0
_LATER_SECONDS = 0.0
GOODBYES_MAX = 64
"""Connections for which there is no room and that are told so, at one time."""


class HttpPort(Factory):
    """
    Speaks HTTP/1.0 and 1.1 on every connection; a subclass says who answers.

    Connections are accepted at once but answered only after
    :meth:`open_for_business`.

    :param wall_time_ns: for dates.
    """

    noisy = False

    def __init__(
        self,
        *,
        config: PortSettings,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
    ) -> None:
        self.settings = config
        self._connections_max = config.connections_max
        self.blocks = HeaderBlocks(count_max=config.header_count_max)
        self.framing = Framing(cors=config.cors, wall_time_ns=wall_time_ns)
        self.is_open = False
        self.is_draining = False
        self.connections: set[Connection] = set()
        self.visits: dict[Visit, None] = {}  # in the order in which they came
        self._told: set[Connection] = set()  # that there is no room for them
        # When a request that is arriving, or a goodbye, has taken too long.
        self.deadlines: dict[Connection, float] = {}
        # Those of them that wait for the first byte of their next request.
        self._resting: set[Connection] = set()
        self._idle_seconds = config.idle_timeout / 1000
        self._clock = clock
        self._sweep_call: IDelayedCall | None = None
        self._drained: Deferred[None] | None = None
        self._drain_call: IDelayedCall | None = None
        self._any_host = "*" in config.host_whitelist or not config.host_whitelist
        self._hosts = frozenset(host.encode("utf-8") for host in config.host_whitelist)

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        """Clean path, who answers, and how many bytes of a body they take (0: none)."""
        raise NotImplementedError

    # -- life ---------------------------------------------------------------------------

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        """
        None, which closes the connection at once, when the site is draining and for
        those who come too fast to be told that there is no room: they would take all
        descriptors, also those that the log needs.
        """
        if self.is_draining or len(self._told) >= GOODBYES_MAX:
            return None
        return Connection(self, Client(getattr(addr, "host", "")))

    @property
    def connections_max(self) -> int:
        """As configured, or fewer: see :meth:`make_do_with`."""
        return self._connections_max

    def make_do_with(self, descriptors_for: int | None) -> None:
        """Take no more clients than the process has descriptors for; None: enough."""
        if descriptors_for is not None:
            self._connections_max = min(self._connections_max, descriptors_for)

    def open_for_business(self) -> None:
        """This member has a leader and has published itself: answer everybody."""
        self.is_open = True
        for connection in list(self.connections):
            connection.go_on()
        for visit in list(self.visits):
            visit.begin(self)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Fires when every connection is closed, and every visit over.

        Requests under way are answered, watches end, idle connections close; what is
        still there after so many seconds is cut off.
        """
        self.is_draining = True
        drained: Deferred[None] = Deferred()
        self._drained = drained
        self._drain_call = self._clock.callLater(seconds, self._cut_off)
        for connection in list(self.connections):
            connection.drain()
        for visit in list(self.visits):
            visit.drain()
        self._check_drained()
        return drained

    def _cut_off(self) -> None:
        self._drain_call = None
        for connection in list(self.connections):
            connection.abort()
        for visit in list(self.visits):
            visit.abort()
        self._check_drained()

    def _check_drained(self) -> None:
        if self._drained is None or self.connections or self.visits:
            return
        if self._drain_call is not None:
            self._drain_call.cancel()
            self._drain_call = None
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None
        drained, self._drained = self._drained, None
        drained.callback(None)

    def recognised(self, client: Client, transport: object) -> Client:  # noqa: ARG002 -- of use to subclasses
        """The client, once its connection is made, with what that shows of it."""
        return client

    # -- requests that no connection of ours brings ---------------------------------------

    def enter(self, visit: Visit) -> None:
        """
        Answer it like any other request, once everybody is answered.

        There is room for as many as for connections, beside these; more are refused.
        """
        if self.is_draining:
            visit.refuse(STOPPING)
        elif len(self.visits) >= self.settings.connections_max:
            visit.refuse(f"{len(self.visits)} requests are under way already")
        else:
            self.visits[visit] = None
            visit.wait(self)
            if self.is_open:
                visit.begin(self)

    def left(self, visit: Visit) -> None:
        """It is over."""
        self.visits.pop(visit, None)
        self._check_drained()

    # -- what connections tell ------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        if len(self.connections) >= self.connections_max:
            self._told.add(connection)
            return False
        self.connections.add(connection)
        self.rest(connection)
        return True

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        self.connections.discard(connection)
        self._told.discard(connection)
        self.arrived(connection)
        self._check_drained()

    def expect(self, connection: Connection, *, body: bool) -> None:
        """The rest of a head or body must arrive in time; the first call counts."""
        if connection in self._resting:
            self.arrived(connection)
        if connection not in self.deadlines:
            settings = self.settings
            timeout = settings.body_timeout if body else settings.header_timeout
            self._set_deadline(connection, timeout / 1000)

    def arrived(self, connection: Connection) -> None:
        """Nothing is expected of it at the moment."""
        self.deadlines.pop(connection, None)
        self._resting.discard(connection)

    def rest(self, connection: Connection) -> None:
        """It has no request; the first call since the last one counts."""
        if self._idle_seconds and self.is_open and connection not in self.deadlines:
            self._resting.add(connection)
            self._set_deadline(connection, self._idle_seconds)

    def lingering(self, connection: Connection) -> None:
        """It has been told that we close, and may finish talking."""
        self._set_deadline(connection, _LINGER_SECONDS)

    def go_on_later(self, connection: Connection) -> None:
        """It has more requests, but others have their turn first."""
        self._clock.callLater(_LATER_SECONDS, connection.go_on)

    def _set_deadline(self, connection: Connection, seconds: float) -> None:
        self.deadlines[connection] = self._clock.seconds() + seconds
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._sweep_call = None
        now = self._clock.seconds()
        late = [each for each, deadline in self.deadlines.items() if deadline <= now]
        idle = self._resting.intersection(late)
        for connection in late:
            self.arrived(connection)
        for connection in late:
            if connection in idle:
                connection.drain()
            else:
                connection.too_late()
        if self.deadlines and self._sweep_call is None:
            self._sweep_call = self._clock.callLater(_SWEEP_SECONDS, self._sweep)

    # -- what is the same for every route -------------------------------------------------

    def of_another_host(self, line: RequestLine, fields: HeaderBlock) -> Handler | None:
        """Who answers a request that names a host which is none of ours."""
        if self._any_host or line.secure:  # a browser checks the names of certificates
            return None
        host = fields.host if line.host is None else line.host
        return None if _host_name(host or b"") in self._hosts else _misdirected

    def of_no_clean_path(self, line: RequestLine) -> Handler | None:
        """Who answers for ``*`` and for a path that is not clean (V2-SPEC 1.3)."""
        if line.clean or line.method == CONNECT:
            return None
        if line.path == "*":
            return _empty_star if line.method == "OPTIONS" else _bad_star
        path = line.path.encode("utf-8", "surrogateescape")
        elsewhere = redirect(path, line.query, line.prefix)
        if elsewhere is None:
            return None
        moved = answers.moved(line.method, elsewhere)
        return lambda _request: moved


def _host_name(host: bytes) -> bytes:
    """Without a port, as Go's SplitHostPort; as it is when it has none."""
    if host.startswith(b"["):
        name, bracket, port = host[1:].partition(b"]")
        return name if bracket and port.startswith(b":") else host
    return host.partition(b":")[0] if host.count(b":") == 1 else host


def empty(_request: Request) -> Response:
    """The answer to OPTIONS."""
    return answers.EMPTY


def _empty_star(_request: Request) -> Response:
    return answers.EMPTY_STAR


def _bad_star(_request: Request) -> Response:
    return answers.BAD_STAR


def _misdirected(request: Request) -> Response:
    return answers.misdirected(request.block.host or b"")
