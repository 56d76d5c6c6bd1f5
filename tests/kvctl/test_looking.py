"""Members are found and looked at whoever of them answers."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future

import pytest

from kvd.kvctl import looking as looking_module
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.looking import Looking, NobodyAnswers, Wires
from kvd.kvctl.observing import CannotAsk
from kvd.kvctl.wire import Answer, Settings
from tests.kvctl.looks import Endpoints, said

M1, M2, M3, PROXY = (f"http://10.0.0.{number}:2379" for number in (1, 2, 3, 9))
LIST = {
    "members": [
        {"id": "a1", "name": "m1", "peerURLs": ["http://p1"], "clientURLs": [M1]},
        {"id": "a2", "name": "m2", "peerURLs": ["http://p2"], "clientURLs": [M2]},
        {"id": "a3", "name": "", "peerURLs": ["http://p3"], "clientURLs": []},
    ]
}


class InTurn(Executor):
    """One after the other, here and now."""

    def submit(self, job, /, *arguments):
        future = Future()
        future.set_result(job(*arguments))
        return future


def answers_of(url, member_id):
    return {
        (url, "/v2/members"): said(LIST),
        (url, "/v2/stats/self"): said({"id": member_id}),
        (url, "/health"): said({"health": "true"}),
        (url, "/debug/vars"): said({}),
        (url, "/metrics"): said(b""),
        (url, "/version"): said({"etcdserver": "3.4.23"}),
    }


def looking(answers, *given):
    endpoints = [endpoint_of(url) for url in given]
    return Looking(endpoints, Endpoints(answers), InTurn(), clock=lambda: 1.0)


def observed(answers, *given):
    look = looking(answers, *given)
    return look.observe(look.find())


def test_every_member_of_the_list_is_seen_through_its_own_url():
    seen = observed(answers_of(M1, "a1") | answers_of(M2, "a2"), M1)
    assert [(each.member.shown, each.endpoint) for each in seen] == [
        ("m1", M1),
        ("m2", M2),
        ("a3", ""),
    ]
    assert seen[2].trouble == "it has not been started yet"


def test_the_first_endpoint_that_answers_lists_them():
    seen = observed(answers_of(M2, "a2"), M1, M2)
    assert [each.answers for each in seen] == [False, True, False]
    assert seen[0].trouble == f"{M1}/v2/stats/self: connection refused"


def test_an_endpoint_that_no_member_publishes_is_a_way_to_it_all_the_same():
    inside = "http://192.168.0.1:2379"
    seen = observed(answers_of(inside, "a1"), inside)
    assert [each.endpoint for each in seen] == [inside, "", ""]


def test_a_proxy_stands_for_the_member_that_it_asked_unless_that_answers_itself():
    found = looking(answers_of(PROXY, "a1") | answers_of(M1, "a1"), PROXY).find()
    assert found.endpoints == {"a1": M1}


def test_when_nobody_answers_it_is_told_what_each_said():
    with pytest.raises(NobodyAnswers) as raised:
        looking({(M2, "/v2/members"): said(b"", 404)}, M1, M2, M3).find()
    assert raised.value.troubles == {
        M1: f"{M1}/v2/members: connection refused",
        M2: "status 404",
        M3: f"{M3}/v2/members: connection refused",
    }


def test_what_is_no_list_of_members_is_trouble():
    for body in (b"<html>", b"{}", json.dumps({"members": []}).encode()):
        with pytest.raises(NobodyAnswers):
            looking({(M1, "/v2/members"): said(body)}, M1).find()


def test_an_endpoint_that_cannot_be_read_cannot_be_asked():
    wires = Wires(Settings(1.0, 1.0, 100), total_seconds=1.0)
    with pytest.raises(CannotAsk, match="first path segment"):
        wires.look("127.0.0.1:2", "/health")
    with pytest.raises(CannotAsk, match="unsupported protocol"):
        wires.look("ftp://127.0.0.1:2", "/health")


def test_a_member_that_is_looked_at_is_not_told_who_asks(monkeypatch):
    asked = []

    class Asking(looking_module.Wire):
        def _ask_once(self, endpoint, request, deadline):
            asked.append(request)
            return Answer(endpoint.url, 200, {}, b"")

    monkeypatch.setattr(looking_module, "Wire", Asking)
    Wires(Settings(1.0, 1.0, 100), total_seconds=1.0).look(M1, "/health")
    assert [each.anonymous for each in asked] == [True]
