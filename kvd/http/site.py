"""The client port of a member: who answers which request."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from kvd.http.auth import AuthApi
from kvd.http.checks import Checks, Threads
from kvd.http.control import Control
from kvd.http.counts import RequestCounts
from kvd.http.diagnosis import Diagnosis
from kvd.http.exchange import Client, Handler
from kvd.http.fields import HeaderBlock
from kvd.http.guard import Guard
from kvd.http.keys import PREFIX, Keys
from kvd.http.passwords import Passwords
from kvd.http.pathlimits import PathLimits
from kvd.http.port import HttpPort, empty
from kvd.http.settings import HttpSettings
from kvd.http.store import AuthView, ClusterView, KeysStore, ServerStats
from kvd.http.targets import RequestLine
from kvd.http.tokens import Tokens
from kvd.http.watches import Watches
from kvd.node.interfaces import Member


def no_names(_transport: object) -> tuple[str, ...]:
    """Nobody shows a certificate."""
    return ()


class ClientSite(HttpPort):
    """
    The client port of a member.

    :param threads: where passwords are checked.
    :param secret: of this process, for what it remembers of passwords.
    :param wall_time_ns: for dates and what is left of a ttl.
    :param names_of: the names in a verified certificate of a connection's other side.
    """

    def __init__(
        self,
        *,
        config: HttpSettings,
        member: Member,
        keys: KeysStore,
        auth: AuthView,
        threads: Threads,
        secret: bytes,
        cluster: ClusterView,
        stats: ServerStats,
        diagnosis: Diagnosis,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
        randbelow: Callable[[int], int],
        names_of: Callable[[object], tuple[str, ...]] = no_names,
    ) -> None:
        super().__init__(config=config, clock=clock, wall_time_ns=wall_time_ns)
        self._names_of = names_of
        self._request_bytes_max = config.request_bytes_max
        self.counts = RequestCounts()
        self.watches = Watches(
            store=keys,
            cluster_id=f"{member.cluster_id:x}",
            wall_time_ns=wall_time_ns,
            watchers_max=config.watchers_max,
            backlog_max=config.stream_backlog_max,
        )
        passwords = Passwords(
            auth=auth,
            checks=Checks(
                threads=threads,
                running_max=config.auth_checks_running_max,
                waiting_max=config.auth_checks_waiting_max,
            ),
            secret=secret,
            cost=config.bcrypt_cost,
            remembered_max=config.auth_cache_max,
        )
        guard = Guard(auth=auth, passwords=passwords, stats=keys.stats)
        self._keys = Keys(
            member=member,
            store=keys,
            auth=auth,
            guard=guard,
            watches=self.watches,
            paths=PathLimits(
                depth_max=config.path_depth_max, bytes_max=config.path_bytes_max
            ),
            counts=self.counts,
            seconds=clock.seconds,
            wall_time_ns=wall_time_ns,
        )
        self.control = Control(
            settings=config,
            member=member,
            store=keys,
            cluster=cluster,
            stats=stats,
            counts=self.counts,
            diagnosis=diagnosis,
            auth=AuthApi(
                member=member,
                auth=auth,
                cluster=cluster,
                guard=guard,
                passwords=passwords,
                stats=keys.stats,
                json_depth_max=config.json_depth_max,
            ),
            guard=guard,
            clock=clock,
            wall_time_ns=wall_time_ns,
            tokens=Tokens(
                keys=self._keys.answer,
                client_urls=config.advertise_client_urls,
                randbelow=randbelow,
            ),
        )

    def recognised(self, client: Client, transport: object) -> Client:
        """By the certificate that it has shown."""
        return Client(client.address, self._names_of(transport))

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        """
        Clean path, who answers, and how many bytes of a body they take (0: none).

        In etcd's order: Host, OPTIONS, ``*``, clean path, routes.
        """
        path = line.path
        refused = self.of_another_host(line, fields)
        if refused is not None:
            return path, refused, 0
        if line.method == "OPTIONS" and path != "*":
            return path, empty, 0
        elsewhere = self.of_no_clean_path(line)
        if elsewhere is not None:
            return path, elsewhere, 0
        if path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] in {"", "/"}:
            wants_form = fields.form and line.method in {"PUT", "POST"}
            limit = self._request_bytes_max if wants_form else 0
            return path, self._keys.answer, limit
        limit = self.control.body_bytes_max(line.method, path)
        return path, self.control.answer, limit
