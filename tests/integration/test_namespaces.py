"""
Three members from the guide's own files, at their very addresses; a cable is pulled.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvd.testing.servers import missing_tools
from tests.integration.conftest import require
from tests.integration.lan import HOSTS, Lan

# As in the guide, but for the data folder: it must not be in the host's root.
FILE = """\
name: etcd-{number}
data-dir: {folder}/data/etcd-{number}
listen-client-urls: http://10.10.0.{number}:2379,http://127.0.0.1:2379
advertise-client-urls: http://10.10.0.{number}:2379,http://127.0.0.1:2379
listen-peer-urls: http://10.10.0.{number}:2380
initial-advertise-peer-urls: http://10.10.0.{number}:2380
initial-cluster: etcd-1=http://10.10.0.1:2380,etcd-2=http://10.10.0.2:2380,\
etcd-3=http://10.10.0.3:2380
initial-cluster-token: etcd-cluster-token
initial-cluster-state: new
"""
KVD = [sys.executable, "-c", "from kvd.command import main; main()"]
ENDPOINTS = ",".join(f"http://10.10.0.{number}:2379" for number in HOSTS)

pytestmark = pytest.mark.netns


def namespaces_possible() -> bool:
    if os.geteuid() != 0 or missing_tools("ip"):
        return False
    name = f"kvdt-probe-{os.getpid()}"
    made = subprocess.run(
        ["ip", "netns", "add", name], capture_output=True, check=False
    )
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", name], check=False)
    return made.returncode == 0


class Cluster:
    """The three members on their hosts, and what clients see of them."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self.lan = lan
        self.folder = folder
        for number in HOSTS:
            file = folder / f"etcd-{number}.yml"
            file.write_text(FILE.format(number=number, folder=folder))

    def start(self, number):
        file = self.folder / f"etcd-{number}.yml"
        self.lan.start(
            number,
            [*KVD, "--config-file", str(file)],
            self.folder / f"log-{number}",
            self.folder,
        )

    def log(self, number):
        return (self.folder / f"log-{number}").read_text()

    def put(self, number, key, value, where=None):
        url = f"http://10.10.0.{number}:2379/v2/keys{key}"
        if where is not None:
            url = f"http://127.0.0.1:2379/v2/keys{key}"
        where = where or self.lan.switch
        return self.lan.curl(where, url, "-XPUT", "-d", f"value={value}")[0]

    def get(self, number, key, where=None, quorum=False):
        address = "127.0.0.1" if where is not None else f"10.10.0.{number}"
        query = "?quorum=true" if quorum else ""
        status, body = self.lan.curl(
            where or self.lan.switch, f"http://{address}:2379/v2/keys{key}{query}"
        )
        return json.loads(body)["node"]["value"] if status == 200 else status

    def leader_seen_by(self, number):
        """The number of the leader as this member's own host sees it; 0: none."""
        status, body = self.lan.curl(
            self.lan.host(number), "http://127.0.0.1:2379/v2/members/leader"
        )
        return int(json.loads(body)["name"][-1]) if status == 200 else 0

    def etcdctl(self, *arguments):
        return self.lan.run(
            self.lan.switch, "etcdctl", "--endpoints", ENDPOINTS, *arguments
        )

    def healthy(self):
        done = self.etcdctl("cluster-health")
        return done.returncode == 0 and "cluster is healthy" in done.stdout


@pytest.fixture
def guide(tmp_path):
    require(namespaces_possible(), "root and network namespaces (iproute2)")
    require(not missing_tools("etcdctl", "curl"), "etcdctl and curl")
    lan = Lan()
    cluster = Cluster(lan, tmp_path)
    try:
        lan.up()
        for number in HOSTS:
            cluster.start(number)
        lan.wait("the cluster is healthy", cluster.healthy)
        yield cluster
    finally:
        lan.down()


def term_seen_by(guide, number):
    _, body = guide.lan.curl(
        guide.lan.host(number), "http://127.0.0.1:2379/v2/keys/", "-i"
    )
    return next(line for line in body.splitlines() if "X-Raft-Term" in line)


def test_the_three_files_of_the_guide_bring_a_cluster_up(guide):
    listed = guide.etcdctl("member", "list").stdout.splitlines()
    for number in HOSTS:
        (line,) = (line for line in listed if f" name=etcd-{number} " in line)
        assert f"peerURLs=http://10.10.0.{number}:2380 " in line
        clients = line.split("clientURLs=")[1].split()[0].split(",")
        assert sorted(clients) == [
            f"http://10.10.0.{number}:2379",
            "http://127.0.0.1:2379",
        ]
        # Every key of the file is understood.
        assert not re.search(r"kvd\.(service|options|tap).*#warn", guide.log(number))
    assert guide.etcdctl("set", "/from/guide", "works").returncode == 0
    for number in HOSTS:
        assert guide.get(number, "/from/guide", quorum=True) == "works"
        here = guide.lan.host(number)
        assert guide.get(number, "/from/guide", where=here) == "works"
    for number in HOSTS:
        assert guide.lan.stop(number) == 0
    for number in HOSTS:
        guide.start(number)
    guide.lan.wait("the cluster is healthy again", guide.healthy)
    assert guide.get(2, "/from/guide", quorum=True) == "works"


def test_a_leader_without_its_cable_is_replaced_and_catches_up(guide):
    leader = guide.leader_seen_by(1)
    assert leader in HOSTS
    others = [number for number in HOSTS if number != leader]
    assert guide.put(leader, "/before", "1") == 201
    guide.lan.pull_cable(leader)
    pulled = time.monotonic()
    here = guide.lan.host(leader)

    def led_by_another():
        return {guide.leader_seen_by(each) for each in others} < {*others}

    guide.lan.wait("the others have a leader", led_by_another, 15)
    assert time.monotonic() - pulled < 10
    # The two go on, whatever the third believes.
    for number in others:
        assert guide.put(number, f"/during/{number}", "2") == 201
        assert guide.get(number, "/before", quorum=True) == "1"
    # The one behind the pulled cable serves old reads, and promises nothing.
    assert guide.get(leader, "/before", where=here) == "1"
    assert guide.put(leader, "/lost", "x", where=here) in (500, 503)
    assert guide.get(leader, "/before", where=here, quorum=True) in (500, 503)
    assert guide.get(leader, f"/during/{others[0]}", where=here) == 404
    guide.lan.plug_in(leader)
    guide.lan.wait("all are healthy", guide.healthy, 20)
    for number in others:
        assert guide.get(leader, f"/during/{number}", quorum=True) == "2"
    assert guide.put(leader, "/after", "3") == 201
    terms = set()
    for number in HOSTS:
        assert guide.get(number, "/after", quorum=True) == "3"
        # What was never acknowledged is there on all members or on none.
        terms.add(guide.get(number, "/lost", quorum=True))
    assert len(terms) == 1


def test_a_follower_without_its_cable_disturbs_nobody_when_it_returns(guide):
    leader = guide.leader_seen_by(1)
    follower = next(number for number in HOSTS if number != leader)
    term = term_seen_by(guide, leader)
    guide.lan.pull_cable(follower)
    for each in range(5):
        assert guide.put(leader, f"/while/{each}", each) == 201
        time.sleep(1)  # several of its election time-outs
    guide.lan.plug_in(follower)
    guide.lan.wait("all are healthy", guide.healthy, 20)
    for each in range(5):
        assert guide.get(follower, f"/while/{each}", quorum=True) == str(each)
    # Pre-vote: it moved no term, and the leader still leads.
    assert guide.leader_seen_by(follower) == leader
    assert term_seen_by(guide, leader) == term


def test_megabytes_on_a_slow_line_cost_no_leader(guide):
    require(not missing_tools("tc"), "tc (iproute2)")
    leader = guide.leader_seen_by(1)
    host = guide.lan.host(leader)
    term = term_seen_by(guide, leader)
    # Four megabytes to each of two followers take 8 s; heartbeats must not wait so long.
    shape = ("tbf", "rate", "8mbit", "burst", "64kb", "latency", "100ms")
    slowed = guide.lan.run(host, "tc", "qdisc", "add", "dev", "eth0", "root", *shape)
    assert slowed.returncode == 0, slowed
    file = guide.folder / "big"
    file.write_text("y" * (4 << 20))
    url = "http://127.0.0.1:2379/v2/keys/big"
    guide.lan.curl(host, url, "-XPUT", "--data-urlencode", f"value@{file}")
    for number in HOSTS:
        here = guide.lan.host(number)
        guide.lan.wait(
            "the value is there",
            lambda: len(str(guide.get(number, "/big", where=here))) == 4 << 20,
        )
        assert guide.leader_seen_by(number) == leader
        assert term_seen_by(guide, number) == term
