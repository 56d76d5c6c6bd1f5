"""python-etcd: keys, directories, watches, and finding the other members."""

import threading
import time

import etcd
import pytest

from tests.integration.conftest import ends


@pytest.fixture
def client(shared_cluster):
    made = etcd.Client(host=ends(shared_cluster), allow_reconnect=True)
    yield made
    made.http.clear()


def test_write_read_update_delete(client):
    written = client.write("/pe/key", "one")
    assert (written.action, written.value) == ("set", "one")
    read = client.read("/pe/key")
    assert read.value == "one"
    assert read.modifiedIndex == written.modifiedIndex
    read.value = "two"
    assert client.update(read).value == "two"
    assert client.test_and_set("/pe/key", "three", "two").value == "three"
    with pytest.raises(etcd.EtcdCompareFailed):
        client.test_and_set("/pe/key", "four", "two")
    assert client.delete("/pe/key").action == "delete"
    with pytest.raises(etcd.EtcdKeyNotFound):
        client.read("/pe/key")


def test_values_of_any_text(client):
    for text in ("", " ", "a=b&c", "%zz", "Grüße, 世界", "line\nbreak", "x" * 100_000):
        client.write("/pe/text", text)
        assert client.read("/pe/text").value == text


def test_directories_and_errors(client):
    client.write("/pe/dir/a", "1")
    client.write("/pe/dir/b/c", "2")
    listed = client.read("/pe/dir", recursive=True, sorted=True)
    assert [leaf.key for leaf in listed.leaves] == ["/pe/dir/a", "/pe/dir/b/c"]
    with pytest.raises(etcd.EtcdNotFile):
        client.write("/pe/dir", "x")
    with pytest.raises(etcd.EtcdNotDir):
        client.write("/pe/dir/a/x", "x")
    with pytest.raises(etcd.EtcdDirNotEmpty):
        client.delete("/pe/dir", dir=True)
    with pytest.raises(etcd.EtcdAlreadyExist):
        client.write("/pe/dir/a", "x", prevExist=False)
    client.delete("/pe/dir", recursive=True)


def test_in_order_keys(client):
    made = [client.write("/pe/queue", str(each), append=True) for each in range(5)]
    assert [each.value for each in client.get("/pe/queue").leaves] != []
    indexes = [each.createdIndex for each in made]
    assert indexes == sorted(set(indexes))


def test_ttl_runs_out(client):
    client.write("/pe/ttl", "x", ttl=1)
    assert client.read("/pe/ttl").ttl == 1
    client.refresh("/pe/ttl", ttl=2)
    end = time.monotonic() + 10
    with pytest.raises(etcd.EtcdKeyNotFound):
        while time.monotonic() < end:
            client.read("/pe/ttl")
            time.sleep(0.1)


def test_watch_and_eternal_watch(client, shared_cluster):
    start = client.write("/pe/watch/0", "0").modifiedIndex
    for number in range(1, 4):
        client.write(f"/pe/watch/{number}", str(number))
    events = client.eternal_watch("/pe/watch", index=start + 1, recursive=True)
    assert [next(events).value for _ in range(3)] == ["1", "2", "3"]
    other = etcd.Client(host=ends(shared_cluster), allow_reconnect=True)
    heard = []
    thread = threading.Thread(
        target=lambda: heard.append(other.watch("/pe/later", timeout=20))
    )
    thread.start()
    time.sleep(0.5)
    client.write("/pe/later", "now")
    thread.join(20)
    other.http.clear()
    assert heard[0].value == "now"


def test_machines_leader_and_members(client, shared_cluster):
    assert sorted(client.machines) == sorted(each.url for each in shared_cluster)
    names = {each.name for each in shared_cluster}
    assert client.leader["name"] in names
    assert {each["name"] for each in client.members.values()} == names
    assert client.stats["name"] in names


def test_the_rest_is_found_from_one_member(shared_cluster):
    first = shared_cluster[0]
    client = etcd.Client(host="127.0.0.1", port=first.port, allow_reconnect=True)
    known = {client.base_uri, *client._machines_cache}
    assert known == {each.url for each in shared_cluster}
    client.http.clear()


def test_a_lock_is_held_by_one(client, shared_cluster):
    other = etcd.Client(host=ends(shared_cluster), allow_reconnect=True)
    first, second = etcd.Lock(client, "pe-lock"), etcd.Lock(other, "pe-lock")
    assert first.acquire(blocking=True, lock_ttl=30)
    assert not second.acquire(blocking=False)
    first.release()
    assert second.acquire(blocking=True, lock_ttl=30)
    second.release()
    other.http.clear()


def test_a_client_goes_on_when_its_member_is_killed(make_cluster):
    servers = make_cluster(3)
    client = etcd.Client(host=ends(servers), allow_reconnect=True, read_timeout=5)
    client.write("/before", "1")
    used = next(each for each in servers if each.url == client.base_uri)
    used.kill()
    end = time.monotonic() + 20
    while True:  # a write may fail while the leader is found; the client says so
        try:
            client.write("/after", "2")
            break
        except etcd.EtcdException:
            assert time.monotonic() < end
            time.sleep(0.2)
    assert client.read("/before", quorum=True).value == "1"
    assert client.read("/after").value == "2"
    client.http.clear()
