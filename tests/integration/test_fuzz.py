"""
Hostile input on all ports of a real member, while others are served.

``KVD_FUZZ_SECONDS`` and ``KVD_FUZZ_SEED`` make it longer, or the same again.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections import Counter

import pytest

from kvd.testing.servers import HOST, kill_all, start_all
from tests.integration.hostile import CLIENT, GET, PEER, SECURE, Attacker
from tests.integration.secure import Busy, Client, Folder, secure_port, secured

SECONDS = float(os.environ.get("KVD_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("KVD_FUZZ_SEED", random.randrange(1 << 32)))
GROWTH_BYTES_MAX = 200 << 20
WATCHERS = 2000


@pytest.fixture
def member(tmp_path):
    files = Folder(tmp_path / "certificates")
    (server,) = secured(tmp_path, files, 1)
    server.options |= {
        "header-timeout": 1000,
        "body-timeout": 2000,
        "tls-handshake-timeout": 1000,
        "tls-handshakes-max": 50,
        "connections-max": WATCHERS + 200,
    }
    server.files = files
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


def test_hostile_input_harms_nobody_else(member, capsys):
    assert member.ask("/v2/keys/kept", "PUT", "value=intact")[0] == 201
    port, peer = member.port, member.place.peer_port
    before = member.resident_bytes()
    attackers = [
        Attacker(target, attacks, SEED + number)
        for number, (target, attacks) in enumerate(
            [(port, CLIENT)] * 6
            + [(secure_port(member), SECURE)] * 2
            + [(peer, PEER)] * 2
        )
    ]
    honest = Busy(Client(member, member.files.context("anna"), keep=True), "honest")
    for each in (*attackers, honest):
        each.start()
    time.sleep(SECONDS)
    for each in (*attackers, honest):
        each.end()
    counts = sum((each.counts for each in attackers), Counter())
    with capsys.disabled():
        print(f"\nfuzz, seed {SEED}: {sum(counts.values())} visits")
        for name, count in sorted(counts.items()):
            print(f"  {name}: {count}")
    assert [each.trouble for each in attackers] == [[]] * len(attackers), SEED
    assert honest.trouble == [], SEED
    assert honest.done > SECONDS, SEED
    for attack in (*CLIENT, *SECURE, *PEER):
        assert any(name.startswith(attack.__name__) for name in counts), counts
    assert member.resident_bytes() - before < GROWTH_BYTES_MAX, SEED
    assert b'"value":"intact"' in member.ask("/v2/keys/kept")[2]
    assert "Traceback" not in log_of(member), SEED
    member.stop()
    member.start()
    member.wait_ready()
    assert b'"value":"intact"' in member.ask("/v2/keys/kept")[2]


def log_of(member):
    return (member.place.folder / "log").read_text(errors="replace")


def test_thousands_of_idle_watchers_and_a_flood_of_connections(member):
    """More connections than there is room for: those within are served."""
    watchers = [
        socket.create_connection((HOST, member.port), timeout=20)
        for _ in range(WATCHERS)
    ]
    try:
        for each in watchers:
            each.sendall(b"GET /v2/keys/w?wait=true HTTP/1.1\r\nHost: h\r\n\r\n")
        for each in watchers:
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        flood = [
            socket.create_connection((HOST, member.port), timeout=20)
            for _ in range(400)
        ]
        refused = 0
        for each in flood:
            try:
                each.sendall(GET)
                said = each.recv(4096)  # nothing, beyond those who are told
                refused += not said or said.startswith(b"HTTP/1.1 503")
            except ConnectionError:
                refused += 1
        # Only now: a place that is free again goes to whoever was not accepted yet.
        for each in flood:
            each.close()
        assert refused >= 200
        deadline = time.monotonic() + 20
        while member.ask("/v2/keys/w", "PUT", "value=now")[0] != 201:
            assert time.monotonic() < deadline
        for each in watchers:
            answer = each.recv(4096)
            assert b'"value":"now"' in answer
    finally:
        for each in watchers:
            each.close()
    assert "Traceback" not in log_of(member)
