"""Which files one port's TLS is made of, and whom it lets in."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class TlsSettings:
    """
    The TLS options of the clients' or of the peers' port.

    :ivar prefix: in front of the options' names, for the operator: ``peer-`` or empty.
    :ivar folder: where a certificate of our own making is kept, empty: none is made
        (``auto-tls``).
    :ivar client_cert_auth: whoever dials us must show a certificate of
        ``trusted_ca_file``; so it is, too, whenever that file is set, as in etcd.
    :ivar allowed_cn: the common name that his certificate must have, empty: any.
    :ivar allowed_hostname: a DNS name that it must be for, empty: any.
    :ivar cipher_suites: Go's names; of use with TLS 1.2 only. Empty: our choice.
    """

    prefix: str = ""
    cert_file: str = ""
    key_file: str = ""
    trusted_ca_file: str = ""
    crl_file: str = ""
    folder: str = ""
    client_cert_auth: bool = False
    allowed_cn: str = ""
    allowed_hostname: str = ""
    cipher_suites: tuple[str, ...] = ()

    @property
    def asks_for_certificates(self) -> bool:
        """Whether who dials us must show a certificate."""
        return self.client_cert_auth or bool(self.trusted_ca_file)

    @property
    def is_set(self) -> bool:
        """Whether there is, or will be, a certificate to show."""
        return bool(self.cert_file or self.key_file or self.folder)

    def option(self, name: str) -> str:
        """The option of this port that is called so on the clients' port."""
        if name == "crl-file":
            return f"{self.prefix or 'client-'}{name}"
        return self.prefix + name
