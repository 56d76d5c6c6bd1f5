"""What is read out of a member's answers, of kvd and of etcd."""

from __future__ import annotations

import pytest

from kvd.kvctl.observing import (
    CannotAsk,
    Member,
    Observer,
    members_of,
    metrics_of,
    unreachable,
)
from tests.kvctl.looks import Endpoints, member, said

URL = "http://m1"
METRICS = b"""\
# HELP etcd_http_received_total Counter
# TYPE etcd_http_received_total counter
etcd_http_received_total{method="GET"} 5
etcd_http_received_total{method="PUT"} 7
# TYPE kvd_version gauge
kvd_version{version="0.1.0"} 1.0
# TYPE kvd_follower_lag_entries gauge
kvd_follower_lag_entries{To="b"} 4
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 6.9e+07
"""
ANSWERS = {
    (URL, "/health"): said({"health": "true"}),
    (URL, "/debug/vars"): said(
        {
            "raft.status": {
                "term": 2,
                "lead": "a1",
                "raftState": "StateLeader",
                "commit": 12,
                "applied": 11,
                "progress": {"b": {"match": 10}, "a1": {"match": 12}, "c": 1},
            }
        }
    ),
    (URL, "/metrics"): said(METRICS),
    (URL, "/version"): said({"etcdserver": "3.4.23", "etcdcluster": "3.4.0"}),
    (URL, "/v2/members"): said({"members": []}, **{"X-Etcd-Cluster-Id": "cafe"}),
    (URL, "/v2/stats/self"): said({"id": "a1", "name": "m1"}),
}


def observed(changes=None, without=()):
    answers = {**ANSWERS, **{(URL, target): a for target, a in (changes or {}).items()}}
    for target in without:
        del answers[URL, target]
    observer = Observer(Endpoints(answers).look, lambda: 7.0)
    return observer.observe(member("m1"), URL)


def test_a_member_that_tells_all_is_seen_whole():
    seen = observed()
    assert (seen.healthy, seen.state, seen.leader) == (True, "leader", "a1")
    assert (seen.term, seen.commit, seen.applied) == (2, 12, 11)
    assert seen.lags == {"b": 2, "a1": 0}
    assert (seen.version, seen.own_version, seen.cluster_id) == (
        "3.4.23",
        "0.1.0",
        "cafe",
    )
    assert (seen.endpoint, seen.trouble, seen.at_seconds) == (URL, "", 7.0)
    assert seen.answers


def test_metrics_are_found_by_name_and_labels():
    seen = observed()
    assert seen.metric("etcd_http_received_total", method="PUT") == 7
    assert seen.total("etcd_http_received_total", method=("GET", "PUT", "POST")) == 12
    assert seen.total("etcd_http_received_total", method=("POST",)) == 0
    assert seen.labelled("kvd_follower_lag_entries", "To") == {"b": 4}
    assert seen.whole("process_resident_memory_bytes") == 69_000_000
    assert seen.whole("kvd_store_index") is None


def test_without_metrics_there_are_no_sums():
    seen = observed({"/metrics": said(b"", 404)})
    assert seen.total("etcd_http_received_total", method=("GET",)) is None
    assert seen.trouble == "http://m1/metrics: status 404"
    assert seen.answers
    assert seen.version == "3.4.23"


def test_a_member_without_any_answer_does_not_answer():
    seen = observed(without=[target for _, target in ANSWERS])
    assert not seen.answers
    assert seen.trouble == "http://m1/health: connection refused"


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        (said({"health": "true"}), True),
        (said(b'{"health": "true"}'), True),
        (said({"health": True}), True),
        (said(b'{"health":"false"}\n', 503), False),
        (said(b"", 503), False),
        (said([]), False),
    ],
)
def test_health_is_what_any_version_of_etcd_calls_so(answer, healthy):
    assert observed({"/health": answer}).healthy is healthy


def test_what_a_member_does_not_tell_is_none():
    seen = observed({"/debug/vars": said({}), "/health": said(b"", 404)})
    assert (seen.healthy, seen.state, seen.leader, seen.term) == (None,) * 4
    assert seen.lags == {}


def test_nobody_leads_is_told_from_not_known():
    status = {"raft.status": {"lead": "0", "raftState": "StateCandidate", "term": "x"}}
    seen = observed({"/debug/vars": said(status)})
    assert (seen.leader, seen.state, seen.term) == ("", "candidate", None)


@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
def test_an_answer_of_something_else_is_trouble(body):
    assert "not a JSON object" in observed({"/version": said(body)}).trouble


def test_text_that_is_no_metrics_is_none():
    assert metrics_of("<html>{") == {}


def test_an_endpoint_says_which_member_it_is():
    assert Observer(Endpoints(ANSWERS).look, float).identified(URL) == "a1"
    for other in (said({}), said({"id": 5}), said(b"", 500)):
        answers = {(URL, "/v2/stats/self"): other}
        with pytest.raises(CannotAsk):
            Observer(Endpoints(answers).look, float).identified(URL)


def test_the_list_of_members_is_read():
    body = (
        b'{"members":[{"id":"a1","name":"","peerURLs":["http://p"],"clientURLs":[]}]}\n'
    )
    (found,) = members_of(body)
    assert found == Member(member_id="a1", name="", peer_urls=("http://p",))
    assert (found.started, found.shown) == (False, "a1")
    for bad in (b"{}", b"[]", b'{"members":[{}]}', b'{"members":5}', b"x"):
        with pytest.raises(ValueError):
            members_of(bad)


@pytest.mark.parametrize(
    ("who", "trouble"),
    [
        (member("m1"), "refused; timed out"),
        (member("", member_id="a"), "it has not been started yet"),
        (member("m1", client_urls=()), "it has published no client URLs"),
    ],
)
def test_why_a_member_cannot_be_asked_is_told(who, trouble):
    seen = unreachable(who, ["refused", "timed out"], at_seconds=1.0)
    assert (seen.trouble, seen.answers) == (trouble, False)
    assert unreachable(member("m1"), [], at_seconds=0).trouble == "it does not answer"
