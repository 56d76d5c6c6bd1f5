"""A member as a Twisted service; the only module that knows all parts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.beginning import Beginning
from kvd.compose import (
    Endings,
    Parts,
    World,
    compose,
    folder_problem,
    storage_settings,
)
from kvd.config import Config
from kvd.discovery.failures import ClusterIsFull
from kvd.errors import ConfigError, StorageError
from kvd.finding import lines_about, peer_urls
from kvd.http.entrance import Entrance
from kvd.http.visits import STOPPED
from kvd.logs import EMBEDDING, say_who
from kvd.node.settled import settled
from kvd.peer.sending import Refused
from kvd.ports import Ports
from kvd.process import Process, StallWatchdog
from kvd.secured import Secured
from kvd.storage.disk import Disk, RealDisk
from kvd.storage.open import Opened, open_storage
from kvd.storage.worker import ThreadWorker, Worker

_DRAIN_SECONDS: Final = 5.0  # for answers in flight when the member stops
_WATCH_INTERVAL_SECONDS: Final = 0.05

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class KvdService(MultiService):
    """
    One member, from :meth:`startService` to the end of :meth:`stopService`.

    ::

        made -> starting -> joined -> serving -> stopping -> stopped
                    |          |         |          ^
                    +----------+---------+----------+  SIGTERM, or a fatal error

    It is *joined* once it takes part in its cluster, and *serving* once it has a leader
    and its own record is published; clients are accepted from then on.

    :param process: what the end of the member means for the process.
    :param warnings: lines about the configuration, for the log.
    :param source: of the configuration, for the log: a file; empty: command line and
        environment.
    :param become_proxy: called with the peer URLs of a cluster that others founded;
        this service has nothing more to do then, and waits to be stopped.
    :ivar serving: fires when clients are answered.
    :ivar entrance: for requests that none of its ports brings; see :mod:`kvd.embedding`.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Reactor,
        config: Config,
        process: Process,
        warnings: Sequence[str] = (),
        source: str = EMBEDDING,
        disk: Disk | None = None,
        worker: Worker | None = None,
        become_proxy: Callable[[tuple[str, ...]], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.config = config
        self.reactor = reactor
        self.entrance = Entrance(waiting_max=config.connections_max)
        self._process = process
        self._warnings = tuple(warnings)
        self._source = source
        self._disk = disk if disk is not None else RealDisk()
        self._worker = worker
        self._become_proxy = become_proxy
        self._opened: Opened | None = None
        self._parts: Parts | None = None
        self._secured = secured = Secured(config, reactor)
        self._client_ports = Ports(
            reactor,
            "listen-client-urls",
            config.listen_client_urls,
            secured.client.accept,
        )
        self._peer_ports = Ports(
            reactor, "listen-peer-urls", config.listen_peer_urls, secured.peer.accept
        )
        self._metrics_ports = Ports(
            reactor,
            "listen-metrics-urls",
            config.listen_metrics_urls,
            secured.client.accept,
        )
        self._beginning = Beginning(
            config=config,
            reactor=reactor,
            connect=secured.connect,
            peer_ports=self._peer_ports,
        )
        self._watchdog = StallWatchdog(
            clock=reactor,
            interval_seconds=_WATCH_INTERVAL_SECONDS,
            limit_seconds=config.election_timeout / 4000,
        )
        self._starting: Deferred[None] | None = None
        self._stopping = False
        self._end_of_stop: Deferred[None] | None = None
        self._failed = False
        self.serving: Deferred[None] = Deferred()

    # -- start ----------------------------------------------------------------------

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        descriptors_for = self._process.prepare()
        self._watchdog.start()
        self._say_who()
        self._secured.start()
        self._process.on_hangup(self.reload)
        problems = [
            *self._peer_ports.open(),
            *self._client_ports.open(),
            *self._metrics_ports.open(),
        ]
        if problems:
            raise ConfigError(problems)
        worker = self._worker or ThreadWorker(self.reactor)
        settings = storage_settings(self.config)
        began = self.reactor.seconds()
        self._opened = await open_storage(
            disk=self._disk,
            worker=worker,
            settings=settings,
            progress=lambda line: self._log.info("{line}", line=line),
        )
        seconds = self.reactor.seconds() - began
        identity, log = await self._beginning.begin(self._opened, read_seconds=seconds)
        self._parts = parts = compose(
            self.config,
            identity=identity,
            log=log,
            persistence=self._opened.persistence,
            process=self._process,
            watchdog=self._watchdog,
            world=World(
                reactor=self.reactor,
                connect=self._secured.connect,
                names_of=self._secured.client.names_of,
                certificates=self._secured.certificates,
                wall_time_ns=time.time_ns,
                randbelow=secrets.randbelow,
                random=secrets.SystemRandom().random,
                secret=secrets.token_bytes(32),
            ),
            endings=Endings(fatal=self._fatal, removed=self._removed),
        )
        self._log.info(
            "member {name}, id {member_id:x}, of cluster {cluster_id:x}",
            name=self.config.name,
            member_id=identity.member_id,
            cluster_id=identity.cluster_id,
        )
        parts.site.make_do_with(descriptors_for)
        if self._stopping:
            return
        parts.threads.start()
        parts.transport.start()
        self._peer_ports.accept(parts.transport.factory)
        self._client_ports.accept(parts.site)
        self.entrance.lead_to(parts.site)
        parts.metrics.open_for_business()
        self._metrics_ports.accept(parts.metrics)
        await parts.node.start()
        ready = parts.node.when_ready().addCallback(lambda _: self._serve(parts))
        ready.addErrback(self._failed_to_serve)

    def _say_who(self) -> None:
        config = self.config
        say_who(self._log, self._source, self._warnings)
        settings = storage_settings(config)
        self._log.info(
            "data in {data}{log}",
            data=settings.data_folder,
            log=f", log in {settings.wal_folder}" if settings.wal_folder else "",
        )
        self._log.info(
            "members on {listen}, known to them as {advertise}",
            listen=",".join(config.listen_peer_urls),
            advertise=",".join(config.initial_advertise_peer_urls),
        )
        self._log.info(
            "clients on {listen}, known to them as {advertise}",
            listen=",".join(config.listen_client_urls),
            advertise=",".join(config.advertise_client_urls),
        )
        if config.listen_metrics_urls:
            listen = ",".join(config.listen_metrics_urls)
            self._log.info("metrics and health on {listen}", listen=listen)

    def _serve(self, parts: Parts) -> None:
        if self._stopping:
            return
        self._process.recovered()
        parts.site.open_for_business()
        self._log.info("ready to serve")
        self._process.serving()
        self.serving.callback(None)

    def _failed_to_serve(self, failure: Failure) -> None:
        self._fatal(failure.value or RuntimeError("unknown"))

    def _not_started(self, failure: Failure) -> None:
        if self._stopping and isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, ClusterIsFull):
            self._is_full(failure.value)
            return
        if isinstance(failure.value, ConfigError):
            for line in failure.value.problems:
                self._log.critical("cannot start: {line}", line=line)
        elif isinstance(failure.value, StorageError | Refused):
            line = folder_problem(self.config, failure.value)
            self._log.critical("cannot start: {line}", line=line)
        else:
            self._log.failure("cannot start", failure)
        self._end(1)

    def _is_full(self, full: ClusterIsFull) -> None:
        if self._become_proxy is not None:
            self._log.warn("{full}; falling back to proxy", full=full)
            self._become_proxy(peer_urls(full.founders))
            return
        for line in lines_about(full, self.config):
            self._log.critical("cannot start: {line}", line=line)
        self._end(1)

    # -- stop -----------------------------------------------------------------------

    def _fatal(self, error: BaseException) -> None:
        self._log.critical(
            "{kind}: {error}; the member stops, start it again once the cause is gone",
            kind=type(error).__name__,
            error=error,
        )
        self._end(1)

    def _removed(self, reason: str) -> None:
        self._log.critical(
            "{reason}; this member stops for good: remove its data folder {data} "
            "before it is added again",
            reason=reason,
            data=storage_settings(self.config).data_folder,
        )
        self._end(1)

    def _end(self, status: int) -> None:
        self._failed = True
        self.entrance.close(STOPPED)
        self._process.end(status)

    def reload(self) -> None:
        """Look at certificates, keys and revocation lists now; as SIGHUP does."""
        self._secured.reload()

    def stopService(self) -> Deferred[None]:
        """
        Hand leadership over, answer what is in flight, close the files; fires then.

        Whoever calls it again waits for the same end.
        """
        if self._end_of_stop is None:
            self._end_of_stop = Deferred()
            stopping = Deferred.fromCoroutine(self._stop())
            stopping.addErrback(lambda failure: self._log.failure("stopping", failure))
            stopping.addCallback(lambda _: self._stopped())
            stopping.addBoth(self._end_of_stop.callback)
        return settled(self._end_of_stop)

    def _stopped(self) -> None:
        self._watchdog.stop()
        self._secured.stop()
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        self._log.info("stopped")

    async def _stop(self) -> None:
        self._stopping = True
        self._log.info("stopping")
        self._beginning.cancel()
        if self._starting is not None:
            await settled(self._starting)
        parts = self._parts
        if parts is not None and not self._failed:
            await self._hand_over(parts)
        self.entrance.close()
        await self._client_ports.close()
        node_stopped = None
        if parts is not None:
            if self._failed:
                # Nothing more will be done here: who waits for it is told at once.
                node_stopped = parts.node.stop()
            await parts.site.drain(_DRAIN_SECONDS)
        await self._metrics_ports.close()
        if parts is not None:
            await parts.metrics.drain(_DRAIN_SECONDS)
            await (node_stopped or parts.node.stop())
        await self._peer_ports.close()
        if parts is not None:
            await parts.transport.stop()
            parts.threads.stop()
        if self._opened is not None:
            await self._opened.persistence.close()

    async def _hand_over(self, parts: Parts) -> None:
        """So that the cluster need not wait for an election."""
        target = parts.node.successor() if parts.node.is_leader else 0
        if target:
            done = await parts.node.transfer_leadership(target)
            self._log.info(
                "leadership handed to {target:x}"
                if done
                else "{target:x} did not take the leadership in time",
                target=target,
            )
