"""HTTP by the name of a service: who is asked, and when somebody else is."""

import gc
import io

import attrs
import pytest
from treq.client import HTTPClient
from twisted.internet import defer, error
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kvd.client import Closed, TooMany, Unauthorized
from kvd.client.recipes import (
    LeastUsed,
    NoInstance,
    Outliers,
    ServiceAgent,
    ServiceRegistry,
)
from tests.client.cluster import A, FakeResponse, refusal, result
from tests.client.recipes.test_registry import happened, listed, node


class Redirected(FakeResponse):
    """One that may follow another."""

    def setPreviousResponse(self, response):
        self.previousResponse = response


@attrs.define(eq=False)
class Sent:
    """One request to an instance, and what the test makes of it."""

    method: bytes
    url: str
    headers: Headers | None
    body: IBodyProducer | None
    outcome: Deferred
    cancelled: bool = False

    def begin(self, code=200, **headers):
        response = Redirected(code, headers)
        self.outcome.callback(response)
        return response

    def refuse(self):
        self.outcome.errback(error.ConnectionRefusedError())

    def break_off(self):
        self.outcome.errback(ResponseNeverReceived([Failure(error.ConnectionLost())]))


@implementer(IAgent)
class Network:
    """In the place of Twisted's agent."""

    def __init__(self):
        self.sent = []

    def request(self, method, uri, headers=None, bodyProducer=None):
        def cancel(deferred):
            sent.cancelled = True
            # As if it had been cancelled while it connected.
            deferred.errback(error.ConnectError())

        sent = Sent(method, uri.decode(), headers, bodyProducer, Deferred(cancel))
        self.sent.append(sent)
        return sent.outcome

    @property
    def last(self):
        return self.sent[-1]

    @property
    def hosts(self):
        return [each.url.split("/")[2].partition(":")[0] for each in self.sent]


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def registry(cluster):
    return ServiceRegistry(cluster.client(A))


@pytest.fixture
def agent(registry, network):
    return ServiceAgent(registry, network)


def known(cluster, agent, *nodes):
    """A request that finds these instances; it is answered."""
    asked = agent.request(b"GET", b"service://web/")
    listed(cluster, *nodes)
    return asked


def asking(agent, path="/", method=b"GET", **more):
    return agent.request(method, b"service://web" + path.encode(), **more)


def test_a_request_waits_for_the_list_and_goes_to_an_instance(cluster, agent, network):
    headers = Headers({"X-A": ["b"]})
    asked = agent.request(b"PUT", b"service://web/a/%20b?c=d", headers)
    assert not network.sent
    listed(cluster, node("w1", 7, "10.0.0.1:80"))
    assert (network.last.method, network.last.url) == (
        b"PUT",
        "http://10.0.0.1:80/a/%20b?c=d",
    )
    assert network.last.headers == headers
    network.last.begin(201)
    assert result(asked).code == 201
    assert [each.id for each in agent.instances("web")] == ["w1"]
    assert agent.instances("other") == ()
    verifyObject(IAgent, agent)


def test_requests_take_turns(cluster, agent, network):
    known(cluster, agent, node("w1", 7), node("w2", 8))
    for _ in range(3):
        asking(agent)
    assert network.hosts == ["w1", "w2", "w1", "w2"]


def test_an_address_may_be_a_url_with_a_path(cluster, agent, network):
    known(cluster, agent, node("w1", 7, "https://w1.example/base/"))
    assert network.last.url == "https://w1.example/base/"
    asking(agent, "/x")
    assert network.last.url == "https://w1.example/base/x"


def test_other_urls_go_where_they_say(agent, network):
    agent.request(b"GET", b"http://elsewhere/a")
    assert network.last.url == "http://elsewhere/a"


def test_a_new_list_is_used_at_once(cluster, agent, network):
    known(cluster, agent, node("w1", 7))
    happened(cluster, "expire", node("w1", 51), 51)
    with pytest.raises(NoInstance, match="nobody serves web"):
        result(asking(agent))
    happened(cluster, "create", node("w2", 52), 52)
    asking(agent)
    assert network.hosts == ["w1", "w2"]


def test_what_was_certainly_not_sent_goes_to_another_one(cluster, agent, network):
    asked = known(cluster, agent, node("w1", 7), node("w2", 8), node("w3", 9))
    network.last.refuse()
    network.last.refuse()
    assert network.hosts == ["w1", "w2", "w3"]
    network.last.begin(200)
    assert result(asked).code == 200
    # Those that failed are left alone.
    asking(agent)
    asking(agent)
    assert network.hosts[3:] == ["w3", "w3"]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_what_may_have_been_sent_goes_nowhere_else(cluster, agent, network, method):
    known(cluster, agent, node("w1", 7), node("w2", 8))
    asked = asking(agent, method=method)
    network.last.break_off()
    with pytest.raises(ResponseNeverReceived):
        result(asked)
    assert network.hosts == ["w1", "w2"]


def test_the_last_ones_failure_is_told(cluster, agent, network):
    asked = known(cluster, agent, node("w1", 7), node("w2", 8))
    network.last.refuse()
    network.last.refuse()
    with pytest.raises(error.ConnectionRefusedError):
        result(asked)
    # Nobody is left: all are tried all the same.
    asking(agent)
    assert len(network.sent) == 3


def test_no_more_are_tried_than_allowed(cluster, registry, network):
    agent = ServiceAgent(registry, network, tries_max=2)
    asked = known(cluster, agent, *(node(f"w{each}", 7) for each in range(5)))
    network.last.refuse()
    network.last.refuse()
    with pytest.raises(error.ConnectionRefusedError):
        result(asked)
    assert len(network.sent) == 2


def test_a_body_goes_to_another_one_unless_it_was_begun(cluster, agent, network):
    known(cluster, agent, *(node(f"w{each}", 7) for each in range(4)))

    def body():
        return FileBodyProducer(io.BytesIO(b"x" * 10), cooperator=Reads())

    asked = asking(agent, method=b"POST", bodyProducer=body())
    network.last.refuse()
    assert network.last.body.length == 10
    network.last.body.startProducing(None)
    network.last.body.pauseProducing()
    network.last.body.resumeProducing()
    network.last.body.stopProducing()
    network.last.refuse()
    with pytest.raises(error.ConnectionRefusedError):
        result(asked)
    assert len(network.sent) == 3


class Reads:
    """A cooperator's and its task's side of a body that is never read."""

    def cooperate(self, _):
        return self

    def whenDone(self):
        return Deferred()

    def pause(self): ...

    def resume(self): ...

    def stop(self): ...


def test_one_that_says_that_it_cannot_is_left_alone(cluster, agent, network):
    asked = known(cluster, agent, node("w1", 7), node("w2", 8))
    network.last.begin(503)
    assert result(asked).code == 503
    for _ in range(3):
        asking(agent)
    assert network.hosts == ["w1", "w2", "w2", "w2"]
    cluster.clock.advance(1)
    asked = asking(agent)
    network.last.begin(404)
    asking(agent)
    asking(agent)
    assert network.hosts[4:] == ["w1", "w2", "w1"]


def test_one_that_is_silent_is_left_alone(cluster, registry, network):
    agent = ServiceAgent(registry, network, answer_seconds=3)
    asked = known(cluster, agent, node("w1", 7), node("w2", 8))
    cluster.clock.advance(3)
    with pytest.raises(defer.TimeoutError, match="within 3 s"):
        result(asked)
    assert network.last.cancelled
    asking(agent)
    asking(agent)
    # Not sent again: it may have been done.
    assert network.hosts == ["w1", "w2", "w2"]


def test_who_cancels_asks_nobody_else_and_blames_nobody(cluster, agent, network):
    known(cluster, agent, node("w1", 7), node("w2", 8))
    asked = asking(agent)
    asked.cancel()
    with pytest.raises(CancelledError):
        result(asked)
    assert network.last.cancelled
    assert network.hosts == ["w1", "w2"]
    asking(agent)
    asking(agent)
    assert network.hosts[2:] == ["w1", "w2"]


def test_the_least_used_is_used_until_its_answer_is_complete(
    cluster, registry, network
):
    agent = ServiceAgent(registry, network, picker=LeastUsed)
    client = HTTPClient(agent)
    first = known(cluster, agent, node("w1", 7), node("w2", 8))
    network.last.begin(200)
    kept = result(first)  # its body is not wanted yet
    second = client.get("service://web/", reactor=cluster.clock)
    texts = []
    second.addCallback(lambda answer: answer.text()).addCallback(texts.append)
    response = network.last.begin(200, **{"Content-Type": "text/plain"})
    response.piece(b"all ")
    asking(agent)
    network.last.begin(200)
    response.piece(b"of it")
    assert not texts
    response.end()
    assert texts == ["all of it"]
    asking(agent)
    assert network.hosts[:3] == ["w1", "w2", "w1"]
    assert network.hosts[3] == "w2", "one answer is complete"
    assert kept.code == 200


def test_an_answer_that_nobody_wants_does_not_count(cluster, registry, network):
    agent = ServiceAgent(registry, network, picker=LeastUsed)
    asked = known(cluster, agent, node("w1", 7), node("w2", 8))
    network.last.begin(200)
    result(asked)
    del asked
    network.sent.clear()
    gc.collect()
    loads = agent._services["web"].balancer._current()
    assert [each.in_flight for each in loads] == [0, 0]


def test_an_answer_without_a_body_is_complete(cluster, registry, network):
    agent = ServiceAgent(registry, network, picker=LeastUsed)
    asked = known(cluster, agent, node("w1", 7))
    response = FakeResponse(204, {})
    response.length = 0
    network.last.outcome.callback(response)
    answer = result(asked)
    loads = agent._services["web"].balancer._current()
    assert (answer.code, loads[0].in_flight) == (204, 0)


def test_treq_follows_a_redirection_to_the_instance_that_gave_it(
    cluster, agent, network
):
    client = HTTPClient(agent)
    asked = client.get("service://web/old?a=b", reactor=cluster.clock)
    listed(cluster, node("w1", 7, "10.0.0.1:80"), node("w2", 8, "10.0.0.2:80"))
    network.last.begin(302, Location="/new")
    assert network.last.url == "http://10.0.0.1:80/new"
    network.last.begin(200)
    answer = result(asked)
    assert (answer.code, answer.history()[0].code) == (200, 302)


def test_a_request_does_not_wait_for_ever_for_a_list(cluster, registry, network):
    agent = ServiceAgent(registry, network, ready_seconds=2)
    asked = asking(agent)
    cluster.clock.advance(2)
    with pytest.raises(NoInstance, match="not known yet"):
        result(asked)
    asked = asking(agent)
    listed(cluster, node("w1", 7))
    network.last.begin(200)
    assert result(asked).code == 200


def test_a_list_that_may_not_be_read_is_asked_for_again(cluster, agent, network):
    first, second = asking(agent), asking(agent)
    cluster.last.answer(401, refusal(110))
    for asked in (first, second):
        with pytest.raises(Unauthorized):
            result(asked)
    asking(agent)
    listed(cluster, node("w1", 7))
    assert network.hosts == ["w1"]


def test_requests_and_names_have_limits(cluster, registry, network):
    agent = ServiceAgent(registry, network, pending_max=2, services_max=1)
    asked = known(cluster, agent, node("w1", 7))
    with pytest.raises(TooMany, match="1 services"):
        result(agent.request(b"GET", b"service://other/"))
    asking(agent)
    with pytest.raises(TooMany, match="2 requests"):
        result(asking(agent))
    network.sent[0].begin(200)
    assert result(asked).code == 200
    asking(agent)
    assert len(network.sent) == 3


def test_an_agent_that_is_closed_follows_nothing(cluster, agent, network):
    known(cluster, agent, node("w1", 7))
    agent.close()
    assert cluster.last.cancelled
    asked = asking(agent)
    agent.close()
    with pytest.raises(Closed):
        result(asked)


def test_outliers_are_the_callers_choice(cluster, registry, network):
    agent = ServiceAgent(
        registry, network, outliers=Outliers(failures_max=2), failing=frozenset({500})
    )
    known(cluster, agent, node("w1", 7), node("w2", 8))
    network.last.begin(503)
    asking(agent)
    network.last.begin(500)
    asking(agent)
    network.last.begin(500)
    asking(agent)
    network.last.begin(500)
    asking(agent)
    assert network.hosts == ["w1", "w2", "w1", "w2", "w1"]


def test_an_agent_that_raises_is_a_failure_like_any_other(cluster, registry):
    @implementer(IAgent)
    class Broken:
        def request(self, *_):
            raise ValueError("no such port")

    agent = ServiceAgent(registry, Broken())
    asked = known(cluster, agent, node("w1", 7))
    with pytest.raises(ValueError, match="no such port"):
        result(asked)


def test_an_answer_that_is_there_at_once_is_taken(cluster, registry):
    @implementer(IAgent)
    class Quick:
        def request(self, *_):
            return succeed(FakeResponse(200, {}))

    agent = ServiceAgent(registry, Quick(), answer_seconds=1)
    assert result(known(cluster, agent, node("w1", 7))).code == 200
    assert not [each for each in cluster.clock.getDelayedCalls() if each.getTime() < 10]
