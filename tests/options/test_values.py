"""What each kind of value accepts and refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from kvd.config import Config
from kvd.options.table import BY_NAME
from kvd.options.values import (
    Boolean,
    Choice,
    MemberName,
    Members,
    Text,
    UnfitError,
    Urls,
    Whole,
    Words,
    is_address,
)


@pytest.mark.parametrize(
    "text",
    ["1_000", "１２", " 5", "5 ", "+5", "0x10", "1e3", "", "9" * 6000, "-1", "11"],
)
def test_a_whole_number_is_decimal_digits_within_bounds(text):
    with pytest.raises(ValueError, match="expected a whole number from 0 to 10 ms"):
        Whole(0, 10, "ms").read(text)


def test_zero_may_stand_for_another_number():
    assert Whole(0, 10, zero=7).read("0") == 7
    assert Whole(0, 10).read("0") == 0
    assert BY_NAME["snapshot-count"].kind.read("0") == Config().snapshot_count


@given(strategies.integers(min_value=-(10**17), max_value=10**17))
def test_a_whole_number_reads_what_it_shows(value):
    kind = Whole(-(10**17), 10**17)
    assert kind.read(kind.show(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("t", True), ("TRUE", True), ("0", False), ("off", False)],
)
def test_booleans_are_the_words_of_go_and_of_yaml(text, value):
    assert Boolean().read(text) is value
    assert Boolean().read(Boolean().show(value)) is value


def test_another_boolean_is_refused():
    with pytest.raises(ValueError, match="expected true or false"):
        Boolean().read("maybe")


def test_a_choice_lists_its_words():
    assert Choice(("new", "existing")).read("new") == "new"
    with pytest.raises(ValueError, match="expected one of new, existing"):
        Choice(("new", "existing")).read("old")
    assert Choice(("new", "existing")).metavar == "new|existing"


def test_text_has_no_control_characters():
    with pytest.raises(ValueError, match="control characters"):
        Text().read("a\nb")
    with pytest.raises(ValueError, match="not empty"):
        Text(empty=False).read("")
    assert Text().read("") == ""


@pytest.mark.parametrize("name", ["", "a=b", "a,b", "a\x00"])
def test_a_name_cannot_confuse_initial_cluster(name):
    with pytest.raises(ValueError, match="expected a name"):
        MemberName().read(name)


def test_words_skip_empty_pieces():
    assert Words().read("a, b,,") == ("a", "b")
    assert Words().show(("a", "b")) == "a,b"
    with pytest.raises(ValueError, match="control characters"):
        Words().read("a\tb")


def test_urls_are_kept_as_given():
    urls = Urls(bind=True).read("http://127.0.0.1:1, http://[::1]:2,http://localhost:0")
    assert urls == ("http://127.0.0.1:1", "http://[::1]:2", "http://localhost:0")
    assert Urls().show(urls) == ",".join(urls)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://127.0.0.1:1", "URL scheme must be http, https, unix, or unixs"),
        ("127.0.0.1:44", "URL scheme must be http, https, unix, or unixs"),
        ("localhost:44", "URL scheme must be http, https, unix, or unixs"),
        ("http://127.0.0.1", 'does not have the form "host:port"'),
        ("http://a@127.0.0.1:1", 'does not have the form "host:port"'),
        ("http://127.0.0.1:1/path", "URL must not contain a path"),
        ("http://127.0.0.1:1?q", "URL must not contain a path"),
        ("http://127.0.0.1:x", "expected http://host:port"),
        ("http://127.0.0.1:70000", "expected http://host:port"),
        ("http://[::1:1", "expected http://host:port"),
        ("unix://a:1", "members are reached over TCP"),
        ("http://example.com:1", "expected IP in URL for binding"),
        ("http://:1", "expected IP in URL for binding"),
        ("http://127.0.0.1:1\x7f", "without spaces and control characters"),
        ("", "expected at least one URL"),
        ("http://127.0.0.1:1,http://127.0.0.1:1", "expected different URLs"),
    ],
)
def test_a_bad_url_to_bind_is_named(url, said):
    with pytest.raises(ValueError, match=said.replace("(", "\\(")) as caught:
        Urls(bind=True).read(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://:1", r'must be "host:port" \(unexpected empty host \(http://:1\)\)'),
        ("http://a:0", "expected a port from 1 to 65535"),
        ("http://ä:1", "expected a host name or an address"),
    ],
)
def test_a_bad_url_to_advertise_is_named(url, said):
    with pytest.raises(ValueError, match=said):
        Urls().read(url)


def test_a_host_name_can_be_advertised():
    assert Urls().read("http://host-1.example:1") == ("http://host-1.example:1",)


def test_a_repeated_name_collects_urls():
    members = Members().read("a=http://h:1,b=http://h:2,,a=http://h:3")
    assert members == (("a", ("http://h:1", "http://h:3")), ("b", ("http://h:2",)))
    assert Members().show(members) == "a=http://h:1,a=http://h:3,b=http://h:2"


@pytest.mark.parametrize(
    "text", ["", "default", "=http://h:1", "a=", "a=h:1", "a=ftp://h:1", ",,"]
)
def test_initial_cluster_is_pairs_of_name_and_url(text):
    with pytest.raises(ValueError, match=r"expected|URL scheme"):
        Members().read(text)


def test_tuples_only_are_shown_as_lists():
    with pytest.raises(TypeError):
        Urls().show("http://h:1")
    with pytest.raises(TypeError):
        Members().show("a=b")


def test_localhost_counts_as_an_address():
    assert is_address("localhost")
    assert is_address("::1")
    assert not is_address("example.com")


@pytest.mark.parametrize(
    "url", ["unix:///run/kvd.sock", "unix://localhost:2379", "unix://127.0.0.1:1"]
)
def test_sockets_in_the_file_system_are_urls_for_clients(url):
    assert Urls(bind=True, unix=True).read(f"http://127.0.0.1:1,{url}")[1] == url
    with pytest.raises(UnfitError, match="members are reached over TCP"):
        Urls(bind=True).read(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix://", "host:port"),
        ("unix://kvd.sock", "host:port"),
        ("unix://localhost:m1", "host:port"),
        ("unix:///run/", "expected the name of a file"),
        ("unix:///" + "x" * 107, "107 printable bytes at most"),
        ("unixs://localhost:1", "unixs is not supported yet"),
    ],
)
def test_a_socket_needs_a_name_that_the_file_system_takes(url, said):
    with pytest.raises(ValueError, match=said):
        Urls(unix=True).read(url)
