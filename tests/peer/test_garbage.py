"""What breaks the protocol costs its own connection and nothing else."""

import ast
import pathlib
import pickle
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols import amp

import kvd
from kvd.errors import PeerError
from kvd.peer.batches import Reassembly, frame
from kvd.peer.commands import Hello, Number, batch_box
from kvd.peer.protocol import BoxConnection
from kvd.peer.receiving import ReceivingConnection
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import decode_message, encode_message
from kvd.raft.messages import AppendEntries, Heartbeat
from tests.peer.network import World
from tests.peer.test_hello import Raw


def box(**values):
    return amp.AmpBox(
        {key.encode(): value for key, value in values.items()}
    ).serialize()


def garbage_boxes():
    """Boxes and bytes that no member sends, before or after a Hello."""
    number = struct.pack(">Q", 1)
    hello = {
        "_command": b"Hello",
        "_ask": b"1",
        "newest": number,
        "oldest": number,
        "cluster": number,
        "member": number,
        "expected": number,
        "purpose": b"messages",
        "ping_milliseconds": number,
    }
    yield b"\0\0"  # the empty box
    yield b"\x01\x00"  # a key of 256 bytes
    yield b"\xff\xff"
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # a TLS client
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"SSH-2.0-x\r\n"
    for missing in ("newest", "oldest", "_ask", "_command"):
        yield box(**{key: value for key, value in hello.items() if key != missing})
    for key in ("newest", "oldest", "cluster", "member", "expected"):
        for value in (b"", b"1", b"1_0", b"x" * 7, b"x" * 9, b"9" * 6000):
            yield box(**(hello | {key: value}))
    yield box(**(hello | {"purpose": b"\xff"}))
    yield box(_answer=b"1")
    yield box(_answer=b"")
    yield box(_error=b"1", _error_code=b"X", _error_description=b"y")
    yield box(_error=b"\xff")
    yield box(_command=b"")
    for name in (b"nothing", b"\xff\xfe", b"SnapshotStart", b"SnapshotChunk"):
        yield box(_command=name)
        yield box(_command=name, _ask=b"1")
    yield box(_command=b"Ping")
    yield box(_command=b"Hello", _ask=b"1")
    yield box(_command=b"hello", _ask=b"1", newest=number)
    yield box(_command=b"_Batch", _ask=b"1", piece=b"")
    yield box(_command=b"SnapshotEnd", _ask=b"1", checksum=b"")
    yield box(_command=b"Received", size=number)
    yield box(_command=b"Urgent")
    yield box(_command=b"Urgent", message=b"\xff")
    append = AppendEntries(1, 2, 9, 0, 0, (), 0)
    yield box(_command=b"Urgent", message=encode_message(append))
    yield box(**{f"key{each}": b"" for each in range(17)})
    yield box(_command=b"Batch", piece=b"\0\0\0\0")  # a message of nothing
    yield box(_command=b"Batch", piece=b"\xff\xff\xff\xff")  # of 4 GiB
    yield batch_box(frame(b"\0"))
    yield batch_box(frame(b"\xff" * 100))
    yield batch_box(frame(pickle.dumps({"a": 1})))


def test_amp_garbage_closes_quietly(log_lines, logged_failures):
    # P03: no traceback; the other connections do not notice.
    boxes = list(garbage_boxes())
    boxes.append(bytes(range(256)) * 300)
    boxes.append(b"\xff" * 70_000)
    assert len(boxes) >= 69
    world = World().start()
    one, two = world.members
    for each in boxes:
        strange = Raw(world, one).write(each)
        world.run(6)
        assert strange.ended, each[:80]
        # The same after an accepted Hello. It takes the place of two's connection.
        welcome = Raw(world, one).hello()
        assert not welcome.ended
        welcome.write(each)
        world.run(6)
        assert welcome.ended, each[:80]
    assert one.messages == []
    assert logged_failures == []
    assert not [line for line in log_lines if line.startswith(("error", "critical"))]
    world.run(5)
    assert one.transport.connected() == {2}
    two.transport.send([Heartbeat(1, 2, 1, 0, 3)])
    world.run(1)
    assert one.messages == [Heartbeat(1, 2, 1, 0, 3)]


def test_the_dialler_survives_garbage_for_an_answer(logged_failures):
    for each in garbage_boxes():
        world = World()
        one, two = world.members

        class Babbler:
            transport = None

            def __init__(self, data):
                self.data = data

            def buildProtocol(self, addr):
                return self

            def makeConnection(self, transport):
                self.transport = transport

            def dataReceived(self, data):
                self.transport.write(self.data)

            def connectionLost(self, reason):
                pass

        world.network.listening[two.url] = Babbler(each)
        one.knows(two).transport.start()
        world.run(4)
        assert one.transport.connected() == frozenset()
        one.transport.stop()
        world.run(4)
        assert world.clock.getDelayedCalls() == []
    assert logged_failures == []


def test_no_pickle_or_eval_from_wire_or_disk():
    # P04: nothing in the package can turn bytes into code or arbitrary objects.
    forbidden_modules = {
        "pickle",
        "marshal",
        "shelve",
        "dill",
        "cloudpickle",
        "jsonpickle",
    }
    forbidden_calls = {"eval", "exec", "compile", "__import__"}
    seen = 0
    for path in pathlib.Path(kvd.__file__).parent.rglob("*.py"):
        seen += 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name.split(".")[0] for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            assert not forbidden_modules.intersection(names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden_calls, path
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"unsafe_load", "full_load"}, path
    assert seen > 20


def test_a_pickle_on_the_wire_is_never_loaded():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    with pytest.raises(PeerError):
        decode_message(pickle.dumps(Bomb()))
    world = World().start()
    one = world.members[0]
    assert Raw(world, one).hello().write(batch_box(frame(pickle.dumps(Bomb())))).ended


def test_an_error_of_our_own_is_not_taken_for_garbage():
    # T03 belongs to the node; the transport only must not swallow it.
    world = World().start()
    one = world.members[0]

    def received(message):
        raise ZeroDivisionError

    one.events.received = received
    raw = Raw(world, one).hello()
    server = raw.stream.other
    with pytest.raises(ZeroDivisionError):
        server.protocol.dataReceived(
            batch_box(frame(encode_message(Heartbeat(1, 2, 1, 0, 3))))
        )


def test_a_peer_that_does_not_read_its_answers_is_dropped():
    world = World().start()
    one = world.members[0]
    raw = Raw(world, one).hello()
    raw.stream.reading = False
    ping = box(_command=b"Ping", _ask=b"1")
    for _ in range(20):
        raw.stream.write(ping * 1000)
        world.run(0.001)
        assert len(raw.stream.other.buffer) < 100_000
    assert raw.stream.other.lost


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_random_bytes_to_the_accepting_end_never_raise(pieces):
    world = World().start()
    raw = Raw(world, world.members[0])
    for piece in pieces:
        raw.write(piece)
    welcome = Raw(world, world.members[0]).hello()
    for piece in pieces:
        welcome.write(piece)
    world.run(1)
    assert world.members[0].messages == []


KEYS = st.sampled_from(
    [
        b"_command",
        b"_ask",
        b"_answer",
        b"_error",
        b"piece",
        b"newest",
        b"message",
        b"size",
        b"content",
        b"checksum",
        b"purpose",
        b"reason",
        b"refusal",
        b"version",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"Hello",
            b"Batch",
            b"Ping",
            b"SnapshotStart",
            b"SnapshotChunk",
            b"SnapshotEnd",
            b"Received",
            b"1",
            b"2",
            bytes(8),
        ]
    ),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.dictionaries(KEYS, VALUES, max_size=5), max_size=6),
    st.sampled_from([None, b"messages", b"snapshot"]),
    st.booleans(),
)
def test_random_boxes_to_both_ends_never_raise(boxes, purpose, to_dialler):
    world = World().start()
    one, two = world.members
    if to_dialler:
        server = world.streams(one, two)[0][1]
        for each in boxes:
            server.write(amp.AmpBox(each).serialize())
            world.run(0.01)
    else:
        raw = Raw(world, one)
        if purpose is not None:
            raw.hello(purpose=purpose)
        for each in boxes:
            raw.write(amp.AmpBox(each).serialize())
    world.run(1)
    assert one.messages == []


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.randoms())
@settings(max_examples=200, deadline=None)
def test_reassembly_gives_back_what_was_framed_however_it_is_cut(messages, chance):
    stream = b"".join(map(frame, messages))
    reassembly = Reassembly(1000)
    got = []
    while stream:
        size = chance.randint(1, len(stream))
        got += reassembly.add(stream[:size])
        stream = stream[size:]
    assert got == messages
    assert not reassembly._held


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300).map(batch_box),
            st.sampled_from(
                [
                    box(_command=b"Ping", _ask=b"1"),
                    box(_command=b"Batch", piece=b"x", more=b"y"),
                    b"\0\x08_command\0\x05Batch\0\x05piece",
                    b"\0",
                ]
            ),
        ),
        max_size=12,
    ),
    st.randoms(),
)
@settings(max_examples=200, deadline=None)
def test_the_short_way_for_batches_finds_what_the_general_way_finds(boxes, chance):
    stream = b"".join(boxes)
    cuts = sorted(chance.randint(0, len(stream)) for _ in range(chance.randint(0, 6)))
    chunks = [
        stream[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    found = []
    for short in (True, False):

        class Connection(ReceivingConnection):
            def _piece_received(self, piece):
                seen.append(piece)

            if not short:
                take = BoxConnection.take

        connection = Connection(
            clock=Clock(), settings=PeerSettings(), identity=None, host=None
        )
        seen = []
        connection.transport = StringTransport()
        connection.transport.registerProducer(connection, True)
        connection.member_id = 2
        for chunk in chunks:
            connection.dataReceived(chunk)
        found.append((seen, connection.ended_why, connection.transport.value()))
    assert found[0] == found[1]


def test_reassembly_refuses_a_length_before_its_bytes_come():
    reassembly = Reassembly(1000)
    assert list(reassembly.add(struct.pack(">I", 1000))) == []
    with pytest.raises(PeerError):
        list(Reassembly(1000).add(struct.pack(">I", 1001)))
    with pytest.raises(PeerError):
        list(Reassembly(1000).add(struct.pack(">I", 0)))


def test_reassembly_takes_random_bytes_within_its_bound():
    chance = random.Random(5)
    for _ in range(200):
        reassembly = Reassembly(500)
        try:
            for _ in range(50):
                list(reassembly.add(chance.randbytes(chance.randint(0, 40))))
                assert len(reassembly._held) <= 504
        except PeerError:
            pass


def test_a_box_without_end_is_cut_off():
    world = World().start()
    raw = Raw(world, world.members[0])
    for each in range(100):
        raw.write(struct.pack(">H", 3) + b"%03d" % each + b"\xff\xff" + bytes(65535))
    assert raw.ended


def test_numbers_are_eight_bytes():
    assert Number().fromString(Number().toString(2**64 - 1)) == 2**64 - 1
    with pytest.raises(PeerError):
        Number().fromString(b"12")


def test_the_base_connection_leaves_its_parts_to_the_two_sides():
    class Bare(BoxConnection):
        pass

    bare = Bare(clock=None, settings=None)
    with pytest.raises(NotImplementedError):
        bare.command_received(b"", None)
    with pytest.raises(NotImplementedError):
        bare.gone("")
    assert Hello.commandName == b"Hello"
