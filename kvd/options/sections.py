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

# section -> key in it -> option
SECTIONS: Final = {
    CLIENT: {key: key for key in _KEYS},
    PEER: {key: f"peer-{key}" for key in _KEYS},
}

# option -> section and key
SECTIONED: Final = {
    option: (section, key)
    for section, keys in SECTIONS.items()
    for key, option in keys.items()
}
