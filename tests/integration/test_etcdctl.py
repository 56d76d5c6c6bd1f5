"""etcd's own v2 client does its work against one member and against three."""

import os
import subprocess
import time

import pytest


@pytest.fixture
def key(request):
    """A key of the test's own."""
    return "/" + request.node.name.replace("[", "-").strip("]")


def lines(text):
    return [line for line in text.splitlines() if line]


def test_set_get_update_and_rm(etcdctl, key):
    assert lines(etcdctl("set", key, "one")) == ["one"]
    assert lines(etcdctl("get", key)) == ["one"]
    assert lines(etcdctl("update", key, "two")) == ["two"]
    assert lines(etcdctl("get", key)) == ["two"]
    assert lines(etcdctl("rm", key)) == ["PrevNode.Value: two"]
    assert "100: Key not found" in etcdctl("get", key, fails=True)
    assert "100: Key not found" in etcdctl("update", key, "three", fails=True)


def test_mk_makes_a_key_only_once(etcdctl, key):
    assert lines(etcdctl("mk", key, "one")) == ["one"]
    assert "105: Key already exists" in etcdctl("mk", key, "two", fails=True)
    assert lines(etcdctl("get", key)) == ["one"]


def test_mk_in_order_sorts_as_it_was_made(etcdctl, key):
    for value in ("first", "second", "third"):
        etcdctl("mk", "--in-order", key, value)
    names = lines(etcdctl("ls", "--sort", key))
    assert len(names) == 3
    values = [lines(etcdctl("get", name))[0] for name in names]
    assert values == ["first", "second", "third"]


def test_compare_and_swap_and_delete(etcdctl, key):
    etcdctl("set", key, "one")
    refused = etcdctl("set", key, "two", "--swap-with-value", "no", fails=True)
    assert "101: Compare failed ([no != one])" in refused
    assert lines(etcdctl("set", key, "two", "--swap-with-value", "one")) == ["two"]
    assert "101:" in etcdctl("rm", key, "--with-value", "one", fails=True)
    etcdctl("rm", key, "--with-value", "two")
    assert "100:" in etcdctl("get", key, fails=True)


def test_directories(etcdctl, key):
    etcdctl("mkdir", key)
    assert "105:" in etcdctl("mkdir", key, fails=True)
    etcdctl("set", f"{key}/a/b", "deep")
    etcdctl("setdir", f"{key}/empty")
    assert lines(etcdctl("ls", "-p", key)) == [f"{key}/a/", f"{key}/empty/"]
    assert lines(etcdctl("ls", "-r", "--sort", key)) == [
        f"{key}/a",
        f"{key}/a/b",
        f"{key}/empty",
    ]
    assert "102: Not a file" in etcdctl("rm", key, fails=True)
    assert "108: Directory not empty" in etcdctl("rmdir", key, fails=True)
    etcdctl("rmdir", f"{key}/empty")
    etcdctl("rm", "--recursive", key)
    assert "100:" in etcdctl("ls", key, fails=True)


def test_ttl_on_keys_and_directories(etcdctl, key):
    etcdctl("set", f"{key}/short", "v", "--ttl", "1")
    etcdctl("setdir", f"{key}/room", "--ttl", "1")
    etcdctl("set", f"{key}/room/inside", "v")
    etcdctl("set", f"{key}/long", "v", "--ttl", "500")
    shown = etcdctl("-o", "extended", "get", f"{key}/long")
    assert 490 < int(shown.split("TTL: ")[1].split()[0]) <= 500
    end = time.monotonic() + 10
    while lines(etcdctl("ls", key)) != [f"{key}/long"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "100:" in etcdctl("get", f"{key}/room/inside", fails=True)


def test_watch_hears_of_a_change(etcdctl, shared_cluster, key):
    etcdctl("set", key, "before")
    endpoint = shared_cluster[-1].url
    watcher = subprocess.Popen(
        ["etcdctl", "--endpoints", endpoint, "watch", "--forever", "-r", key],
        env={**os.environ, "ETCDCTL_API": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(1)
        etcdctl("set", key, "after")
        etcdctl("rm", key)
        heard = [watcher.stdout.readline().strip() for _ in range(3)]
        assert heard == [f"[set] {key}", "after", f"[delete] {key}"]
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()


def test_watch_after_an_index_reads_the_history(etcdctl, key):
    shown = etcdctl("-o", "extended", "set", key, "one")
    index = int(shown.split("Modified-Index: ")[1].split()[0])
    etcdctl("set", key, "two")
    assert lines(etcdctl("watch", "--after-index", str(index), key)) == ["two"]


def test_member_list_names_each_member_and_one_leader(etcdctl, shared_cluster):
    listed = lines(etcdctl("member", "list"))
    assert len(listed) == len(shared_cluster)
    for server in shared_cluster:
        (line,) = (line for line in listed if f" name={server.name} " in line)
        assert f"clientURLs={server.url} " in line
        assert f"peerURLs={server.options['listen-peer-urls']} " in line
    assert sum("isLeader=true" in line for line in listed) == 1


def test_cluster_health_finds_every_member_healthy(etcdctl, shared_cluster):
    said = lines(etcdctl("cluster-health"))
    assert said[-1] == "cluster is healthy"
    healthy = [line for line in said if "is healthy: got healthy result from" in line]
    assert len(healthy) == len(shared_cluster)


def test_every_member_answers_for_what_another_one_took(etcdctl, shared_cluster, key):
    for number, server in enumerate(shared_cluster):
        status, _, _ = server.ask(f"/v2/keys{key}/{number}", "PUT", f"value={number}")
        assert status == 201
        for other in shared_cluster:
            status, _, body = other.ask(f"/v2/keys{key}/{number}?quorum=true")
            assert status == 200, body
