"""The TLS of kvctl's connections, from the files that the flags name."""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple

from kvd.kvctl.errors import BAD_ARGUMENTS, Failed


class Files(NamedTuple):
    """
    :ivar ca: whom to trust; empty: whom the system does.
    :ivar certificate: this client's, empty without.
    :ivar key: of that certificate.
    :ivar server_name: that certificates of servers must carry; empty: their host's.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""

    def check(self) -> None:
        """
        Whether they can be read, which is found out before anybody is asked.

        :raises Failed: worded as etcdctl does.
        """
        if bool(self.certificate) != bool(self.key):
            raise Failed(
                BAD_ARGUMENTS,
                "KeyFile and CertFile must both be present"
                f"[key: {self.key}, cert: {self.certificate}]",
            )
        if self.certificate or self.ca:
            self.context()

    def context(self) -> ssl.SSLContext:
        """:raises Failed: a file cannot be read, or holds something else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False
        if self.certificate:
            _readable(self.certificate)
            _readable(self.key)
            try:
                context.load_cert_chain(self.certificate, self.key, _no_password)
            except (OSError, ValueError) as error:
                raise _unusable(f"{self.certificate}, {self.key}", error) from None
        if not self.ca:
            context.load_default_certs()
            return context
        _readable(self.ca)
        try:
            context.load_verify_locations(self.ca)
        except OSError as error:
            raise _unusable(self.ca, error) from None
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _readable(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise Failed(BAD_ARGUMENTS, f"open {path}: {why}") from None


def _unusable(what: str, error: Exception) -> Failed:
    why = getattr(error, "reason", "") or error
    return Failed(BAD_ARGUMENTS, f"{what}: {str(why).replace('_', ' ').lower()}")
