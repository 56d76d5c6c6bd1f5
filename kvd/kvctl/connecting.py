"""From flags and environment to a cluster that can be asked, as etcdctl gets there."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from kvd.kvctl.cluster import Cluster
from kvd.kvctl.endpoint import Endpoint, endpoint_of
from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    BAD_CONNECTION,
    SERVER_ERROR,
    ClusterError,
    Failed,
    NoEndpoints,
    failed,
)
from kvd.kvctl.prompt import ask_password
from kvd.kvctl.tls import Files
from kvd.kvctl.wire import Settings, Wire

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

DEFAULT_ENDPOINTS: Final = "http://127.0.0.1:2379,http://127.0.0.1:4001"
DIAL_SECONDS: Final = 30.0


def variable(environ: Mapping[str, str], name: str) -> str:
    """``KVCTL_NAME``, or else ``ETCDCTL_NAME``; empty if neither is set."""
    return environ.get(f"KVCTL_{name}") or environ.get(f"ETCDCTL_{name}", "")


def connect(context: Context, *, sync: bool, asked: Settings | None = None) -> Cluster:
    """
    A cluster by the flags of the command; each call syncs, and tells so if it is asked.

    :param sync: whether the members' own URLs are asked for, unless ``--no-sync``.
    :param asked: from :func:`settings`, where they are used for something else, too:
        they may ask for a password.
    :raises Failed: with the status that etcdctl would have.
    """
    tell = context.warn if context.on("debug") else None
    endpoints = given_endpoints(context)
    wire = Wire(asked or settings(context), tell=tell)
    context.when_done(wire.close)
    cluster = Cluster(
        endpoints,
        wire,
        total_seconds=context.timeouts.total_seconds,
        shuffle=lambda given: random.sample(given, len(given)),
    )
    if sync and not context.on("no-sync"):
        _sync(cluster, tell)
    if tell is not None:
        tell(f"Cluster-Endpoints: {', '.join(cluster.endpoints)}")
    return cluster


def _sync(cluster: Cluster, tell: Callable[[str], object] | None) -> None:
    """
    What is no failure of connections is none at all: the endpoints stay as they are.

    :raises Failed:
    """
    given = ",".join(cluster.endpoints)
    if tell is not None:
        tell(f"start to sync cluster using endpoints({given})")
    try:
        cluster.sync()
    except NoEndpoints as error:
        raise Failed(
            SERVER_ERROR,
            "etcd cluster has no published client endpoints.\n"
            "Try '--no-sync' if you want to access non-published client "
            f"endpoints({given}).\n{failed(SERVER_ERROR, error).text}",
        ) from None
    except ClusterError as error:
        if error.connection:
            raise failed(BAD_CONNECTION, error) from None
    if tell is not None:
        tell(f"got endpoints({','.join(cluster.endpoints)}) after sync")


def settings(context: Context) -> Settings:
    """
    How endpoints are asked: times, TLS, and who asks.

    :raises Failed: files of TLS that cannot be used.
    """
    total = context.timeouts.total_seconds
    bytes_max = context.number("answer-bytes-max")
    if bytes_max < 1:
        raise Failed(BAD_ARGUMENTS, "--answer-bytes-max: expected a number above 0")
    files = files_of(context)
    files.check()
    return Settings(
        request_seconds=max(0.0, context.timeouts.request_seconds),
        dial_seconds=min(DIAL_SECONDS, total) if total else DIAL_SECONDS,
        body_bytes_max=bytes_max,
        files=files,
        auth=_auth(context),
    )


def given_endpoints(context: Context) -> list[Endpoint]:
    """
    From the DNS, or else from flags and environment.

    :raises Failed: one that cannot be read, or the DNS does not answer.
    """
    texts = _discovered(context)
    if not texts:
        for name in ("endpoints", "endpoint", "peers"):
            text = context.text(name) or variable(context.environ, name.upper())
            if text:
                break
        texts = (text or DEFAULT_ENDPOINTS).split(",")
    try:
        return [endpoint_of(text) for text in texts]
    except ValueError as error:
        raise Failed(BAD_ARGUMENTS, str(error)) from None


def _domain(context: Context) -> tuple[str, bool]:
    """Where to look for SRV records, and whether insecure ones will do."""
    environ = context.environ
    domain = context.text("discovery-srv") or variable(environ, "DISCOVERY_SRV")
    insecure = context.on("insecure-discovery")
    return domain, insecure or bool(variable(environ, "INSECURE_DISCOVERY"))


def _discovered(context: Context) -> list[str]:
    domain, insecure = _domain(context)
    if not domain:
        return []
    from kvd.kvctl.srv import client_urls  # noqa: PLC0415 -- takes its time to import

    service = variable(context.environ, "DISCOVERY_SRV_NAME")
    kept = []
    for url in client_urls(domain, service):
        if url.startswith("http://") and not insecure:
            context.warn(f'ignoring discovered insecure endpoint "{url}"')
        else:
            kept.append(url)
    return kept


def files_of(context: Context) -> Files:
    """What flags and environment name; whether it is there, nobody has looked yet."""

    def named(name: str) -> str:
        kept = name.upper().replace("-", "_")
        return context.text(name) or variable(context.environ, kept)

    domain, insecure = _domain(context)
    return Files(
        ca=named("ca-file"),
        certificate=named("cert-file"),
        key=named("key-file"),
        server_name="" if insecure else domain.rstrip("."),
    )


def _auth(context: Context) -> tuple[str, str] | None:
    text = context.text("username") or variable(context.environ, "USERNAME")
    if not text:
        return None
    name, colon, password = text.partition(":")
    if not colon:
        password = ask_password(context.streams, "Password: ")
    return (name, password) if name else None
