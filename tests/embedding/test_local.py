"""The client of a whole member in this process; everything real but reactor and disk."""

from __future__ import annotations

import attrs
import pytest

from kvd.client import Limits, NoAnswer, Unknown
from kvd.embedding import local_client
from kvd.embedding.local import ENDPOINT
from kvd.errors import StorageError
from tests.client.cluster import result, waiting
from tests.test_service import CONFIG, THREE, House, Reactor


@pytest.fixture
def house():
    return House()


def test_a_client_made_before_the_member_serves_waits_for_it(house):
    service = house.start()
    client = local_client(service)
    first = client.set("/a", "1")
    assert waiting(first)
    house.run()
    assert result(first).node.value == "1"
    read = client.get("/a", quorum=True)
    house.run(0.1)
    assert result(read).node.value == "1"
    assert b'"value":"1"' in house.ask(
        b"GET /v2/keys/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    house.stop()


def test_the_members_own_urls_are_the_endpoints(house):
    urls = ("http://localhost:2379", "http://127.0.0.1:2379")
    service = house.start(attrs.evolve(CONFIG, advertise_client_urls=urls))
    client = local_client(service)
    house.run()
    synced = client.sync()
    health = client.health("http://127.0.0.1:2379")
    house.run(0.1)
    assert set(result(synced)) == set(urls)
    assert result(health)
    house.stop()


def test_a_member_without_a_url_has_an_endpoint_all_the_same(house):
    config = attrs.evolve(CONFIG, advertise_client_urls=("unix:///run/kvd:0",))
    client = local_client(house.start(config))
    assert client.endpoints == (ENDPOINT,)
    house.stop()


def test_who_is_too_late_for_a_member_is_told_so(house):
    service = house.start()
    client = local_client(service)
    house.run()
    watch = client.watch("/a").next()
    watch.addErrback(lambda failure: failure.type)
    house.run(0.1)
    house.stop()
    for late in (client.set("/a", "1"), client.get("/a")):
        house.run(0.1)
        with pytest.raises(NoAnswer, match="the member is stopping"):
            result(late)
    closed = client.close()
    house.run(0.1)
    assert watch.called
    result(closed)


def test_a_member_without_a_leader_answers_nobody(house):
    service = house.start(THREE)
    late = local_client(service, limits=Limits(request_seconds=3)).set("/a", "1")
    house.run(4)
    with pytest.raises(NoAnswer, match="does not answer anybody yet"):
        result(late)
    house.stop()


def test_a_member_that_cannot_start_keeps_nobody_waiting(house):
    reactor = Reactor()
    reactor.taken = {2379}
    late = local_client(house.start(reactor=reactor)).set("/a", "1")
    house.run(0.1)
    with pytest.raises(NoAnswer, match="the member has stopped"):
        result(late)
    assert house.process.said == ["prepare", 1]


def test_a_member_that_ends_by_itself_leaves_a_write_unknown(house):
    service = house.start()
    client = local_client(service)
    house.run()
    house.worker.held = True
    write = client.set("/a", "1")
    house.run(0.1)
    service._fatal(StorageError("gone"))
    late = client.set("/b", "1")
    house.run(0.1)
    with pytest.raises(NoAnswer, match="the member has stopped"):
        result(late)
    assert waiting(write)
    stopped = service.stopService()
    house.run(0.1)
    with pytest.raises(Unknown):
        result(write)
    house.worker.held = False
    house.worker.release()
    house.run(0.1)
    assert stopped.called
