"""The options that etcd wants in a section of the file, not by their flags' names."""

from __future__ import annotations

from typing import Final

_KEYS: Final = (
    "cert-file",
    "key-file",
    "client-cert-auth",
    "trusted-ca-file",
    "auto-tls",
    "ca-file",
)
CLIENT: Final = "client-transport-security"
PEER: Final = "peer-transport-security"

# section -> key in it -> option; the last ones of each are flags only in etcd
SECTIONS: Final = {
    CLIENT: {
        **{key: key for key in _KEYS},
        "client-crl-file": "client-crl-file",
        "client-cert-allowed-hostname": "client-cert-allowed-hostname",
    },
    PEER: {
        **{key: f"peer-{key}" for key in _KEYS},
        "crl-file": "peer-crl-file",
        "cert-allowed-cn": "peer-cert-allowed-cn",
        "cert-allowed-hostname": "peer-cert-allowed-hostname",
    },
}

# option -> section and key
SECTIONED: Final = {
    option: (section, key)
    for section, keys in SECTIONS.items()
    for key, option in keys.items()
}
