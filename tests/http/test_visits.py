"""Requests that no connection brings, and visitors who go while they are told."""

from __future__ import annotations

from kvd.http.entrance import Entrance
from kvd.http.visits import Asked, Visit, header_lines
from tests.http.accounts import basic, guard


class Visitor:
    """Remembers what it is told; ``then`` is done as it is told something."""

    def __init__(self, target, then=lambda _: None, fields=()):
        self.said = []
        self.then = then
        head = [(b"Host", b"x"), *fields]
        self.visit = Visit(Asked(method=b"GET", target=target, fields=head), self)

    def _told(self, *what):
        self.said.append(what)
        self.then(self)

    def answered(self, answer, cors):
        self._told("answered", answer.status)

    def began(self, status, headers, cors):
        self._told("began", status)

    def told(self, piece):
        self._told("told", piece.count(b"action"))

    def ended(self):
        self._told("ended")

    def refused(self, why):
        self._told("refused", why)

    def cut_off(self):
        self._told("cut off")


def test_a_visitor_may_go_as_it_is_told_that_it_began(port):
    for then in ([b"began"], [b"told"]):
        word = then[0].decode()
        visitor = Visitor(
            b"/v2/keys/?wait=true&stream=true&recursive=true",
            lambda who, word=word: who.said[-1][0] == word and who.visit.leave(),
        )
        port.site.enter(visitor.visit)
        port.request("PUT", "/v2/keys/a", "value=1")
        assert port.site.watches.open_now == 0
        assert visitor.said[-1][0] == word
        assert not port.site.visits


def test_a_stream_that_would_begin_while_the_port_drains_ends_at_once(port):
    guard(port)  # whose look at a password takes a while
    name, _, value = basic("root").encode().partition(b": ")
    visitor = Visitor(b"/v2/keys/a?wait=true&stream=true", fields=[(name, value)])
    port.site.enter(visitor.visit)
    drained = port.site.drain(5)
    assert not drained.called
    port.settle()
    assert visitor.said == [("began", 200), ("ended",)]
    assert drained.called


def test_one_visitor_may_send_another_one_away(make_port):
    for door_of in (lambda port: port.site, lambda _: Entrance(waiting_max=5)):
        port = make_port(is_open=False)
        door = door_of(port)
        second = Visitor(b"/v2/keys/?quorum=true")
        first = Visitor(b"/v2/keys/", lambda _, second=second: second.visit.leave())
        for visitor in (first, second):
            door.enter(visitor.visit)
        port.site.open_for_business()
        if door is not port.site:
            door.lead_to(port.site)
        assert first.said == [("answered", 200)]
        assert second.said == []
        assert not port.member.reads
        assert not port.site.visits


def test_who_is_gone_is_told_nothing_more(port):
    visitor = Visitor(b"/v2/keys/?quorum=true")
    port.site.enter(visitor.visit)
    visitor.visit.leave()
    visitor.visit.leave()
    visitor.visit.refuse("no")
    visitor.visit.abort()
    visitor.visit.send(b"piece")
    visitor.visit.end(b"piece")
    port.settle()
    assert visitor.said == []
    assert port.member.cancelled == 1


def test_the_lines_of_a_head_are_names_and_values():
    head = b"A: b\r\nC: d: e\r\nEmpty: \r\n"
    assert header_lines(head) == [(b"A", b"b"), (b"C", b"d: e"), (b"Empty", b"")]
