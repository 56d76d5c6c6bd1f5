"""The TLS of both ports of a member, as its configuration wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.ports import CONNECT_SECONDS, endpoint
from kvd.tls.certificates import BOTH, issue, write_private
from kvd.tls.material import FILE_BYTES_MAX, days_left, utc_now
from kvd.tls.port import TlsPort
from kvd.tls.rotation import WARN_DAYS, Rotation
from kvd.tls.settings import TlsSettings

# etcd's names and place for certificates of its own making, and their year.
_FIXTURES: Final = "fixtures"
_OWN_DAYS: Final = 365.0
_NAMES: Final = ("client", "peer")

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


def tls_settings(config: Config) -> tuple[TlsSettings, TlsSettings]:
    """Of the clients' and of the peers' port."""
    folder = os.path.join(os.path.abspath(config.data_dir), _FIXTURES)
    own = [
        os.path.join(folder, name) if auto and not given else ""
        for name, auto, given in (
            ("client", config.auto_tls, config.cert_file),
            ("peer", config.peer_auto_tls, config.peer_cert_file),
        )
    ]
    return (
        TlsSettings(
            cert_file=config.cert_file or _in(own[0], "cert.pem"),
            key_file=config.key_file or _in(own[0], "key.pem"),
            trusted_ca_file=config.trusted_ca_file or config.ca_file,
            crl_file=config.client_crl_file,
            folder=own[0],
            client_cert_auth=config.client_cert_auth or bool(config.ca_file),
            allowed_hostname=config.client_cert_allowed_hostname,
            cipher_suites=config.cipher_suites,
        ),
        TlsSettings(
            prefix="peer-",
            cert_file=config.peer_cert_file or _in(own[1], "cert.pem"),
            key_file=config.peer_key_file or _in(own[1], "key.pem"),
            trusted_ca_file=config.peer_trusted_ca_file or config.peer_ca_file,
            crl_file=config.peer_crl_file,
            folder=own[1],
            client_cert_auth=config.peer_client_cert_auth or bool(config.peer_ca_file),
            allowed_cn=config.peer_cert_allowed_cn,
            allowed_hostname=config.peer_cert_allowed_hostname,
            cipher_suites=config.cipher_suites,
        ),
    )


def _in(folder: str, name: str) -> str:
    return os.path.join(folder, name) if folder else ""


def handshakes_max(config: Config) -> int:
    """TLS handshakes that may be under way on all ports together."""
    urls = (
        *config.listen_client_urls,
        *config.listen_peer_urls,
        *config.listen_metrics_urls,
    )
    secure = [url for url in urls if urlsplit(url).scheme == "https"]
    return len(secure) * config.tls_handshakes_max


class Secured:
    """
    Both ports' TLS, and what keeps their certificates fresh.

    A port that has no certificate, no authority and no https URL has none to look
    after; it can still dial a member whom the machine's authorities vouch for.

    :ivar client: of the clients' port.
    :ivar peer: of the peers' port, for both directions.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        reactor: Reactor,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._now = now
        settings = tls_settings(config)
        self.client, self.peer = (
            TlsPort(
                each,
                what=what,
                read_file=_read_file,
                clock=reactor,
                handshake_seconds=config.tls_handshake_timeout / 1000,
                pending_max=config.tls_handshakes_max,
            )
            for each, what in zip(settings, _NAMES, strict=True)
        )
        self._rotation = Rotation(
            {
                what: port
                for what, port in zip(_NAMES, (self.client, self.peer), strict=True)
                if port.settings.is_set or port.settings.trusted_ca_file
            },
            clock=reactor,
            now=now,
            interval_seconds=config.tls_reload_interval / 1000,
            renew=self._renew,
        )

    def start(self) -> None:
        """
        Make the certificates that are to be made, and read all.

        :raises ConfigError: a line for each file that cannot be used.
        """
        problems: list[str] = []
        for port in (self.client, self.peer):
            try:
                self._make(port.settings)
                port.load()
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        self._rotation.start()

    def stop(self) -> None:
        self._rotation.stop()

    def reload(self) -> None:
        """Look at the files now."""
        self._rotation.reload()

    def certificates(self) -> tuple[tuple[str, float], ...]:
        """Each file of certificates, and the days until the first in it expires."""
        return self._rotation.days_left()

    def connect(
        self, url: str, *, seconds: float = CONNECT_SECONDS
    ) -> IStreamClientEndpoint:
        """
        Where another member's peer URL leads, over TLS when it is https.

        Members out of the DNS, with no authority of ours to vouch for them, must have
        certificates for the domain, whatever their hosts are called (V2-SPEC 16.2).

        :param seconds: for an attempt to connect, before the handshake.
        :raises ValueError: as :func:`kvd.ports.endpoint`.
        """
        trusted = self.peer.settings.trusted_ca_file
        domain = "" if trusted else self._config.discovery_srv
        return self._dial(self.peer, url, seconds, host=domain)

    def connect_to_client_url(
        self, url: str, *, seconds: float = CONNECT_SECONDS
    ) -> IStreamClientEndpoint:
        """The same for a member's client URL, as a proxy asks it."""
        settings = self.client.settings
        own = settings.is_set or settings.trusted_ca_file
        return self._dial(self.client if own else self.peer, url, seconds)

    def _dial(
        self, port: TlsPort, url: str, seconds: float, host: str = ""
    ) -> IStreamClientEndpoint:
        if urlsplit(url).scheme != "https":
            return endpoint(self._reactor, url, seconds=seconds)
        plain = url.replace("https:", "http:", 1)
        made = endpoint(self._reactor, plain, seconds=seconds)
        return port.endpoint(made, host or urlsplit(url).hostname or "")

    def _renew(self) -> bool:
        """Those of our own making that end soon: nobody else would see to them."""
        renewed = False
        for port in (self.client, self.peer):
            settings = port.settings
            if not settings.folder:
                continue
            own, key = port.material.chain[0], port.material.key
            if own.issuer != own.subject or not isinstance(
                key, EllipticCurvePrivateKey
            ):
                continue  # somebody else has put it there
            if days_left(own.not_valid_after_utc, now=self._now()) <= WARN_DAYS:
                try:
                    # With the same key: one file that changes is never half changed.
                    self._issue(settings, key)
                    renewed = True
                except ConfigError as error:
                    for line in error.problems:
                        self._log.error("{line}", line=line)
        return renewed

    def _make(self, settings: TlsSettings) -> None:
        """A certificate of our own making, unless there is one from before."""
        if settings.folder and not os.path.exists(settings.cert_file):
            self._issue(settings)

    def _issue(
        self, settings: TlsSettings, key: EllipticCurvePrivateKey | None = None
    ) -> None:
        issued = issue(
            None,
            "kvd",
            hosts=sorted(self._hosts()),
            usage=BOTH,
            now=self._now(),
            days=_OWN_DAYS,
            key=key,
        )
        try:
            os.makedirs(settings.folder, mode=0o700, exist_ok=True)
            if key is None:
                write_private(settings.key_file, issued.key_pem)
            write_private(settings.cert_file, issued.certificate_pem)
        except OSError as error:
            reason = error.strerror or str(error)
            option = settings.option("auto-tls")
            raise ConfigError([f"{option}: {settings.folder}: {reason}"]) from error
        self._log.info(
            "made a certificate of our own in {folder}; nobody vouches for it",
            folder=settings.folder,
        )

    def _hosts(self) -> set[str]:
        config = self._config
        urls: Sequence[str] = (
            *config.listen_client_urls,
            *config.advertise_client_urls,
            *config.listen_peer_urls,
            *config.initial_advertise_peer_urls,
        )
        return {host for host in (urlsplit(url).hostname for url in urls) if host}


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(FILE_BYTES_MAX + 1)
