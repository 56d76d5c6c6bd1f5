"""The port of ``listen-metrics-urls``: what watches over a member, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IReactorTime

from kvd.config import Config
from kvd.http import answers
from kvd.http.control import Control
from kvd.http.exchange import Handler, Request, Response
from kvd.http.fields import HeaderBlock
from kvd.http.port import HttpPort
from kvd.http.settings import PortSettings
from kvd.http.targets import RequestLine

PATHS = frozenset(("/metrics", "/health", "/livez", "/readyz"))
_CONNECTIONS_MAX = 100  # among the descriptors that a member has for itself


def metrics_settings(config: Config) -> Config:
    """As etcd, without CORS and without a check of hosts."""
    return attrs.evolve(
        config,
        cors=(),
        host_whitelist=(),
        connections_max=min(config.connections_max, _CONNECTIONS_MAX),
    )


class MetricsPort(HttpPort):
    """
    Has connections of its own, so that no crowd of clients keeps a probe out.

    :param config: see :func:`metrics_settings`.
    """

    def __init__(
        self,
        *,
        config: PortSettings,
        control: Control,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
    ) -> None:
        super().__init__(config=config, clock=clock, wall_time_ns=wall_time_ns)
        self._control = control

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:  # noqa: ARG002 -- no header counts
        """Clean path, who answers, and that no body is wanted."""
        path = line.path
        elsewhere = self.of_no_clean_path(line)
        if elsewhere is not None:
            return path, elsewhere, 0
        return path, self._control.answer if path in PATHS else _not_found, 0


def _not_found(_request: Request) -> Response:
    return answers.NOT_FOUND
