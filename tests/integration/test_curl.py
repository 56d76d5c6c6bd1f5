"""The commands of etcd's v2 documentation, as people type them."""

import json
import subprocess

import pytest

from tests.integration.conftest import run


@pytest.fixture
def curl(curl_installed, shared_cluster):
    def curl(path, *options):
        """Status, headers and body of one request to the last member."""
        url = shared_cluster[-1].url + path
        done = run("curl", "-s", "-i", "-m", "10", *options, url)
        assert done.returncode == 0, done
        # Text mode made line feeds of the line ends.
        head, _, body = done.stdout.partition("\n\n")
        if head.startswith("HTTP/1.1 100"):
            head, _, body = body.partition("\n\n")
        status, *fields = head.splitlines()
        headers = dict(field.strip().split(": ", 1) for field in fields)
        return int(status.split()[1]), headers, body

    return curl


def answer(result):
    status, headers, body = result
    assert "X-Etcd-Index" in headers
    return status, json.loads(body)


def test_the_first_steps_of_the_guide(curl):
    status, body = answer(curl("/v2/keys/message", "-XPUT", "-d", "value=Hello world"))
    assert status in (200, 201)
    assert body["action"] == "set"
    assert body["node"]["value"] == "Hello world"
    status, body = answer(curl("/v2/keys/message"))
    assert (status, body["action"]) == (200, "get")
    status, body = answer(curl("/v2/keys/message", "-XPUT", "-d", "value=Hello etcd"))
    assert (status, body["prevNode"]["value"]) == (200, "Hello world")
    status, body = answer(curl("/v2/keys/message", "-XDELETE"))
    assert (status, body["action"]) == (200, "delete")
    status, body = answer(curl("/v2/keys/message"))
    assert (status, body["errorCode"], body["message"]) == (404, 100, "Key not found")


def test_atomic_operations(curl):
    for path, data, status, code in (
        ("/v2/keys/atom?prevExist=true", "value=1", 404, 100),
        ("/v2/keys/atom?prevExist=false", "value=one", 201, None),
        ("/v2/keys/atom?prevExist=false", "value=three", 412, 105),
        ("/v2/keys/atom?prevValue=two", "value=three", 412, 101),
        ("/v2/keys/atom?prevValue=one", "value=two", 200, None),
    ):
        got, body = answer(curl(path, "-XPUT", "-d", data))
        assert (got, body.get("errorCode")) == (status, code), path
    got, body = answer(curl("/v2/keys/atom?prevIndex=1", "-XDELETE"))
    assert (got, body["errorCode"]) == (412, 101)
    got, body = answer(curl("/v2/keys/atom?prevValue=two", "-XDELETE"))
    assert (got, body["action"]) == (200, "compareAndDelete")


def test_a_watch_waits_for_its_change(curl, shared_cluster):
    _, body = answer(curl("/v2/keys/watched", "-XPUT", "-d", "value=1"))
    index = body["node"]["modifiedIndex"]
    url = f"{shared_cluster[0].url}/v2/keys/watched?wait=true&waitIndex={index + 1}"
    watcher = subprocess.Popen(["curl", "-s", "-m", "20", url], stdout=subprocess.PIPE)
    try:
        answer(curl("/v2/keys/watched", "-XPUT", "-d", "value=2"))
        output, _ = watcher.communicate(timeout=20)
    finally:
        watcher.kill()
        watcher.wait()
    assert json.loads(output)["node"]["value"] == "2"


def test_a_value_from_a_file_and_one_of_a_megabyte(curl, tmp_path):
    file = tmp_path / "value"
    file.write_text("x" * (1 << 20))
    status, body = answer(
        curl("/v2/keys/big", "-XPUT", "--data-urlencode", f"value@{file}")
    )
    assert status in (200, 201)
    assert len(body["node"]["value"]) == 1 << 20


def test_a_value_of_nine_megabytes_reaches_every_member(curl, shared_cluster, tmp_path):
    file = tmp_path / "value"
    file.write_text("y" * (9 << 20))
    option = f"value@{file}"
    status, _, _ = curl("/v2/keys/huge", "-XPUT", "--data-urlencode", option)
    assert status in (200, 201)
    for server in shared_cluster:
        status, _, body = server.ask("/v2/keys/huge?quorum=true")
        assert status == 200
        assert len(json.loads(body)["node"]["value"]) == 9 << 20
    status, _, _ = curl("/v2/keys/huge", "-XDELETE")
    assert status == 200


def test_version_health_and_machines(curl, shared_cluster):
    status, _, body = curl("/version")
    assert (status, set(json.loads(body))) == (200, {"etcdserver", "etcdcluster"})
    status, _, body = curl("/health")
    assert (status, json.loads(body)) == (200, {"health": "true"})
    status, _, body = curl("/v2/machines")
    assert status == 200
    assert sorted(body.split(", ")) == sorted(each.url for each in shared_cluster)


def test_statistics(curl, shared_cluster):
    status, _, body = curl("/v2/stats/self")
    assert status == 200
    assert json.loads(body)["name"] == shared_cluster[-1].name
    status, _, body = curl("/v2/stats/store")
    assert status == 200
    assert json.loads(body)["setsSuccess"] >= 0
    leaders = []
    for server in shared_cluster:
        status, _, body = server.ask("/v2/stats/leader")
        if status == 200:
            leaders.append(json.loads(body))
    assert len(leaders) == 1
    assert len(leaders[0]["followers"]) == len(shared_cluster) - 1
