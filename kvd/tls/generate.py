"""
Certificates for trying TLS: ``python -m kvd.tls FOLDER``.

::

    FOLDER/ca.pem  ca.key                    the authority; keep its key elsewhere
    FOLDER/server.pem  server.key            for client ports
    FOLDER/peer.pem  peer.key                for peer ports, which dial each other
    FOLDER/client-NAME.pem  client-NAME.key  for each --client
    FOLDER/crl.pem                           nobody is revoked, or whom --revoke names
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kvd.tls.certificates import (
    BOTH,
    CLIENT,
    SERVER,
    Issued,
    issue,
    make_authority,
    revoke,
    write_private,
)
from kvd.tls.material import utc_now

_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_DAYS: Final = 3650.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m kvd.tls",
        description="Make an authority and certificates of it for trying TLS. Run "
        "again, it makes what is missing with the authority that is there.",
    )
    parser.add_argument("folder", help="where the files go; made if it is not there")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST",
        help="a name or address of a member, besides localhost; may be repeated",
    )
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        metavar="NAME",
        help="make a client certificate with this common name; may be repeated",
    )
    parser.add_argument(
        "--revoke",
        action="append",
        default=[],
        metavar="NAME",
        help="put the certificate client-NAME.pem on the revocation list",
    )
    parser.add_argument(
        "--days", type=float, default=365.0, help="how long they are valid [365]"
    )
    parser.add_argument(
        "--renew", action="store_true", help="make server and peer certificates anew"
    )
    given = parser.parse_args(arguments)
    try:
        generate(
            given.folder,
            hosts=(*_HOSTS, *given.host),
            clients=given.client,
            revoked=given.revoke,
            days=given.days,
            renew=given.renew,
            now=utc_now(),
        )
    except (OSError, ValueError) as problem:
        parser.exit(1, f"kvd.tls: {problem}\n")
    return 0


def generate(
    folder: str,
    *,
    hosts: Sequence[str],
    clients: Sequence[str],
    revoked: Sequence[str],
    days: float,
    renew: bool,
    now: datetime,
) -> None:
    """
    :raises OSError: a file cannot be written or read.
    :raises ValueError: what lies there is not what this wrote.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    made = _Folder(folder)
    authority = made.keep(
        "ca",
        partial(make_authority, "kvd example CA", now=now, days=_AUTHORITY_DAYS),
    )
    certificate = partial(issue, authority, now=now, days=days)
    for name, usage in (("server", SERVER), ("peer", BOTH)):
        if renew:
            made.forget(name)
        made.keep(name, partial(certificate, f"kvd {name}", hosts=hosts, usage=usage))
    for client in clients:
        made.keep(f"client-{client}", partial(certificate, client, usage=CLIENT))
    gone = [made.certificate(f"client-{name}") for name in revoked]
    made.write("crl.pem", revoke(authority, gone, now=now, days=days))


class _Folder:
    """The files; each is written beside its place and then put there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def keep(self, name: str, make: Callable[[], Issued]) -> Issued:
        """What is there already, or what is made now."""
        if os.path.exists(self._path(f"{name}.pem")):
            return self._read(name)
        made = make()
        self.write(f"{name}.key", made.key_pem)
        self.write(f"{name}.pem", made.certificate_pem)
        return made

    def forget(self, name: str) -> None:
        path = self._path(f"{name}.pem")
        if os.path.exists(path):
            os.remove(path)

    def certificate(self, name: str) -> x509.Certificate:
        with open(self._path(f"{name}.pem"), "rb") as file:
            return x509.load_pem_x509_certificate(file.read())

    def write(self, name: str, data: bytes) -> None:
        write_private(self._path(name), data)

    def _read(self, name: str) -> Issued:
        with open(self._path(f"{name}.key"), "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{name}.key is not a key that this command made")  # noqa: TRY004 -- the file's mistake
        return Issued(self.certificate(name), key)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)
