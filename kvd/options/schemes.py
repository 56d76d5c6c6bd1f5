"""What https URLs need, and what has no use beside http ones; etcd's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from kvd.config import Config
from kvd.options.given import Given, problem


@attrs.frozen
class _Side:
    """One kind of port, and how its options are called."""

    what: str
    prefix: str
    urls: tuple[str, ...]
    cert_file: str
    key_file: str
    trusted: str
    asks: bool
    asking: str
    auto: bool

    @property
    def secure(self) -> str:
        """The first https URL, empty when there is none."""
        return next((url for url in self.urls if url.startswith("https:")), "")


def _sides(config: Config) -> tuple[_Side, _Side]:
    return (
        _Side(
            "client",
            "",
            config.listen_client_urls,
            config.cert_file,
            config.key_file,
            config.trusted_ca_file or config.ca_file,
            config.client_cert_auth,
            "client-cert-auth",
            config.auto_tls,
        ),
        _Side(
            "peer",
            "peer-",
            config.listen_peer_urls,
            config.peer_cert_file,
            config.peer_key_file,
            config.peer_trusted_ca_file or config.peer_ca_file,
            config.peer_client_cert_auth,
            "peer-client-cert-auth",
            config.peer_auto_tls,
        ),
    )


def scheme_problems(config: Config, given: Mapping[str, Given]) -> list[str]:
    """One line for each option that TLS lacks."""
    problems = [line for side in _sides(config) for line in _problems(side, given)]
    clients, _ = _sides(config)
    metrics = attrs.evolve(clients, what="metrics", urls=config.listen_metrics_urls)
    if metrics.secure and not (metrics.cert_file or metrics.key_file or metrics.auto):
        problems.append(
            problem(
                "listen-metrics-urls",
                "TLS key/cert (--cert-file, --key-file) must be provided for metrics url "
                f"{metrics.secure} with HTTPS scheme",
                given.get("listen-metrics-urls"),
            )
        )
    return problems


def _problems(side: _Side, given: Mapping[str, Given]) -> Iterator[str]:
    cert, key = f"{side.prefix}cert-file", f"{side.prefix}key-file"
    if bool(side.cert_file) is not bool(side.key_file):
        missing, there = (key, cert) if side.cert_file else (cert, key)
        yield problem(missing, f"expected together with {there}", given.get(there))
    elif side.secure and not side.cert_file and not side.auto:
        urls = f"listen-{side.what}-urls"
        yield problem(
            cert,
            f"TLS key/cert (--{cert}, --{key}) must be provided for {side.what} url "
            f"{side.secure} with HTTPS scheme",
            given.get(urls),
        )
    if side.asks and not side.trusted:
        ca = f"{side.prefix}trusted-ca-file"
        yield problem(ca, f"expected with {side.asking}", given.get(side.asking))


def scheme_warnings(config: Config) -> list[str]:
    """Of certificates and rules for URLs that have no use for them."""
    lines = []
    for side in _sides(config):
        for url in side.urls:
            if url.startswith("http:"):
                if side.cert_file or side.key_file:
                    lines.append(
                        f"the scheme of {side.what} url {url} is HTTP while "
                        f"{side.prefix}key/cert files are presented: they are of no use "
                        "there"
                    )
                if side.asks:
                    lines.append(
                        f"the scheme of {side.what} url {url} is HTTP while "
                        f"{side.asking} is enabled: nobody is asked for a certificate "
                        "there"
                    )
    return lines
