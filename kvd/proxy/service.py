"""A proxy as a Twisted service."""

# Twisted leaves MultiService and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import SystemRandom
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.config import Config
from kvd.diagnostics.exposition import Exposition, ProcessFigures
from kvd.errors import ConfigError, StorageError
from kvd.logs import EMBEDDING, say_who
from kvd.node.settled import settled
from kvd.peer.dialling import Connect
from kvd.ports import Ports
from kvd.process import Process, StallWatchdog
from kvd.proxy.asking import Asking
from kvd.proxy.client import MemberClient
from kvd.proxy.counts import Counts
from kvd.proxy.endpoints import Endpoints
from kvd.proxy.folder import ProxyFolder
from kvd.proxy.forwarding import Forwarding
from kvd.proxy.liveness import watch_over
from kvd.proxy.metrics import ProxyCollector
from kvd.proxy.port import ProxyPort
from kvd.proxy.refreshing import Refreshing
from kvd.secured import Secured
from kvd.storage.disk import Disk, RealDisk
from kvd.storage.worker import ThreadWorker, Worker

_DRAIN_SECONDS: Final = 5.0  # for answers in flight when the proxy stops
_WATCH_INTERVAL_SECONDS: Final = 0.05

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class ProxyService(MultiService):
    """
    A proxy, from :meth:`startService` to the end of :meth:`stopService`.

    ::

        made -> starting -> serving -> stopping -> stopped

    It serves once the members' peer ports were asked for the first time, whether they
    answered or not; until they do, clients get 503.

    :param process: what the end of the proxy means for the process.
    :param peer_urls: of members, to begin with; empty for those of ``initial-cluster``.
        Those that an earlier start wrote into the data folder go before both.
    :param find: asked for peer URLs when there are none of these.
    :param warnings: lines about the configuration, for the log.
    :param source: of the configuration, for the log: a file; empty: command line and
        environment.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Reactor,
        config: Config,
        process: Process,
        peer_urls: Sequence[str] = (),
        find: Callable[[], Coroutine[Deferred[Any], Any, tuple[str, ...]]]
        | None = None,
        warnings: Sequence[str] = (),
        source: str = EMBEDDING,
        disk: Disk | None = None,
        worker: Worker | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._reactor = reactor
        self._process = process
        self._peer_urls = tuple(peer_urls) or tuple(
            url for _, urls in config.initial_cluster for url in urls
        )
        self._find = find
        self._finding: Deferred[tuple[str, ...]] | None = None
        self._warnings = tuple(warnings)
        self._source = source
        self._worker = worker
        self._folder = ProxyFolder(disk or RealDisk(), os.path.abspath(config.data_dir))
        self._secured = Secured(config, reactor)
        self._ports = Ports(
            reactor,
            "listen-client-urls",
            config.listen_client_urls,
            self._secured.client.accept,
        )
        seconds = config.proxy_dial_timeout / 1000
        self._client = self._make_client(
            partial(self._secured.connect_to_client_url, seconds=seconds)
        )
        # An etcd's peer port, where other certificates are shown than to clients.
        self._peers = self._make_client(self._secured.connect)
        self._endpoints = Endpoints(
            clock=reactor,
            shuffle=SystemRandom().shuffle,
            failure_wait_seconds=config.proxy_failure_wait / 1000,
        )
        self._refreshing = Refreshing(
            clock=reactor,
            endpoints=self._endpoints,
            ask=Asking(
                connect=self._secured.connect, clock=reactor, upstream=self._peers
            ).ask,
            keep=self._keep,
            interval_seconds=config.proxy_refresh_interval / 1000,
        )
        self._watchdog = StallWatchdog(
            clock=reactor,
            interval_seconds=_WATCH_INTERVAL_SECONDS,
            limit_seconds=config.election_timeout / 4000,
        )
        self._port = self._make_port()
        self._starting: Deferred[None] | None = None
        self._stopping = False
        self._end_of_stop: Deferred[None] | None = None
        self.serving: Deferred[None] = Deferred()

    def _make_client(self, connect: Connect) -> MemberClient:
        config = self.config
        return MemberClient(
            reactor=self._reactor,
            connect=connect,
            prepare=partial(watch_over, write_milliseconds=config.proxy_write_timeout),
            dial_seconds=config.proxy_dial_timeout / 1000,
            read_seconds=config.proxy_read_timeout / 1000,
        )

    def _make_port(self) -> ProxyPort:
        config, counts, exposition = self.config, Counts(), Exposition()
        forwarding = Forwarding(
            endpoints=self._endpoints,
            upstream=self._client,
            bodies_bytes_max=config.outbox_bytes_max,
            counts=counts,
            clock=self._reactor,
        )
        port = ProxyPort(
            config=config,
            endpoints=self._endpoints,
            forwarding=forwarding,
            metrics=exposition.page,
            clock=self._reactor,
            wall_time_ns=time.time_ns,
        )
        exposition.add(
            ProxyCollector(
                counts=counts,
                endpoints=self._endpoints,
                bodies_bytes=lambda: forwarding.bodies_bytes,
                connections=lambda: len(port.connections),
                connections_max=lambda: port.connections_max,
                loop=self._watchdog,
            )
        )
        exposition.add(ProcessFigures())
        return port

    # -- start ----------------------------------------------------------------------

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._not_started)

    async def _start(self) -> None:
        # A forwarded request has a client at one end and a member at the other.
        self._port.make_do_with(self._process.prepare(sockets_each=2))
        self._watchdog.start()
        self._say_who()
        self._secured.start()
        self._process.on_hangup(self.reload)
        problems = self._ports.open()
        if problems:
            raise ConfigError(problems)
        self._worker = worker = self._worker or ThreadWorker(self._reactor)
        kept = await worker.call(self._folder.open)
        peer_urls = kept or self._peer_urls
        if not peer_urls and self._find is not None:
            self._finding = Deferred.fromCoroutine(self._find())
            peer_urls = await self._finding
        self._log.info(
            "proxy for the cluster with the peer URLs {urls}{origin}",
            urls=", ".join(peer_urls),
            origin=", as written in the data folder" if kept else "",
        )
        await self._refreshing.start(peer_urls, kept=kept)
        if self._stopping:
            return
        self._ports.accept(self._port)
        self._port.open_for_business()
        self._process.recovered()
        self._log.info("ready to serve")
        self._process.serving()
        self.serving.callback(None)

    def _say_who(self) -> None:
        say_who(self._log, self._source, self._warnings)
        if self.config.listen_metrics_urls:
            self._log.warn(
                "listen-metrics-urls is ignored: a proxy opens no such ports"
            )
        self._log.info(
            "clients on {listen}{mode}",
            listen=",".join(self.config.listen_client_urls),
            mode=", which may only read" if self.config.proxy == "readonly" else "",
        )

    async def _keep(self, peer_urls: tuple[str, ...]) -> None:
        if self._worker is not None:
            await self._worker.call(partial(self._folder.write, peer_urls))

    def _not_started(self, failure: Failure) -> None:
        if self._stopping and isinstance(failure.value, CancelledError):
            return
        if isinstance(failure.value, ConfigError):
            for line in failure.value.problems:
                self._log.critical("cannot start: {line}", line=line)
        elif isinstance(failure.value, StorageError):
            line = f"data-dir: {failure.value}"
            self._log.critical("cannot start: {line}", line=line)
        else:
            self._log.failure("cannot start", failure)
        self._process.end(1)

    # -- stop -----------------------------------------------------------------------

    def reload(self) -> None:
        """Look at certificates, keys and revocation lists now; as SIGHUP does."""
        self._secured.reload()

    def stopService(self) -> Deferred[None]:
        """
        Answer what is in flight, end watches, close the files; fires then.

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
        super().stopService()
        self._log.info("stopped")

    async def _stop(self) -> None:
        self._stopping = True
        self._log.info("stopping")
        if self._finding is not None:
            self._finding.cancel()
        await self._refreshing.stop()
        if self._starting is not None:
            await settled(self._starting)
        await self._ports.close()
        await self._port.drain(_DRAIN_SECONDS)
        await self._client.close()
        await self._peers.close()
        if self._worker is not None:
            await self._worker.call(self._folder.release)
            await self._worker.stop()
