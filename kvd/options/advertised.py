"""What is advertised where nothing that others could reach was given (V2-SPEC 17)."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final
from urllib.parse import urlsplit

import attrs

from kvd.config import Config

_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 -- compared with, not bound
_DEFAULTS: Final = Config()


def with_reachable_urls(
    config: Config, given: Container[str], default_host: Callable[[], str]
) -> tuple[Config, list[str]]:
    """
    A member that listens everywhere and advertises its default, which is localhost,
    advertises the address of the default route instead, as etcd does.

    :param given: the options that were set.
    :param default_host: that address, empty when there is none.
    :return: the configuration, and lines for the log.
    """
    changes: dict[str, tuple[str, ...]] = {}
    for listen, advertised in (
        ("listen_peer_urls", "initial_advertise_peer_urls"),
        ("listen_client_urls", "advertise_client_urls"),
    ):
        first = urlsplit(getattr(config, listen)[0])
        by_default = getattr(config, advertised) == getattr(_DEFAULTS, advertised)
        if first.hostname == _EVERYWHERE and by_default:
            changes[advertised] = (f"http://{{host}}:{first.port}",)
    if not changes:
        return config, []
    host = default_host()
    names = " and ".join(name.replace("_", "-") for name in changes)
    if not host:
        line = (
            f"{names}: localhost leads nobody else here, though {_EVERYWHERE} is listened "
            "on, and there is no default route whose address could be said instead"
        )
        return config, [line]
    urls = {
        name: tuple(url.format(host=host) for url in urls)
        for name, urls in changes.items()
    }
    changed = attrs.evolve(
        config,
        initial_advertise_peer_urls=urls.get(
            "initial_advertise_peer_urls", config.initial_advertise_peer_urls
        ),
        advertise_client_urls=urls.get(
            "advertise_client_urls", config.advertise_client_urls
        ),
    )
    defaulted = "initial-cluster" not in given and bool(config.initial_cluster)
    if defaulted and "initial_advertise_peer_urls" in urls:
        own = (config.name, changed.initial_advertise_peer_urls)
        changed = attrs.evolve(changed, initial_cluster=(own,))
    said = " and ".join(url for each in urls.values() for url in each)
    return changed, [f"{names}: {said}, the address of the default route"]
