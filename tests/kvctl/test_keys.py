"""Commands on keys: what is asked, and how answers are shown."""

from __future__ import annotations

import pytest

from kvd.kvctl.errors import AllFailed, EndpointFailed
from kvd.kvctl.node import quoted
from kvd.kvctl.watching import run_for_each
from tests.kvctl.answering import URL, context_of, ended, run

FILE = {
    "action": "set",
    "node": {"key": "/a", "value": "1", "modifiedIndex": 9, "createdIndex": 8},
}


def event(**fields):
    return FILE | fields


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("set /a 1", ("PUT", "/v2/keys/a", "value=1")),
        ("set a 1", ("PUT", "/v2/keys/a", "value=1")),
        ("set --ttl 5 /a 1", ("PUT", "/v2/keys/a", "ttl=5&value=1")),
        ("set --ttl -5 /a 1", ("PUT", "/v2/keys/a", "value=1")),
        (
            "set --swap-with-value x&y --swap-with-index 7 /a 1",
            ("PUT", "/v2/keys/a?prevIndex=7&prevValue=x%26y", "value=1"),
        ),
        ("mk /a 1", ("PUT", "/v2/keys/a?prevExist=false", "value=1")),
        ("mk --in-order --ttl 5 /a 1", ("POST", "/v2/keys/a", "ttl=5&value=1")),
        ("update /a 1", ("PUT", "/v2/keys/a?prevExist=true", "value=1")),
        ("mkdir /a", ("PUT", "/v2/keys/a?dir=true&prevExist=false", "")),
        ("setdir --ttl 5 /a", ("PUT", "/v2/keys/a?dir=true", "ttl=5")),
        ("updatedir /a", ("PUT", "/v2/keys/a?dir=true&prevExist=true", "")),
        ("rm /a", ("DELETE", "/v2/keys/a", "")),
        (
            "rm --dir -r --with-value x --with-index 3 /a",
            (
                "DELETE",
                "/v2/keys/a?dir=true&prevIndex=3&prevValue=x&recursive=true",
                "",
            ),
        ),
        ("rmdir /a", ("DELETE", "/v2/keys/a?dir=true", "")),
        (
            "get -q /a",
            ("GET", "/v2/keys/a?quorum=true&recursive=false&sorted=false", ""),
        ),
        (
            "ls -r --sort /a/",
            ("GET", "/v2/keys/a/?quorum=false&recursive=true&sorted=true", ""),
        ),
        ("ls", ("GET", "/v2/keys/?quorum=false&recursive=false&sorted=false", "")),
        (
            "watch --after-index 7 /a",
            ("GET", "/v2/keys/a?recursive=false&wait=true&waitIndex=8", ""),
        ),
        ("watch /a", ("GET", "/v2/keys/a?recursive=false&wait=true&waitIndex=0", "")),
    ],
)
def test_each_command_is_one_request(line, asked):
    done = run(line, FILE)
    assert done.status == 0
    assert done.asked == [asked]


def test_a_value_that_is_not_given_is_read_as_it_is():
    done = run("set /a", FILE, stdin=b"two\nlines \xff\n")
    assert done.asked == [("PUT", "/v2/keys/a", "value=two%0Alines+%FF%0A")]


def test_a_refusal_is_shown_with_code_cause_and_index():
    refusal = {"errorCode": 105, "message": "Key already exists", "cause": "/a"}
    done = run("mk /a 1", (412, refusal | {"index": 7}))
    assert (done.status, done.out) == (4, "")
    assert done.err == "Error:  105: Key already exists (/a) [7]\n"


def test_when_nobody_answers_everybody_is_named():
    done = run("get /a", AllFailed([EndpointFailed(URL, "EOF")]))
    assert done.status == 4
    unavailable = "client: etcd cluster is unavailable or misconfigured"
    assert done.err == (f"Error:  {unavailable}; error #0: EOF\n\nerror #0: EOF\n\n")


def deep(levels):
    before, after = '{"key":"/k","dir":true,"nodes":[', "]}"
    node = f'{before * levels}{{"key":"/k","value":"v"}}{after * levels}'
    return f'{{"action":"get","node":{node}}}'.encode()


def test_directories_in_each_other_are_listed_up_to_a_depth_and_then_refused():
    done = run("ls -r /", deep(300))
    assert (done.status, done.out) == (0, "/k\n" * 300)
    done = run("ls -r /", deep(100_000))
    assert (done.status, done.out) == (4, "")
    assert done.err == (
        "Error:  client: an answer with more directories in each other "
        "than can be read\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"not json",
        b'{"action":"get"}',
        b'{"action":"get","node":[]}',
        b'{"action":"get","node":{"nodes":[[]]}}',
        b'{"action":"get","node":{"key":5}}',
        b'{"action":"get","node":{"ttl":"soon"}}',
        b'{"node":{"nodes":5}}',
        b'{"action":"get","node":{"key":"/a","createdIndex":1e999}}',
    ],
)
def test_an_answer_that_no_server_gives_is_an_error_and_no_traceback(body):
    done = run("get /a", body)
    assert done.status == 4
    assert done.err.startswith("Error:  client: response ")


def test_a_refusal_that_no_server_gives_is_an_error_and_no_traceback():
    done = run("get /a", (404, b'{"errorCode":1e999,"message":"x"}'))
    assert done.status == 4
    assert done.err.startswith("Error:  client: response is invalid json")


def test_a_watch_goes_on_behind_the_last_change_and_passes_by_directories():
    directory = event(node={"key": "/a/d", "dir": True, "modifiedIndex": 20})
    done = run("watch -r --after-index 7 /a", directory, FILE)
    assert done.out == "[set] /a\n1\n"
    assert [target.partition("waitIndex=")[2] for _, target, _ in done.asked] == [
        "8",
        "21",
    ]


def test_a_watch_that_ends_without_a_change_is_begun_again():
    done = run("watch /a", b"", FILE)
    assert (done.status, done.out) == (0, "1\n")


def test_ctrl_c_ends_a_watch_well():
    done = run("watch -f /a", FILE, KeyboardInterrupt())
    assert (done.status, done.out, done.err) == (0, "1\n", "")


def test_a_watch_ends_with_what_it_has_missed():
    outdated = {
        "errorCode": 401,
        "message": "The event in requested index is outdated and cleared",
        "cause": "the requested history has been cleared [10/8]",
        "index": 1009,
    }
    done = run("watch -f --after-index 7 /a", (400, outdated))
    assert done.status == 4
    assert done.err.startswith("Error:  401: The event in requested index is")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", '"a"'),
        ('<&> "\\\n', '"\\u003c\\u0026\\u003e \\"\\\\\\n"'),
        ("\\b\b", '"\\\\b\\u0008"'),
        ("\u2028é", '"\\u2028é"'),
        ("\udcff\ud800", '"\\ufffd\\ufffd"'),
    ],
)
def test_json_is_written_as_go_writes_it(text, shown):
    assert quoted(text) == shown


def test_an_expiration_is_shown_as_the_server_wrote_it():
    node = FILE["node"] | {"expiration": "2030-01-02T03:04:05.6Z", "ttl": 7}
    context = context_of("set /a 1", {"action": "set", "node": node, "prevNode": None})
    context._values["output"] = "json"
    assert ended(context).out == (
        '{"action":"set","node":{"key":"/a","value":"1","nodes":null,'
        '"createdIndex":8,"modifiedIndex":9,'
        '"expiration":"2030-01-02T03:04:05.6Z","ttl":7},"prevNode":null}\n'
    )


class Process:
    """One that ends when it is waited for."""

    def __init__(self, order):
        self._order = order
        self.ended = False

    def poll(self):
        return 0 if self.ended else None

    def wait(self):
        self._order.append(self)
        self.ended = True


def test_no_more_commands_run_at_a_time_than_may_and_the_oldest_is_waited_for():
    waited, started = [], []

    def start(*_):
        started.append(Process(waited))
        return started[-1]

    context = context_of("exec-watch /a true", *[FILE] * 4, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_for_each(context, "/a", ["true"], running_max=2, start=start)
    assert len(started) == 4
    assert waited == started[:2]


def test_a_value_that_no_environment_can_hold_is_an_error():
    node = FILE["node"] | {"value": "a\0b"}
    done = run("exec-watch /a true", event(node=node))
    assert done.status == 1
    assert done.err == "a value with a NUL in it cannot be given to a command\n"


def test_a_change_of_a_directory_runs_nothing():
    directory = event(node={"key": "/a/d", "dir": True, "modifiedIndex": 20})
    done = run("exec-watch -r /a true", directory, KeyboardInterrupt())
    assert (done.status, done.err) == (0, "Ignored dir /a/d change\n")
