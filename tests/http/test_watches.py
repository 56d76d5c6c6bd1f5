"""Watches at the face: heads at once, events as chunks, slow and gone clients."""

from __future__ import annotations

import json

import pytest

from kvd.v2.commands import Command, Op, encode_command


def watch(query: str = "", path: str = "/a", version: str = "1.1") -> str:
    return f"GET /v2/keys{path}?wait=true&{query} HTTP/{version}\r\nHost: k\r\n\r\n"


def chunks(data: bytes) -> tuple[list[bytes], bool]:
    """The pieces of a chunked body without its head, and whether it has ended."""
    pieces = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert data == b"\r\n"
            return pieces, True
        pieces.append(data[:length])
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]
    return pieces, False


def values(data: bytes) -> list[str]:
    return [json.loads(piece)["node"].get("value") for piece in chunks(data)[0]]


def test_the_head_leaves_at_once_and_says_the_index_of_acceptance(port, read):
    port.request("PUT", "/v2/keys/b", "value=1")
    client = port.connect().send(watch())
    (answer,) = read(client.said)
    assert answer.status == 200
    assert answer["X-Etcd-Index"] == "1"
    assert answer["X-Raft-Term"] == "2"
    assert answer["Transfer-Encoding"] == "chunked"
    assert answer["Content-Length"] is None
    assert port.site.deadlines == {}


def test_a_long_poll_ends_with_its_event_and_the_connection_goes_on(port, read):
    client = port.connect().send(watch() + watch("waitIndex=2"))
    assert client.said
    port.request("PUT", "/v2/keys/a", "value=1")
    before, _, after = client.said.partition(b"0\r\n\r\n")
    pieces, _ = chunks(before)
    assert pieces == [
        (
            b'{"action":"set","node":{"key":"/a","value":"1","modifiedIndex":1,'
            b'"createdIndex":1}}\n'
        )
    ]
    assert after.startswith(b"HTTP/1.1 200 OK\r\n")
    port.request("PUT", "/v2/keys/a", "value=2")
    assert values(client.said) == ["2"]
    assert client.send("GET /version HTTP/1.1\r\nHost: k\r\n\r\n").said


def test_a_stream_stays_open_with_a_chunk_for_each_event(port):
    client = port.connect().send(watch("stream=true&recursive=true", path="/"))
    assert client.said
    for value in ("1", "2"):
        port.request("PUT", f"/v2/keys/x/{value}", f"value={value}")
        assert values(client.said) == [value]
    port.request("DELETE", "/v2/keys/x/1")
    pieces, ended = chunks(client.said)
    assert b'"action":"delete"' in pieces[0]
    assert not ended


def test_a_hit_in_the_history_is_answered_at_once(port, read):
    port.request("PUT", "/v2/keys/a", "value=1")
    port.request("PUT", "/v2/keys/a", "value=2")
    client = port.connect().send(watch("waitIndex=1"))
    (answer,) = read(client.said)
    assert json.loads(answer.body)["node"]["value"] == "1"
    assert answer["X-Etcd-Index"] == "2"
    assert client.end == "open"
    assert port.site._keys._watches.open_now == 0


def test_stream_with_past_wait_index(port):
    """W06: as etcd, the stored event and then nothing, on a connection left open."""
    port.request("PUT", "/v2/keys/a", "value=1")
    client = port.connect().send(watch("stream=true&waitIndex=1"))
    _, _, body = client.said.partition(b"\r\n\r\n")
    assert values(body) == ["1"]
    port.request("PUT", "/v2/keys/a", "value=2")
    assert client.said == b""
    assert client.end == "open"
    client.lose()
    assert port.site._keys._watches.open_now == 0


def test_a_stream_from_an_index_to_come_works(port):
    client = port.connect().send(watch("stream=true&waitIndex=2"))
    assert client.said
    for value in ("1", "2", "3"):
        port.request("PUT", "/v2/keys/a", f"value={value}")
    assert values(client.said) == ["2", "3"]


def test_an_index_that_history_has_forgotten_is_401(port):
    for number in range(1005):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    answer = port.request("GET", "/v2/keys/a?wait=true&waitIndex=2")
    assert answer.status == 400
    error = json.loads(answer.body)
    assert error["errorCode"] == 401
    assert error["cause"] == "the requested history has been cleared [6/2]"
    assert error["index"] == 1005
    assert port.site._keys._watches.open_now == 0


def test_http_1_0_gets_the_events_alone(port):
    client = port.connect().send(watch("stream=true", version="1.0"))
    head = client.said
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"chunked" not in head
    port.request("PUT", "/v2/keys/a", "value=1")
    assert client.said.startswith(b'{"action":"set"')
    one = port.connect().send(watch(version="1.0"))
    assert one.said
    port.request("PUT", "/v2/keys/a", "value=2")
    assert json.loads(one.said)["node"]["value"] == "2"
    assert one.end == "closed"


def test_a_client_that_is_gone_is_forgotten(port):
    for query in ("", "stream=true"):
        client = port.connect().send(watch(query))
        assert port.v2.stats.watchers == 1
        client.lose()
        assert port.v2.stats.watchers == 0
        assert port.site._keys._watches.open_now == 0
        port.request("PUT", "/v2/keys/a", "value=1")


def test_a_client_that_ends_its_side_ends_its_watch(port):
    client = port.connect().send(watch())
    client.protocol.readConnectionLost()
    assert client.said.endswith(b"\r\n\r\n0\r\n\r\n")
    assert client.end == "closed"
    assert port.v2.stats.watchers == 0
    late = port.connect()
    late.protocol.pauseProducing()
    late.send(watch())
    late.protocol.readConnectionLost()
    late.protocol.resumeProducing()
    assert late.said.endswith(b"\r\n\r\n0\r\n\r\n")
    assert late.end == "closed"


def test_a_pipelined_request_waits_for_the_watch(port, read):
    client = port.connect().send(watch() + "GET /version HTTP/1.1\r\nHost: k\r\n\r\n")
    assert len(read(client.said)) == 1
    port.request("PUT", "/v2/keys/a", "value=1")
    assert b"etcdserver" in client.said


def test_slow_watcher_closed_never_blocks(make_port):
    """W07"""
    port = make_port(stream_backlog_max=5)
    slow = port.connect().send(watch("stream=true"))
    quick = port.connect().send(watch("stream=true"))
    head, quick_head = slow.said, quick.said
    assert head == quick_head
    slow.wire.room = 0
    for number in range(20):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    assert values(quick.said) == [str(number) for number in range(20)]
    # The first event filled the transport, five waited, the seventh was too many.
    assert slow.end == "open"
    pieces, ended = chunks(slow.said)
    assert ended
    assert len(pieces) == 1
    assert port.v2.stats.watchers == 1
    slow.wire.client_reads()
    assert slow.said == b""


def test_without_a_limit_w07_would_fail(make_port):
    """The mutant of W07: everything is kept for a client that never comes back."""
    port = make_port(stream_backlog_max=10**9)
    slow = port.connect().send(watch("stream=true"))
    slow.wire.room = 0
    for number in range(20):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    assert len(slow.protocol._stream._backlog) == 19
    assert port.v2.stats.watchers == 1


def test_a_client_that_comes_back_in_time_gets_what_waited(make_port):
    port = make_port(stream_backlog_max=5)
    client = port.connect().send(watch("stream=true"))
    assert client.said
    client.wire.room = 0
    for number in range(6):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    assert values(client.said) == ["0"]
    client.wire.client_reads()
    assert values(client.said) == ["1", "2", "3", "4", "5"]
    port.request("PUT", "/v2/keys/a", "value=6")
    assert values(client.said) == ["6"]


def test_what_waited_is_sent_only_as_far_as_the_client_reads(make_port):
    port = make_port(stream_backlog_max=5)
    client = port.connect().send(watch("stream=true"))
    assert client.said
    client.wire.room = 0
    for number in range(4):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    client.wire.room = 0
    client.protocol.resumeProducing()
    assert values(client.said) == ["0", "1"]
    client.wire.client_reads()
    assert values(client.said) == ["2", "3"]


def test_a_watcher_that_the_store_dropped_sees_its_body_end(port):
    client = port.connect().send(watch("stream=true"))
    assert client.said
    client.protocol._stream.happened(None)
    assert client.said == b"0\r\n\r\n"
    assert client.send("GET /version HTTP/1.1\r\nHost: k\r\n\r\n").said
    slow = port.connect().send(watch("stream=true"))
    slow.protocol.pauseProducing()
    stream = slow.protocol._stream
    stream.happened(None)
    assert slow.said
    slow.protocol.resumeProducing()
    assert slow.said == b"0\r\n\r\n"


def test_more_watchers_than_the_limit_are_refused(make_port):
    port = make_port(watchers_max=2)
    clients = [port.connect().send(watch()) for _ in range(2)]
    answer = port.request("GET", "/v2/keys/a?wait=true")
    assert answer.status == 500
    error = json.loads(answer.body)
    assert error["errorCode"] == 300
    assert error["cause"] == "etcdserver: too many watchers, watchers-max=2"
    clients[0].lose()
    assert port.connect().send(watch()).said.startswith(b"HTTP/1.1 200")


def test_10k_watchers_memory_and_release(make_port):
    """W10: at the face; what the process as a whole needs is measured by the bench."""
    port = make_port(connections_max=20_000)
    clients = [port.connect().send(watch(path=f"/{n % 100}")) for n in range(10_000)]
    assert port.v2.stats.watchers == 10_000
    one = clients[0].protocol
    assert not one._out._joined
    assert one._intake.unread == 0
    assert one._stream._backlog is None
    for client in clients[::2]:
        client.lose()
    for number in range(1, 100, 2):
        port.request("PUT", f"/v2/keys/{number}", "value=1")
    assert port.v2.stats.watchers == 0
    assert port.site._keys._watches.open_now == 0
    assert len(port.site.connections) == 5_000 + 50
    assert not port.site.deadlines
    told = [client for client in clients if b'"value":"1"' in client.said]
    assert len(told) == 5_000


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD"])
def test_only_gets_watch(port, method):
    assert port.request(method, "/v2/keys/a?wait=true").status == 400
    assert port.v2.stats.watchers == 0


@pytest.mark.parametrize("query", ["", "stream=true"])
def test_a_bug_behind_a_watch_costs_its_connection_alone(
    port, monkeypatch, logged_failures, query
):
    """It must not reach the member, who has just applied an event and publishes it."""
    client = port.connect().send(watch(query) + watch())
    other = port.connect().send(watch())
    assert client.said
    assert other.said

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(port.site, "route", broken)
    if query:
        monkeypatch.setattr(type(client.protocol), "send", broken)
    port.member.propose("v2", encode_command(Command(Op.SET, "/a", "1")))
    port.settle()
    assert client.end == "aborted"
    assert values(other.said) == ["1"]
    assert other.end == "open"
    client.lose()
    assert port.v2.stats.watchers == 0
    assert port.site._keys._watches.open_now == 0
    assert len(logged_failures) == 1
    logged_failures.clear()


class PatientOutlet:
    """Takes everything."""

    blocked = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = False

    def send(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def end(self, last: bytes = b"") -> None:
        self.pieces.append(last)
        self.ended = True

    def abort(self) -> None:
        raise AssertionError("nothing goes wrong here")


@pytest.mark.parametrize("events", [1, 5, 6])
def test_events_between_acceptance_and_the_head_are_not_lost(make_port, events):
    port = make_port(stream_backlog_max=5)
    opened = port.site._keys._watches.open(
        "/a", recursive=False, stream=True, since=0, headers=lambda index: b""
    )
    for number in range(events):
        port.request("PUT", "/v2/keys/a", f"value={number}")
    outlet = PatientOutlet()
    stream = opened.begin(outlet)
    assert outlet.ended == (events > 5)
    if not outlet.ended:
        assert len(outlet.pieces) == events
        stream.stop()
        stream.stop()
    stream.finish()
    assert port.v2.stats.watchers == 0
    assert port.site._keys._watches.open_now == 0
