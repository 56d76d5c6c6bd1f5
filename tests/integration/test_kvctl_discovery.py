"""Endpoints from the DNS: in a network where there is a name server at its usual port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kvd.testing.servers import Make, Server, kill_all, lone_member, missing_tools
from tests.conformance.programs import COMMAND_SECONDS, PATIENTLY
from tests.integration import nameserver
from tests.integration.conftest import require
from tests.integration.lan import ip
from tests.integration.test_namespaces import namespaces_possible

pytestmark = pytest.mark.netns

DOMAIN = "cluster.example"
SERVICES = [
    "_etcd-client._tcp.plain=m1.cluster.example:2379",
    "_etcd-client._tcp.both=m1.cluster.example:2379",
    "_etcd-client-ssl._tcp.both=m1.cluster.example:1",
    "_etcd-client-ssl._tcp.sealed=m1.cluster.example:1",
    "_etcd-client-blue._tcp.named=m1.cluster.example:2379",
    "m1=127.0.0.1",
    *(
        f"_etcd-client._tcp.many=m1.cluster.example:{port}"
        for port in range(2379, 2379 + 50)
    ),
]
PROGRAMS = {"etcdctl": ["etcdctl"], "kvctl": [sys.executable, "-m", "kvd.kvctl"]}


class Inside(Server):
    """A member in a namespace."""

    namespace = ""

    def _command(self, file):
        return ["ip", "netns", "exec", self.namespace, *super()._command(file)]


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    """With a name server, and a member at the port that is asked by default."""
    require(namespaces_possible(), "root, iproute2 and network namespaces")
    require(not missing_tools("etcdctl"), "etcdctl (Debian: etcd-client)")
    name = f"kvdt-dns-{os.getpid()}"
    resolving = Path("/etc/netns") / name / "resolv.conf"
    alone = lone_member(Make.KVD, tmp_path_factory.mktemp("alone"))
    url = "http://127.0.0.1:2379"
    options = alone.options | {"listen-client-urls": url, "advertise-client-urls": url}
    member = Inside(Make.KVD, alone.place, options)
    member.namespace = name
    dns = None
    try:
        resolving.parent.mkdir(parents=True)
        resolving.write_text("nameserver 127.0.0.1\n")
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        member.start()
        dns = subprocess.Popen(
            [
                *("ip", "netns", "exec", name, sys.executable, nameserver.__file__),
                *("53", DOMAIN, *SERVICES),
            ],
            stdout=subprocess.PIPE,
        )
        assert dns.stdout.readline() == b"53\n"
        deadline = time.monotonic() + COMMAND_SECONDS
        while typed(name, "kvctl", "set /a found")[0]:
            assert time.monotonic() < deadline, member.last_words()
            time.sleep(0.1)
        yield name
    finally:
        kill_all([member])
        if dns is not None:
            dns.kill()
            dns.wait()
            dns.stdout.close()
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        resolving.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's are there, too
            resolving.parent.rmdir()
            resolving.parent.parent.rmdir()


def typed(namespace, program, line, **environ):
    done = subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            namespace,
            *PROGRAMS[program],
            *PATIENTLY,
            *line.split(),
        ],
        env={**os.environ, "ETCDCTL_API": "2"}
        | {f"ETCDCTL_{name}": text for name, text in environ.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("status", "line", "environ"),
    [
        (0, "--insecure-discovery --discovery-srv plain.{domain} get /a", {}),
        (0, "--insecure-discovery --no-sync -D plain.{domain} get /a", {}),
        (0, "--debug --insecure-discovery -D plain.{domain} get /a", {}),
        (0, "-D plain.{domain} get /a", {}),  # ignored, and the default taken
        (0, "--no-sync --insecure-discovery -D both.{domain} get /a", {}),
        (2, "-D both.{domain} get /a", {}),
        (4, "--no-sync --insecure-discovery -D sealed.{domain} get /a", {}),
        (1, "-D none.{domain} get /a", {}),
        (1, "-D named.{domain} get /a", {}),
        (0, "get /a", {"DISCOVERY_SRV": "plain.{domain}", "INSECURE_DISCOVERY": "1"}),
        (0, "get /a", {"DISCOVERY_SRV": "plain.{domain}"}),
        (1, "-D none.{domain} get /a", {"DISCOVERY_SRV": "plain.{domain}"}),
        (
            0,
            "--insecure-discovery -D named.{domain} get /a",
            {"DISCOVERY_SRV_NAME": "blue"},
        ),
    ],
)
def test_endpoints_are_found_in_the_dns(namespace, status, line, environ):
    line = line.format(domain=DOMAIN)
    environ = {name: text.format(domain=DOMAIN) for name, text in environ.items()}
    told = typed(namespace, "etcdctl", line, **environ)
    assert typed(namespace, "kvctl", line, **environ) == told
    assert told[0] == status


def test_more_records_than_fit_into_a_datagram_are_found(namespace):
    """The name server cuts such an answer off in a place that Go cannot read."""
    line = f"--debug --no-sync --insecure-discovery -D many.{DOMAIN} get /a"
    status, out, err = typed(namespace, "kvctl", line)
    assert (status, out) == (0, "found\n")
    assert err.partition("\n")[0].count("http://m1.cluster.example.:") == 50
