"""The client URLs of a domain: ``_etcd-client._tcp`` and ``_etcd-client-ssl._tcp``."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.names import dns

from kvd.kvctl.errors import BAD_ARGUMENTS, Failed

TARGETS_MAX: Final = 1000
TRIES_SECONDS: Final = (2.0, 4.0)
"""How long each server is given, the first and the second time that it is asked."""

_RESOLV_CONF: Final = "/etc/resolv.conf"
_SERVERS_MAX: Final = 3
_KINDS: Final = (("https", "-ssl"), ("http", ""))
_NO_SUCH_NAME: Final = 3

Target = tuple[int, int, str, int]
"""Priority, weight, host, port."""
Address = tuple[str, int]


Exchange = Callable[[dns.Message, Address, float], dns.Message]
"""An answer to a question, from this server, within these seconds."""


class _NotFound(Exception):
    """There are no such records, or nobody could tell; worded as Go does."""


class _NoRecords(Exception):
    """The server knows that there are none."""


def client_urls(
    domain: str,
    service: str = "",
    *,
    servers: Sequence[Address] = (),
    exchange: Exchange | None = None,
) -> list[str]:
    """
    Those with TLS first.

    :param service: ends the records' names, where a domain has several clusters.
    :param servers: that are asked; none: the system's.
    :param exchange: how one is asked; None: by UDP, and by TCP if need be.
    :raises Failed: there are no records of either kind.
    """
    asked = list(servers) or _system_servers()
    urls = []
    problems = []
    for scheme, kind in _KINDS:
        ending = f"-{service}" if service else ""
        name = f"_etcd-client{kind}{ending}._tcp.{domain.rstrip('.')}"
        try:
            targets = _targets(name, asked, exchange or _exchange)
        except _NotFound as problem:
            problems.append(f"lookup {name}{problem}")
            continue
        for _, _, host, port in targets[:TARGETS_MAX]:
            urls.append(f"{scheme}://{host}.:{port}")
    if len(problems) == len(_KINDS):
        raise Failed(BAD_ARGUMENTS, f"dns lookup errors: {' and '.join(problems)}")
    return urls


def _targets(name: str, servers: Sequence[Address], exchange: Exchange) -> list[Target]:
    """By priority and weight; whoever asks shuffles them anyway."""
    try:
        asked = name.encode("idna")
    except UnicodeError:
        raise _NotFound(": no such host") from None
    question = dns.Message(id=random.getrandbits(16), recDes=1)
    question.queries = [dns.Query(asked, dns.SRV)]
    problem = _NotFound(": no server to be asked")
    for seconds in TRIES_SECONDS:
        for host, port in servers:
            who = f" on {host}:{port}"
            try:
                return _read(exchange(question, (host, port), seconds))
            except _NoRecords:
                raise _NotFound(f"{who}: no such host") from None
            except TimeoutError:
                problem = _NotFound(f"{who}: i/o timeout")
            except (OSError, EOFError, ValueError) as error:
                problem = _NotFound(f"{who}: {error}")
    raise problem


def _exchange(question: dns.Message, server: Address, seconds: float) -> dns.Message:
    """By UDP, and by TCP when that cuts the answer off."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    sent = question.toStr()
    deadline = time.monotonic() + seconds
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect(server)
        udp.send(sent)
        while True:
            udp.settimeout(max(0.001, deadline - time.monotonic()))
            answer = _message(udp.recv(1 << 16))
            if answer.id == question.id and answer.answer:
                break
    if not answer.trunc:
        return answer
    with socket.create_connection(server, timeout=seconds) as tcp:
        tcp.sendall(len(sent).to_bytes(2) + sent)
        with tcp.makefile("rb") as stream:
            size = int.from_bytes(stream.read(2))
            return _message(stream.read(size))


def _message(data: bytes) -> dns.Message:
    message = dns.Message()
    message.fromStr(data)
    return message


def _read(answer: dns.Message) -> list[Target]:
    if answer.rCode == _NO_SUCH_NAME:
        raise _NoRecords
    if answer.rCode:
        raise ValueError("server misbehaving")
    payloads: list[Any] = [  # twisted.names does not say which record has what
        each.payload for each in answer.answers if each.type == dns.SRV
    ]
    found = [
        (
            each.priority,
            each.weight,
            each.target.name.decode("ascii", "backslashreplace").rstrip("."),
            each.port,
        )
        for each in payloads
    ]
    found = [target for target in found if target[2]]
    if not found:
        raise _NoRecords
    return sorted(found)


def _system_servers() -> list[Address]:
    """Name servers of ``/etc/resolv.conf``, or this host."""
    try:
        with open(_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        lines = []
    found = [words[1] for words in lines if words[:1] == ["nameserver"] and words[1:]]
    return [(address, dns.PORT) for address in found[:_SERVERS_MAX] or ["127.0.0.1"]]
