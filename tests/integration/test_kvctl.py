"""kvctl as a program: its signals, pipes, bytes and children, beside etcdctl's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvd.testing.servers import Make, kill_all, lone_member, missing_tools, start_all
from tests.conformance.oddserver import odd_server
from tests.conformance.programs import COMMAND_SECONDS, PATIENTLY
from tests.integration.conftest import require

PROGRAMS = {
    "etcdctl": ["etcdctl"],
    "kvctl": [str(Path(sys.executable).parent / "kvctl")],
}
SHOW = 'echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = lone_member(Make.KVD, tmp_path_factory.mktemp("alone"))
    made.options["advertise-client-urls"] = made.url
    made.options["listen-client-urls"] += ",unix://localhost:2379"
    try:
        start_all([made])
        yield made
    finally:
        kill_all([made])


@pytest.fixture(params=PROGRAMS)
def program(request):
    """The words that start it; what it does may differ from the other's in no test."""
    if request.param == "etcdctl":
        require(not missing_tools("etcdctl"), "etcdctl (Debian: etcd-client)")
    return PROGRAMS[request.param]


@pytest.fixture
def key(request):
    """A key of the test's own."""
    return "/" + request.node.name.replace("[", "-").strip("]")


def started(program, server, *words, **options):
    return subprocess.Popen(
        [*program, *PATIENTLY, "--endpoints", server.url, *words],
        env={**os.environ, "ETCDCTL_API": "2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(program, server, *words, stdin=b""):
    return subprocess.run(
        [*program, *PATIENTLY, "--endpoints", server.url, *words],
        env={**os.environ, "ETCDCTL_API": "2"},
        input=stdin,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def watchers(server):
    return int(server.ask("/v2/stats/store")[2].partition(b'"watchers":')[2][:-1])


def wait_watchers(server, count):
    deadline = time.monotonic() + COMMAND_SECONDS
    while watchers(server) != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def put(server, key, value):
    assert server.ask(f"/v2/keys{key}", "PUT", f"value={value}")[0] in {200, 201}


def test_a_watch_shows_each_change_at_once_and_ends_well_with_ctrl_c(
    program, server, key
):
    with started(program, server, "watch", "-f", "-r", key) as watch:
        try:
            wait_watchers(server, 1)
            put(server, f"{key}/a", "1")
            assert watch.stdout.readline() == f"[set] {key}/a\n".encode()
            assert watch.stdout.readline() == b"1\n"
            wait_watchers(server, 1)
            put(server, f"{key}/b", "2")
            assert watch.stdout.readline() == f"[set] {key}/b\n".encode()
            assert watch.stdout.readline() == b"2\n"
            wait_watchers(server, 1)
            watch.send_signal(signal.SIGINT)
            out, err = watch.communicate(timeout=COMMAND_SECONDS)
        finally:
            watch.kill()
    assert (watch.returncode, out, err) == (0, b"", b"")
    wait_watchers(server, 0)


def test_exec_watch_runs_its_command_for_each_change(program, server, key):
    words = ["exec-watch", "-r", key, "--", "sh", "-c", SHOW]
    with started(program, server, *words) as watch:
        try:
            wait_watchers(server, 1)
            put(server, f"{key}/a", "1")
            assert watch.stdout.readline() == f"set {key}/a 1\n".encode()
            wait_watchers(server, 1)
            server.ask(f"/v2/keys{key}/d?dir=true", "PUT", "ttl=")
            assert watch.stderr.readline() == f"Ignored dir {key}/d change\n".encode()
            wait_watchers(server, 1)
            put(server, f"{key}/b", "2")
            assert watch.stdout.readline() == f"set {key}/b 2\n".encode()
            wait_watchers(server, 1)
            watch.send_signal(signal.SIGINT)
            out, err = watch.communicate(timeout=COMMAND_SECONDS)
        finally:
            watch.kill()
    assert (watch.returncode, out, err) == (0, b"", b"")


@pytest.mark.parametrize(
    "words",
    ["{key} sh -c", "{key} -- sh -c", "-- {key} sh -c", "--after-index=1 {key} sh -c"],
    ids=["bare", "inner", "before", "flag"],
)
def test_exec_watch_takes_its_words_as_its_help_says(server, key, words):
    """etcdctl 3.4.23 takes the last one for the key here."""
    words = [*words.format(key=key).split(), SHOW]
    with started(PROGRAMS["kvctl"], server, "exec-watch", *words) as watch:
        try:
            if "--after-index=1" not in words:
                wait_watchers(server, 1)
            put(server, key, "1")
            assert watch.stdout.readline() == f"set {key} 1\n".encode()
        finally:
            watch.kill()
    wait_watchers(server, 0)


def test_a_command_that_is_not_there_ends_exec_watch(program, server, key):
    put(server, key, "1")
    after = f"--after-index={server.etcd_index() - 1}"
    done = run(program, server, "exec-watch", after, "-r", key, "--", "no-such-program")
    assert done.returncode == 1
    text = b'exec: "no-such-program": executable file not found in $PATH'
    assert done.stderr.strip() == text


def test_ctrl_c_ends_a_command_that_waits_without_a_word():
    words = ["--timeout", "0", "--total-timeout", "1h", "--no-sync", "get", "/a"]
    with (
        odd_server() as url,
        started(PROGRAMS["kvctl"], _At(f"{url}/never"), *words) as get,
    ):
        try:
            time.sleep(0.5)  # it is no matter how far it has come, even not at all
            while get.poll() is None:
                get.send_signal(signal.SIGINT)
                time.sleep(0.1)
            assert get.returncode in {130, -signal.SIGINT}
        finally:
            get.kill()


class _At:
    """Something with a URL."""

    def __init__(self, url):
        self.url = url


def test_a_pipe_that_nobody_reads_ends_it_without_a_word(program, server, key):
    for number in range(50):
        put(server, f"{key}/{number}/{'long' * 50}/{'x' * 200}", "1")
    for words in (["ls", "-r", key], ["-o", "json", "ls", "-r", key]):
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen(
            [*program, *PATIENTLY, "--endpoints", server.url, *words],
            env={**os.environ, "ETCDCTL_API": "2"},
            stdout=writing,
            stderr=subprocess.PIPE,
        ) as listing:
            os.close(writing)
            assert listing.wait(COMMAND_SECONDS) == -signal.SIGPIPE
            assert listing.stderr.read() == b""


def test_bytes_that_are_no_utf8_arrive_as_they_are(program, server, key):
    odd = b"\xff\xfe \xc3"
    for stdin, words in ((b"", [key, odd]), (odd, [key])):
        assert run(program, server, "set", *words, stdin=stdin).returncode == 0
        wrong = run(program, server, "set", "--swap-with-value", odd[:2], key, "x")
        assert b"101: Compare failed" in wrong.stderr
        right = run(program, server, "set", "--swap-with-value", odd, key, "text")
        assert (right.returncode, right.stdout) == (0, b"text\n")


def test_keys_may_be_bytes_that_are_no_utf8(program, server, key):
    odd = key.encode() + b"/\xff"
    assert run(program, server, "set", odd, "1").returncode == 0
    assert run(program, server, "get", odd).stdout == b"1\n"
    assert run(program, server, "ls", key).stdout == key.encode() + "/\ufffd\n".encode()


def test_an_answer_that_is_too_long_is_an_error_and_no_more(server, key):
    put(server, key, "x" * 2000)
    done = run(PROGRAMS["kvctl"], server, "--answer-bytes-max", "1000", "get", key)
    assert done.returncode == 4
    assert done.stdout == b""
    assert done.stderr.decode() == (
        "Error:  client: an answer of more than 1000 bytes "
        "(--answer-bytes-max allows more)\n"
    )


@pytest.mark.parametrize(
    ("how", "heard"),
    [("whoami", "Basic YTpi"), ("here", "Basic YTpi"), ("there", "nobody")],
)
def test_a_redirect_tells_no_other_host_who_asks(how, heard):
    with odd_server() as url:
        at = _At(f"{url}/{how}")
        done = run(PROGRAMS["kvctl"], at, "--no-sync", "-u", "a:b", "get", "/who")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{heard}\n".encode(),
        b"",
    )


def test_a_limit_that_no_answer_could_keep_is_refused(server):
    for number in ("0", "-5"):
        done = run(PROGRAMS["kvctl"], server, "--answer-bytes-max", number, "ls")
        assert done.returncode == 1
        assert b"--answer-bytes-max: expected a number above 0" in done.stderr


def test_a_socket_in_the_file_system_is_an_endpoint(program, server, key):
    words = [*PATIENTLY, "--no-sync", "--endpoints", "unix://localhost:2379"]
    for more, shown in ((["set", key, "1"], b"1\n"), (["get", key], b"1\n")):
        done = subprocess.run(
            [*program, *words, *more],
            env={**os.environ, "ETCDCTL_API": "2"},
            cwd=server.place.folder,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


def shell(server, line):
    """A line of a shell, in which ``kvctl`` is the program at this server."""
    kvctl = f"{PROGRAMS['kvctl'][0]} {' '.join(PATIENTLY)} --endpoints {server.url}"
    return subprocess.run(
        ["bash", "-c", line.replace("kvctl", kvctl)],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def test_what_cannot_be_written_is_an_error_and_no_traceback(server, key):
    put(server, key, "1")
    done = shell(server, f"kvctl get {key} > /dev/full")
    assert (done.returncode, done.stderr) == (1, "Error:  No space left on device\n")


def test_closed_streams_are_no_traceback(server, key):
    put(server, key, "1")
    done = shell(server, f"kvctl get {key} <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    done = shell(server, f"kvctl set {key} <&-")
    assert (done.returncode, done.stderr) == (1, "Error:  value required\n")
    done = shell(server, f"kvctl get {key} >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(server, "kvctl get /none 2>&-")
    assert (done.returncode, done.stdout) == (4, "")


def test_ctrl_c_in_a_loop_of_commands_is_never_a_traceback(server, key):
    for delay in range(0, 200, 20):
        with started(PROGRAMS["kvctl"], server, "watch", key) as watch:
            time.sleep(delay / 1000)  # somewhere on its way
            while watch.poll() is None:
                watch.send_signal(signal.SIGINT)
                time.sleep(0.02)
            assert b"kvctl/program.py" not in watch.stderr.read()
            assert watch.returncode in {0, 1, 130, -signal.SIGINT}


def test_members_that_are_down_are_passed_over(make_cluster):
    """Each of them was given, or was found by asking another one."""
    require(not missing_tools("etcdctl"), "etcdctl (Debian: etcd-client)")
    servers = make_cluster(3)
    servers.sort(key=lambda each: each.name == each.leader_name())
    follower, other, leader = servers
    follower.kill()
    for key, program in PROGRAMS.items():
        for url in (leader.url, f"{follower.url},{other.url}"):
            for number in range(3):  # the order is random
                line = ["--endpoints", url, "set", key, str(number)]
                done = run(program, leader, *line)
                assert (done.returncode, done.stdout) == (0, f"{number}\n".encode())
        assert run(program, other, "get", "--quorum", key).stdout == b"2\n"
    other.kill()
    for key, program in PROGRAMS.items():
        # What the last one has can be read; what a majority has cannot.
        assert run(program, leader, "get", key).stdout == b"2\n"
        done = run(program, leader, "--timeout", "500ms", "get", "--quorum", key)
        assert (done.returncode, done.stdout) == (4, b"")
        text = done.stderr.decode()
        assert text.count("connect: connection refused") == 2 * 2
        late = f"client: endpoint {leader.url} exceeded header timeout"
        assert late in text or f"client: etcd member {leader.url} has no leader" in text
