"""The options that say where the other founders are found."""

from __future__ import annotations

import attrs
import pytest

from kvd.config import Config
from kvd.options.advertised import with_reachable_urls
from kvd.options.places import (
    DiscoveryUrl,
    Domain,
    NameServers,
    ProxyUrl,
    SrvSuffix,
)
from tests.options.test_load import loaded, problems

TOKEN = "http://d.example:2379/v2/keys/_etcd/registry/1"


@pytest.mark.parametrize(
    "text",
    ["", TOKEN, "https://discovery.example/3e86b59982e49066c5d813af1c2e2579cbf573de"],
)
def test_a_discovery_url_is_kept_as_it_is(text):
    assert DiscoveryUrl().read(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://d.example/1", "expected http://host/v2/keys"),
        ("d.example/1", "expected http://host/v2/keys"),
        ("http:///1", "expected http://host/v2/keys"),
        ("http://d.example:x/1", "expected http://host/v2/keys"),
        ("http://d.example:0/1", "expected http://host/v2/keys"),
        ("http://[::1/1", "expected http://host/v2/keys"),
        ("http://d.example/a b", "expected http://host/v2/keys"),
        ("http://d.example/ä", "expected http://host/v2/keys"),
        ("http://d.example/" + "a" * 2048, "expected http://host/v2/keys"),
        ("http://d.example", "with a token"),
        ("http://d.example//", "with a token"),
        ("http://d.example/1?x", "nothing behind it"),
        ("http://d.example/1#x", "nothing behind it"),
        ("http://u:p@d.example/1", "without user and password"),
    ],
)
def test_a_bad_discovery_url(text, why):
    with pytest.raises(ValueError, match=why):
        DiscoveryUrl().read(text)


def test_a_proxy_needs_no_scheme():
    assert ProxyUrl().read("") == ""
    assert ProxyUrl().read("p.example:3128") == "http://p.example:3128"
    assert ProxyUrl().read("http://p.example") == "http://p.example"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://p.example", "expected http"),
        ("http://p.example/x", "nothing behind it"),
        ("u:p@p.example:1", "without user and password"),
        ("p.example:99999", "expected http://host:port"),
    ],
)
def test_a_bad_proxy(text, why):
    with pytest.raises(ValueError, match=why):
        ProxyUrl().read(text)


def test_a_domain_has_labels():
    assert Domain().read("example.com.") == "example.com"
    for text in ("-a", "a..b", "a b", ".", "é", "a" * 64, ".".join(["a" * 60] * 4)):
        with pytest.raises(ValueError, match="expected a DNS domain"):
            Domain().read(text)


def test_the_suffix_of_a_service_is_one_word():
    assert SrvSuffix().read("blue-2") == "blue-2"
    for text in ("-a", "a.b", "a" * 43):
        with pytest.raises(ValueError, match="expected letters, digits"):
            SrvSuffix().read(text)


def test_name_servers_have_addresses_and_ports():
    assert NameServers().read("10.0.0.2, 10.0.0.3:5353,") == (
        ("10.0.0.2", 53),
        ("10.0.0.3", 5353),
    )
    for text in ("ns.example", "10.0.0.2:0", "10.0.0.2:x", "10.0.0.2/x", "a@10.0.0.2"):
        with pytest.raises(ValueError, match="expected IPv4 addresses of name servers"):
            NameServers().read(text)
    with pytest.raises(ValueError, match="expected 10 name servers at most"):
        NameServers().read(",".join(["10.0.0.2"] * 11))
    with pytest.raises(TypeError):
        NameServers().show("10.0.0.2")


# V2-SPEC 17
CONFLICT = (
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", '
    '"discovery" or "discovery-srv"'
)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "flags",
    [
        [("discovery", TOKEN), ("discovery-srv", "example.com")],
        [("discovery", TOKEN), ("initial-cluster", "default=http://localhost:2380")],
        [
            ("discovery-srv", "a.b"),
            ("initial-cluster", "default=http://localhost:2380"),
        ],
    ],
)
def test_one_way_to_found_a_cluster_is_enough(flags, new):
    (line,) = problems(flags=flags, new=new)
    assert CONFLICT in line


def test_discovery_takes_the_place_of_the_default_cluster():
    for flag in (("discovery", TOKEN), ("discovery-srv", "example.com")):
        result = loaded(flags=[flag, ("name", "x")])
        assert result.config.initial_cluster == ()
        assert result.warnings == ()


def test_an_empty_one_is_none():
    file = 'discovery: ""\ndiscovery-srv: ""\n'
    assert loaded(file).config == Config()
    assert loaded(f"{file}name: x").config.initial_cluster == (
        ("x", ("http://localhost:2380",)),
    )


def test_a_bad_discovery_url_is_one_line():
    file = (
        "discovery: nonsense\nname: x\n"
        "initial-advertise-peer-urls: http://10.0.0.1:2380\n"
    )
    (line,) = problems(file)
    assert line.startswith("discovery: expected http://host/v2/keys")


def test_who_joins_a_cluster_discovers_none():
    lines = problems(
        flags=[("discovery", TOKEN), ("initial-cluster-state", "existing")]
    )
    assert any("should not be set when joining existing" in line for line in lines)


def test_https_does_not_go_through_a_proxy():
    flags = [("discovery", "https://d.example/1"), ("discovery-proxy", "p:1")]
    (line,) = problems(flags=flags)
    assert line.startswith("discovery-proxy: https through a proxy is not supported")
    assert loaded(flags=[("discovery", TOKEN), flags[1]]).config == attrs.evolve(
        Config(), discovery=TOKEN, discovery_proxy="http://p:1", initial_cluster=()
    )


def test_the_scheme_of_a_peer_url_counts():
    line, _ = problems(
        flags=[
            ("initial-cluster", "default=https://127.0.0.1:2380"),
            ("initial-advertise-peer-urls", "http://127.0.0.1:2380"),
        ]
    )
    assert "--initial-cluster has default=https://127.0.0.1:2380 but missing" in line


def test_an_address_found_for_the_others_is_not_a_cluster():
    """What is advertised by default on 0.0.0.0 must not take discovery's place."""
    config, (line,) = with_reachable_urls(
        attrs.evolve(
            Config(),
            discovery=TOKEN,
            initial_cluster=(),
            listen_peer_urls=("http://0.0.0.0:2380",),
        ),
        {},
        lambda: "10.0.0.7",
    )
    assert config.initial_advertise_peer_urls == ("http://10.0.0.7:2380",)
    assert config.initial_cluster == ()
    assert "default route" in line
