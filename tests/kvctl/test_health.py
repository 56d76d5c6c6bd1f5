"""kvctl cluster-health: the verdicts, and who is asked."""

import pytest

from kvd.kvctl import health
from kvd.kvctl.errors import BadAnswer, DeadlineExceeded, EndpointFailed
from kvd.kvctl.health import says_healthy, verdict
from tests.kvctl.answering import context_of, ended, run

WELL = {"health": "true"}
ILL = (503, {"health": "false"})
TWO = {
    "members": [
        {"id": "a", "clientURLs": ["http://a:1", "http://a:2"]},
        {"id": "b", "clientURLs": ["http://b:1"]},
    ]
}
REFUSED = EndpointFailed(
    "http://a:1", "dial tcp 10.0.0.1:1: connect: connection refused"
)


@pytest.mark.parametrize(
    ("healthy", "of", "said"),
    [
        (3, 3, "healthy"),
        (2, 3, "degraded"),
        (1, 3, "degraded"),
        (0, 3, "unavailable"),
        (0, 0, "healthy"),  # as etcdctl has it
    ],
)
def test_the_verdict(healthy, of, said):
    assert verdict(healthy, of=of) == f"cluster is {said}"


@pytest.mark.parametrize(
    ("body", "healthy"),
    [
        (b'{"health":"true"}', True),
        (b'{"health": true}', True),
        (b'{"health":"false"}\n', False),
        (b'{"health":false}', False),
        (b'{"health":"TRUE"}', False),
        (b'{"health":null}', False),
        (b"{}", False),
    ],
)
def test_what_an_answer_says(body, healthy):
    assert says_healthy(body) is healthy


@pytest.mark.parametrize("body", [b"", b"yes", b"[]", b'{"health":1}', b"[" * 99_999])
def test_an_answer_that_says_neither_is_none(body):
    with pytest.raises(BadAnswer):
        says_healthy(body)


def test_all_are_well():
    said = run("cluster-health", TWO, WELL, WELL)
    assert said.status == 0
    assert said.out == (
        "member a is healthy: got healthy result from http://a:1\n"
        "member b is healthy: got healthy result from http://b:1\n"
        "cluster is healthy\n"
    )
    assert [target for _, target, _ in said.asked] == [
        "/v2/members",
        "/health",
        "/health",
    ]


def test_the_first_url_that_answers_speaks_for_its_member():
    context = context_of("cluster-health", TWO, REFUSED, WELL, ILL)
    said = ended(context)
    assert said.status == 5
    assert said.out == (
        'failed to check the health of member a on http://a:1: Get "http://a:1/health": '
        "dial tcp 10.0.0.1:1: connect: connection refused\n"
        "member a is healthy: got healthy result from http://a:2\n"
        "member b is unhealthy: got unhealthy result from http://b:1\n"
        "cluster is degraded\n"
    )
    assert context.wire.endpoints[1:] == ["http://a:1", "http://a:2", "http://b:1"]
    assert context.wire.anonymous == [False, True, True, True]


def test_a_member_nobody_reaches_and_one_without_urls():
    document = {"members": [TWO["members"][0], {"id": "n"}]}
    said = run("cluster-health", document, DeadlineExceeded(), b"?")
    assert said.status == 5
    assert said.out.splitlines() == [
        (
            'failed to check the health of member a on http://a:1: Get "http://a:1/health": '
            "context deadline exceeded"
        ),
        (
            "failed to check the health of member a on http://a:2: "
            "invalid character '?' looking for beginning of value"
        ),
        "member a is unreachable: [http://a:1 http://a:2] are all unreachable",
        "member n is unreachable: no available published client urls",
        "cluster is unavailable",
    ]


def test_an_url_that_is_none_is_not_asked():
    said = run("cluster-health", {"members": [{"id": "a", "clientURLs": ["::"]}]})
    assert said.status == 5
    assert 'failed to check the health of member a on ::: Get "::/health": ' in said.out


def test_without_a_list_there_is_nobody_to_ask():
    said = run("cluster-health", REFUSED)
    assert said.status == 4
    assert said.out == "cluster may be unhealthy: failed to list members\n"
    assert said.err == (
        "Error:  client: etcd cluster is unavailable or misconfigured; error #0: dial "
        "tcp 10.0.0.1:1: connect: connection refused\n\n"
        "error #0: dial tcp 10.0.0.1:1: connect: connection refused\n\n"
    )
    said = run("cluster-health", (404, b""))
    assert (said.status, said.err) == (4, "Error:  unexpected status code 404\n")


def interrupted_after(rounds, pauses):
    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == rounds:
            raise KeyboardInterrupt

    return pause


def test_forever_looks_again_until_it_is_interrupted():
    pauses = []
    context = context_of("cluster-health -f", TWO, WELL, ILL, ILL, ILL)
    said = ended(context, health.run, pause=interrupted_after(2, pauses))
    assert (said.status, pauses) == (0, [10, 10])
    between = "\nnext check after 10 second...\n\n"
    first, second, rest = said.out.split(between)
    assert first.endswith("cluster is degraded\n")
    assert second.endswith("cluster is unavailable\n")
    assert rest == ""


def test_an_interruption_is_the_end_of_forever_alone():
    with pytest.raises(KeyboardInterrupt):
        run("cluster-health", KeyboardInterrupt())
    assert run("cluster-health --forever", KeyboardInterrupt()).status == 0
