"""Connections that are kept, and what is asked on them; the rest has real servers."""

from __future__ import annotations

import pytest

from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import DeadlineExceeded, EndpointFailed
from kvd.kvctl.wire import IDLE_MAX, Answer, Request, Settings, Wire, curl


class Connection:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def wire(**options):
    return Wire(
        Settings(request_seconds=2.0, dial_seconds=5.0, body_bytes_max=100), **options
    )


def test_no_more_connections_are_kept_than_may_and_the_oldest_goes_first():
    keeping = wire()
    made = [Connection() for _ in range(IDLE_MAX + 2)]
    for number, each in enumerate(made):
        keeping._keep(endpoint_of(f"http://m{number}:1"), each)
    assert [each.closed for each in made] == [True, True] + [False] * IDLE_MAX
    keeping.close()
    assert all(each.closed for each in made)


def test_when_the_time_is_over_nobody_is_asked_but_it_is_told():
    told = []
    asking = wire(tell=told.append, clock=lambda: 10.0)
    with pytest.raises(DeadlineExceeded):
        asking.ask(endpoint_of("http://m1:1"), Request("GET", "/v2/keys/a"), 10.0)
    assert told == ["cURL Command: curl -X GET http://m1:1/v2/keys/a"]


class Referring(Wire):
    """Says of each request that another place is to be asked."""

    def __init__(self, location):
        super().__init__(Settings(2.0, 5.0, 100))
        self.location = location

    def _ask_once(self, endpoint, request, deadline):
        return Answer(endpoint.url, 307, {"location": self.location}, b"")


@pytest.mark.parametrize(
    "location",
    ["/v2/keys/\xe9", "http://m2:1/\xe9", "/a b", "/a\x1b[31m", "http://m2:x/"],
)
def test_a_redirect_that_cannot_be_followed_is_the_endpoints_failure(location):
    with pytest.raises(EndpointFailed) as caught:
        Referring(location).ask(endpoint_of("http://m1:1"), Request("GET", "/"), None)
    assert str(caught.value).startswith("location header not valid URL: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, ""),
        (b"", ' -d ""'),
        (b"value=a+b&ttl=5", ' -d "value=a+b&ttl=5"'),
        (b'{"a":"\xc3\xa9\xff"}', ' -d "{\\"a\\":\\"é\\xff\\"}"'),
    ],
)
def test_a_request_is_shown_as_curls_command_line(body, shown):
    request = Request("PUT", "/v2/keys/a", body)
    line = f"cURL Command: curl -X PUT http://m1:1/v2/keys/a{shown}"
    assert curl(endpoint_of("http://m1:1/"), request) == line
