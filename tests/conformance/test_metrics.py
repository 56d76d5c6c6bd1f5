"""``/metrics`` beside etcd's: names, types, labels, bounds, and what rises by what."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from http.client import HTTPConnection

import attrs
import pytest

from kvd.diagnostics.table import ETCD, PROCESS
from kvd.testing.rows import names, row
from kvd.testing.servers import HOST, Make, free_ports, kill_all, lone_member, start_all
from kvd.testing.sidebyside import Pair, Side
from tests.conformance.conftest import SUBJECT
from tests.conformance.test_beside import COUNTED

pytestmark = pytest.mark.oracle

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_PARTS = ("_bucket", "_sum", "_count")
# What the same requests must make rise alike.
RISING = (
    "etcd_http_received_total",
    "etcd_http_failed_total",
    "etcd_http_successful_duration_seconds_count",
    "etcd_debugging_store_reads_total",
    "etcd_debugging_store_writes_total",
    "etcd_debugging_store_expires_total",
    "etcd_debugging_store_watch_requests_total",
)
LATE_SECONDS = 5.0


@attrs.frozen
class Page:
    """
    What a member serves.

    :ivar types: of each metric.
    :ivar labels: the names of each one's labels, without a bucket's.
    :ivar bounds: of each histogram.
    :ivar samples: the value of each name with its labels.
    """

    types: dict[str, str]
    labels: dict[str, set[str]]
    bounds: dict[str, set[float]]
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def values(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        return {key[1]: value for key, value in self.samples.items() if key[0] == name}


def page_of(port: int) -> Page:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200
        kind = answer.getheader("Content-Type")
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
    finally:
        connection.close()
    page = Page({}, defaultdict(set), defaultdict(set), {})
    for line in text.splitlines():
        found = _TYPE.fullmatch(line)
        if found:
            page.types[found[1]] = found[2]
            continue
        found = _SAMPLE.fullmatch(line)
        if found:
            labels = dict(_LABEL.findall(found[2] or ""))
            key = found[1], tuple(sorted(labels.items()))
            page.samples[key] = float(found[3])
            name = found[1]
            for part in _PARTS:
                if name not in page.types:
                    name = found[1].removesuffix(part)
            if "le" in labels:
                page.bounds[name].add(float(labels.pop("le")))
            page.labels[name].update(labels)
    return page


def assert_alike(oracle: Page, subject: Page, prefix: str) -> set[str]:
    """Every metric of the subject's is one of etcd's, too; returns their names."""
    ours = {name for name in subject.types if name.startswith(prefix)}
    for name in ours:
        assert oracle.types.get(name) == subject.types[name], name
        assert oracle.labels[name] == subject.labels[name], name
        assert oracle.bounds[name] == subject.bounds[name], name
    return ours


def test_every_metric_has_etcds_type_labels_and_bounds(pair) -> None:
    every = row(
        "one of each",
        "PUT $/a value=1",
        "POST $/q value=1",
        "PUT $/a?prevExist=true value=2",
        "PUT $/a?prevValue=2 value=3",
        "GET $/a",
        "GET $?recursive=true",
        "HEAD $/a",
        "GET $/a?quorum=true",
        "GET $/no",
        "DELETE $/a?prevValue=3",
        "DELETE $/q?recursive=true",
    )
    assert pair.difference(every) == ""
    oracle, subject = (page_of(side.port) for side in pair.sides)
    ours = assert_alike(oracle, subject, "etcd_")
    assert_alike(oracle, subject, "process_")
    assert_alike(oracle, subject, "os_")
    if SUBJECT is Make.KVD:
        # Those of a member among others are compared below.
        expected = {each.name for each in (*ETCD, *PROCESS)}
        missing = expected - subject.types.keys()
        assert all(name.startswith("etcd_network_") for name in missing)
    assert len(ours) > 20


def test_what_a_member_says_of_itself_is_equal(pair) -> None:
    oracle, subject = (page_of(side.port) for side in pair.sides)
    for name in (
        "etcd_server_id",
        "etcd_server_version",
        "etcd_cluster_version",
        "etcd_server_has_leader",
        "etcd_server_is_leader",
        "etcd_server_is_learner",
        "etcd_server_leader_changes_seen_total",
        "etcd_server_proposals_pending",
        "etcd_server_proposals_failed_total",
        "etcd_server_snapshot_apply_in_progress_total",
    ):
        assert oracle.values(name) == subject.values(name), name


WATCHED = [
    row(
        "watches that are answered, that wait, that are too old",
        "PUT $/f value=1",
        "GET $/f?wait=true&waitIndex=@1",
        "w> GET $/f?wait=true",
        "v> GET $?wait=true&recursive=true&stream=true",
        "PUT $/f value=2",
        "w<",
        "1001 x PUT $/g value=3",
        "GET $/f?wait=true&waitIndex=1",
        "GET $/f?wait=true&quorum=true",
    ),
    row(
        "keys that end",
        "PUT $/f value=1&ttl=1",
        "PUT $/d dir=true&ttl=1",
        "PUT $/d/f value=1",
        "pause 1.8",
        "GET $/f",
    ),
    row("health", "GET /health", "GET /health?exclude=x&exclude=NOSPACE"),
]
ROWS = [*COUNTED, *WATCHED]


@pytest.mark.parametrize("counted", ROWS, ids=names(ROWS))
def test_counters_rise_by_the_same_requests(pair, counted) -> None:
    prefix = f"/v2/keys{pair.fresh_prefix()}"
    base = pair.align()
    before = [page_of(side.port) for side in pair.sides]
    risen = False
    try:
        list(pair.step_differences(counted.steps, prefix, base))
        for name in RISING:
            oracle, subject = (
                {
                    labels: rise
                    for labels, value in page_of(side.port).values(name).items()
                    if (rise := value - past.values(name).get(labels, 0))
                }
                for side, past in zip(pair.sides, before, strict=True)
            )
            assert oracle == subject, name
            risen = risen or bool(oracle)
        assert risen == ("refused while they are read" not in counted.name)
    finally:
        pair.close()


def test_watchers_are_those_that_wait(pair) -> None:
    prefix = f"/v2/keys{pair.fresh_prefix()}"
    watchers = "etcd_debugging_store_watchers"
    try:
        for step in (f"w> GET {prefix}/f?wait=true", f"v> GET {prefix}?wait=true"):
            for side in pair.sides:
                side.step(step)
        counts = [page_of(side.port).values(watchers)[()] for side in pair.sides]
        assert counts == [2, 2]
    finally:
        pair.close()


def test_variables_have_etcds_names_and_the_same_status(pair) -> None:
    documents = [json.loads(side.ask("GET", "/debug/vars").body) for side in pair.sides]
    assert list(documents[0]) == list(documents[1])
    if SUBJECT is Make.KVD:
        assert documents[1]["memstats"].keys() <= documents[0]["memstats"].keys()
    for document in documents:
        assert document["cmdline"][-1].endswith("config.json")
        assert document["file_descriptor_limit"] > 1000
    statuses = [document["raft.status"] for document in documents]
    assert list(statuses[0]) == list(statuses[1])
    for status in statuses:
        # Etcd writes down its reads and kvd does not, so positions are not the same.
        position = status.pop("commit")
        assert status.pop("applied") == position
        (progress,) = status["progress"].values()
        assert (progress.pop("match"), progress.pop("next")) == (position, position + 1)
        status.pop("term")
    assert statuses[0] == statuses[1]


PORT_ROWS = [
    row(
        "the port for metrics alone",
        "GET /health",
        "GET /health?exclude=NOSPACE",
        "HEAD /health",
        "PUT /health",
        "OPTIONS /health",
        "GET /",
        "GET /version",
        "GET /v2/keys/a",
        "PUT /v2/keys/a value=1",
        "GET //health",
        "GET /health/",
        "GET /config/local/log",
    )
]


def test_the_port_of_listen_metrics_urls_answers_as_etcds(oracle, tmp_path) -> None:
    ports = free_ports(2)
    servers = [
        lone_member(
            make,
            tmp_path / role,
            **{"listen-metrics-urls": f"http://{HOST}:{port}", "metrics": "extensive"},
        )
        for (role, make), port in zip(
            (("oracle", Make.ETCD), ("subject", SUBJECT)), ports, strict=True
        )
    ]
    try:
        for server in servers:
            start_all([server])
        pair = Pair(*(Side(port) for port in ports))
        for each in PORT_ROWS:
            assert next(pair.step_differences(each.steps), "") == ""
        for method in ("GET", "PUT", "HEAD"):
            heads = [side.ask(method, "/metrics") for side in pair.sides]
            assert heads[0].code == heads[1].code == 200
            assert heads[0].header("Content-Type") == heads[1].header("Content-Type")
        pair.close()
        assert_alike(*(page_of(port) for port in ports), "etcd_")
    finally:
        kill_all(servers)


def test_metrics_of_peers(make_clusters) -> None:
    pages = []
    for servers in make_clusters():
        leader_name = servers[0].leader_name()
        leader = next(each for each in servers if each.name == leader_name)
        gone = next(each for each in servers if each.name != leader_name)
        for each in servers:
            _wait_for(each, "etcd_network_peer_round_trip_time_seconds_count", "To", 2)
        followers = [each for each in servers if each.name != leader_name]
        told = [page_of(each.port) for each in (leader, *followers)]
        pages.append(told)
        for page in told:
            active = page.values("etcd_network_active_peers")
            assert list(active.values()) == [1, 1]
        gone.kill()
        _wait_for(leader, "etcd_network_disconnected_peers_total", "Remote", 1)
        _wait_for(leader, "etcd_network_peer_sent_failures_total", "To", 1)
        after = page_of(leader.port)
        pages.append([after])
        active = after.values("etcd_network_active_peers")
        assert sorted(active.values()) == [0, 1]
    half = len(pages) // 2
    seen: set[str] = set()
    for oracles, subjects in zip(pages[:half], pages[half:], strict=True):
        for oracle, subject in zip(oracles, subjects, strict=True):
            seen |= assert_alike(oracle, subject, "etcd_network_")
    if SUBJECT is Make.KVD:
        assert seen == {
            each.name for each in ETCD if each.name.startswith("etcd_network_")
        }


def _wait_for(server, name: str, label: str, count: int) -> None:
    """Until so many others are told of."""
    deadline = time.monotonic() + LATE_SECONDS
    while True:
        found = page_of(server.port).values(name)
        if sum(1 for labels, value in found.items() if value) >= count:
            assert all(label in dict(labels) for labels in found)
            return
        assert time.monotonic() < deadline, f"{server.make.value} does not tell {name}"
        time.sleep(0.05)
