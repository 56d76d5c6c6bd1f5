"""Every limit that a client can reach: what it sees is what the documentation says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from kvd.errors import Unavailable, UnavailableReason
from kvd.http.port import GOODBYES_MAX
from kvd.options.table import OPTIONS

from .accounts import basic, guard

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
HOST = "Host: kvd\r\n"
GET = f"GET /version HTTP/1.1\r\n{HOST}\r\n"
WATCH = f"GET /v2/keys/a?wait=true HTTP/1.1\r\n{HOST}\r\n"


def form_of(length: int) -> str:
    return f"PUT /v2/keys/a HTTP/1.1\r\n{HOST}{FORM}Content-Length: {length}\r\n\r\n"


def get(target: str, headers: str = "") -> str:
    return f"GET {target} HTTP/1.1\r\n{HOST}{headers}\r\n"


def said_after(seconds: int, data: str) -> Callable:
    def reach(port):
        client = port.connect().send(data)
        assert client.said == b""
        port.clock.pump([1] * seconds)
        return client.said, client.end

    return reach


def one_more_connection(port):
    held = port.connect()
    assert held.end == "open"
    client = port.connect()
    return client.said, client.end


def one_more_watcher(port):
    held = port.connect().send(WATCH)
    assert held.said.startswith(b"HTTP/1.1 200 ")
    return port.ask(WATCH)


def too_many_requests(port):
    """That they are too many for a member tests/node shows."""
    reason = UnavailableReason.TOO_MANY_REQUESTS
    port.member.refusal = Unavailable(reason, may_take_effect=False)
    return port.ask(form_of(7) + "value=1")


def many_levels(port):
    body = '{"a":' * 5 + "1" + "}" * 5
    return port.ask(
        f"PUT /v2/members/1f HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


def too_many_passwords(port):
    guard(port)
    for number in range(4):  # two are checked at a time
        field = f"{basic('ann', str(number))}\r\n"
        client = port.connect().send(get("/v2/keys/a", field))
    return client.said, client.end


# option: its value, what reaches it, words that the client reads
REACHED = {
    "request-bytes-max": (1024, lambda port: port.ask(form_of(1025)), "POST too large"),
    "header-bytes-max": (
        1024,
        lambda port: port.ask(get("/version", f"A: {'x' * 1024}\r\n")),
        "Too Large",
    ),
    "header-count-max": (
        8,
        lambda port: port.ask(get("/version", "A: b\r\n" * 8)),
        "Too Large",
    ),
    "request-line-bytes-max": (
        256,
        lambda port: port.ask(get(f"/{'x' * 256}")),
        "Too Large",
    ),
    "path-depth-max": (
        3,
        lambda port: port.ask(get("/v2/keys/a/b/c/d")),
        "path has more names than path-depth-max=3",
    ),
    "path-bytes-max": (
        64,
        lambda port: port.ask(get(f"/v2/keys/{'x' * 64}")),
        "path is longer than path-bytes-max=64",
    ),
    "header-timeout": (5000, said_after(7, GET[:-2]), "Timeout"),
    "body-timeout": (5000, said_after(7, form_of(1)), "Timeout"),
    "connections-max": (1, one_more_connection, "too many connections"),
    "watchers-max": (1, one_more_watcher, "etcdserver: too many watchers"),
    "proposals-pending-max": (1, too_many_requests, "etcdserver: too many requests"),
    "outbox-bytes-max": (1 << 20, too_many_requests, "etcdserver: too many requests"),
    "auth-checks-waiting-max": (
        1,
        too_many_passwords,
        "etcdserver: too many requests",
    ),
    "json-depth-max": (4, many_levels, '"message"'),
}
STATUS = re.compile(r"(\d{3})(?: with code (\d+))?\b")
DESCRIBED = [option for option in OPTIONS if STATUS.match(option.reached)]


def test_every_limit_that_is_answered_is_reached_here():
    assert {option.name for option in DESCRIBED} == set(REACHED)


@pytest.mark.parametrize("option", DESCRIBED, ids=lambda option: option.name)
def test_what_a_client_sees_is_what_the_table_says(make_port, option):
    value, reach, words = REACHED[option.name]
    said, end = reach(make_port(**{option.field: value}))
    status, code = STATUS.match(option.reached).groups()
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    if code:
        assert f'"errorCode":{code},'.encode() in said
    assert words.encode() in said
    assert (end != "open") == ("the connection ends" in option.reached)


# -- keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", ""),
        ("GET", "?wait=true"),
        ("GET", "?quorum=true"),
        ("HEAD", ""),
        ("PUT", ""),
        ("POST", ""),
        ("DELETE", ""),
    ],
)
def test_a_key_too_deep_is_refused_for_every_operation(make_port, method, query):
    port = make_port(path_depth_max=3)
    assert port.request(method, f"/v2/keys/a/b/c/d{query}").status == 400
    assert port.request(method, f"/v2/keys/a/b/c/d/{query}").status == 400
    assert not port.member.proposals
    assert not port.v2.stats.watchers


def test_a_key_within_the_limits_is_taken(make_port):
    port = make_port(path_depth_max=3, path_bytes_max=64)
    assert port.request("PUT", "/v2/keys/a/b/c/", "value=1").status == 201
    assert port.request("PUT", f"/v2/keys/{'x' * 63}", "value=1").status == 201


def test_bytes_are_counted_and_not_characters(make_port):
    port = make_port(path_bytes_max=64)
    fits, does_not = "%c3%a9" * 31, "%c3%a9" * 32
    assert port.request("PUT", f"/v2/keys/{fits}", "value=1").status == 201
    assert port.request("PUT", f"/v2/keys/{does_not}", "value=1").status == 400
    assert port.request("PUT", f"/v2/keys/{'%ff' * 63}", "value=1").status == 201
    assert port.request("PUT", f"/v2/keys/{'%ff' * 64}", "value=1").status == 400


def test_a_mistake_that_etcd_finds_comes_before_the_limits(make_port):
    port = make_port(path_depth_max=1)
    assert b'"errorCode":202' in port.request("GET", "/v2/keys/a/b?ttl=x").body
    assert port.request("PATCH", "/v2/keys/a/b").status == 405


def test_keys_of_three_thousand_names_and_of_sixty_thousand_bytes_are_usual(port):
    for key in ("/a" * 3000, "/" + "x" * 60_000):
        assert port.request("PUT", f"/v2/keys{key}", "value=1").status == 201
        assert port.request("GET", f"/v2/keys{key}").status == 200


def test_what_is_deeper_than_the_limit_already_can_be_read_and_removed(make_port):
    port = make_port()
    assert port.request("PUT", f"/v2/keys{'/a' * 10}", "value=1").status == 201
    port.site._keys._paths = make_port(path_depth_max=3).site._keys._paths
    answer = port.request("GET", "/v2/keys/a?recursive=true")
    assert answer.body.count(b'"dir":true') == 9
    assert port.request("DELETE", "/v2/keys/a?recursive=true").status == 200


# -- idle connections ----------------------------------------------------------------


def test_a_connection_may_be_idle_for_ever_by_default(port):
    client = port.connect().send(GET)
    port.clock.pump([3600] * 48)
    assert client.end == "open"


def test_an_idle_connection_is_closed_without_a_word(make_port):
    port = make_port(idle_timeout=10_000)
    silent, once = port.connect(), port.connect()
    port.clock.pump([1] * 6)
    assert once.send(GET).said
    port.clock.pump([1] * 6)
    assert (silent.end, silent.said) == ("closed", b"")
    assert once.end == "open"
    once.send(GET)
    port.clock.pump([1] * 9)
    assert once.end == "open"
    assert once.said
    port.clock.pump([1] * 3)
    assert (once.end, once.said) == ("closed", b"")
    for client in (silent, once):
        client.lose()
    assert not port.site.connections
    assert not port.site.deadlines
    assert not port.site._resting


def test_a_watch_is_no_idle_connection(make_port):
    port = make_port(idle_timeout=10_000)
    client = port.connect().send(WATCH)
    assert client.said
    port.clock.pump([1] * 60)
    assert client.end == "open"
    port.request("PUT", "/v2/keys/a", "value=1")
    assert b'"value":"1"' in client.said
    port.clock.pump([1] * 12)
    assert client.end == "closed"


def test_a_request_that_is_answered_slowly_is_no_idle_connection(make_port):
    port = make_port(idle_timeout=10_000)
    client = port.connect().send(form_of(7) + "value=1")
    port.clock.pump([1] * 60)
    assert client.end == "open"
    port.member.turn()
    assert client.said


def test_the_first_byte_begins_the_time_for_the_head(make_port):
    port = make_port(idle_timeout=10_000, header_timeout=30_000)
    client = port.connect()
    port.clock.pump([1] * 5)
    client.send(GET[:10])
    port.clock.pump([1] * 25)
    assert client.end == "open"
    port.clock.pump([1] * 10)
    assert client.said.startswith(b"HTTP/1.1 408")


def test_who_waits_for_the_member_to_serve_is_not_idle(make_port):
    port = make_port(is_open=False, idle_timeout=10_000)
    client = port.connect().send(GET)
    port.clock.pump([1] * 60)
    assert client.end == "open"
    port.site.open_for_business()
    assert client.said
    port.clock.pump([1] * 12)
    assert client.end == "closed"


# -- watchers of one connection -------------------------------------------------------


def test_a_connection_has_one_watcher_at_a_time(port, read):
    """What is asked behind a watch waits, unread, until it ends."""
    client = port.connect().send(WATCH * 100)
    assert len(read(client.said)) == 1
    assert port.v2.stats.watchers == 1
    for number in range(3):
        port.request("PUT", "/v2/keys/a", f"value={number}")
        assert port.v2.stats.watchers == 1
        assert client.said.count(b"HTTP/1.1 200 OK") == 1
    client.lose()
    assert port.v2.stats.watchers == 0


def test_what_waits_behind_a_watch_is_bounded(port):
    client = port.connect().send(WATCH)
    client.send(WATCH * 1000)
    assert len(WATCH) * 1000 < 64 << 10
    assert client.wire.reading
    client.send(WATCH * 1000)
    assert not client.wire.reading
    assert port.v2.stats.watchers == 1


# -- what no option changes ------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "most"),
    [
        ("POST", "/v2/members", 64 << 10),
        ("PUT", "/v2/members/1f", 64 << 10),
        ("PUT", "/v2/auth/users/root", 1 << 20),
        ("PUT", "/v2/auth/roles/r", 1 << 20),
    ],
)
def test_a_json_body_is_bounded(port, method, target, most):
    head = (
        f"{method} {target} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n"
    )
    said, end = port.ask(head.format(most + 1))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert said.endswith(b'{"message":"request body too large"}')
    assert end == "half"
    client = port.connect().send(head.format(most))
    assert client.said == b""
    assert client.end == "open"


@pytest.mark.parametrize(
    ("descriptors_for", "room"), [(None, 3), (2, 2), (3, 3), (4, 3)]
)
def test_the_smaller_of_the_configured_clients_and_the_possible_ones_is_the_limit(
    make_port, descriptors_for, room
):
    port = make_port(connections_max=3)
    port.site.make_do_with(descriptors_for)
    assert port.site.connections_max == room
    for _ in range(room):
        assert port.connect().said == b""
    assert b"too many connections" in port.connect().said


def test_who_comes_too_fast_to_be_told_that_there_is_no_room_is_closed_at_once(
    make_port,
):
    # Else whoever may connect could take every descriptor of the process.
    port = make_port(connections_max=1)
    held = port.connect()
    told = [port.connect() for _ in range(GOODBYES_MAX)]
    assert all(b"too many connections" in each.said for each in told)
    assert port.site.buildProtocol(None) is None
    told[0].lose()
    assert b"too many connections" in port.connect().said
    assert port.site.buildProtocol(None) is None
    assert held.end == "open"
