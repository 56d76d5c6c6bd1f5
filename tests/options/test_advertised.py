"""Who listens on 0.0.0.0 advertises the address of the default route (V2-SPEC 17)."""

from __future__ import annotations

import attrs
import pytest

from kvd.config import Config
from kvd.options.advertised import with_reachable_urls
from kvd.options.load import load

EVERYWHERE = ("http://0.0.0.0:3380",)


def reachable(given=(), host="192.0.2.7", **fields):
    config = attrs.evolve(Config(), **fields)
    return with_reachable_urls(config, given, lambda: host)


def test_peers_are_told_the_address_of_the_default_route_and_the_port():
    config, (line,) = reachable(name="m1", listen_peer_urls=EVERYWHERE)
    assert config.initial_advertise_peer_urls == ("http://192.0.2.7:3380",)
    assert config.initial_cluster == (("m1", ("http://192.0.2.7:3380",)),)
    assert config.advertise_client_urls == Config().advertise_client_urls
    assert line == (
        "initial-advertise-peer-urls: http://192.0.2.7:3380, the address of the default "
        "route"
    )


def test_clients_are_told_it_where_localhost_is_what_was_said():
    config, (line,) = reachable(
        {"advertise-client-urls"}, listen_client_urls=("http://0.0.0.0:3379",)
    )
    assert config.advertise_client_urls == ("http://192.0.2.7:3379",)
    assert config.initial_cluster == Config().initial_cluster
    assert "advertise-client-urls: http://192.0.2.7:3379" in line


def test_an_initial_cluster_that_was_given_stays():
    config, _ = reachable({"initial-cluster"}, listen_peer_urls=EVERYWHERE)
    assert config.initial_cluster == Config().initial_cluster


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"listen_peer_urls": ("http://127.0.0.1:1", *EVERYWHERE)},
        {
            "listen_peer_urls": EVERYWHERE,
            "initial_advertise_peer_urls": ("http://a:1",),
        },
    ],
)
def test_nothing_changes_where_somebody_chose(fields):
    config = attrs.evolve(Config(), **fields)
    assert with_reachable_urls(config, (), lambda: pytest.fail("asked")) == (config, [])


def test_without_a_default_route_it_is_said_that_nobody_is_led_here():
    config, (line,) = reachable(host="", listen_peer_urls=EVERYWHERE)
    assert config.initial_advertise_peer_urls == Config().initial_advertise_peer_urls
    assert "localhost leads nobody else here" in line


def test_the_line_is_a_warning_of_the_loaded_configuration():
    loaded = load(
        flags=[("listen-peer-urls", EVERYWHERE[0])],
        environ={},
        read_file=lambda _: pytest.fail("no file"),
        is_new=lambda _: True,
        default_host=lambda: "192.0.2.7",
    )
    assert loaded.config.initial_cluster == (("default", ("http://192.0.2.7:3380",)),)
    assert "default route" in loaded.warnings[0]
