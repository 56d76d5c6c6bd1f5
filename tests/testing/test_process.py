"""A member in a process of its own, as a test of somebody else's has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import kvd.testing.process
from kvd.testing import MemberProcess, ServerFailed

LIMIT_SECONDS = 30


@pytest.fixture(scope="module")
def running():
    with MemberProcess({"snapshot-count": 1000}) as member:
        yield member


@pytest.fixture
def member(running):
    running.renew()
    return running


def ask(member, key, method="GET", body=None):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = Request(f"{member.url}/v2/{key}", body, headers, method=method)
    with urlopen(request, timeout=LIMIT_SECONDS) as answer:
        return answer.read()


def value(member, key):
    return json.loads(ask(member, f"keys/{key}"))["node"]["value"]


def keys(member):
    nodes = json.loads(ask(member, "keys/"))["node"].get("nodes", [])
    return [node["key"] for node in nodes]


def test_it_serves_on_loopback(member):
    ask(member, "keys/a", "PUT", b"value=1")

    assert value(member, "a") == "1"
    assert member.url == f"http://{member.host}:{member.port}"
    assert member.host == "127.0.0.1"
    members = json.loads(ask(member, "members"))["members"]
    assert members[0]["clientURLs"] == [member.url]


def test_it_keeps_its_data_and_its_port(member):
    ask(member, "keys/a", "PUT", b"value=1")
    url = member.url

    member.restart()
    assert value(member, "a") == "1"
    member.stop()
    assert not member.is_running
    member.start()
    member.start()

    assert member.url == url
    assert value(member, "a") == "1"


def test_it_is_empty_and_running_when_it_is_renewed(member):
    ask(member, "keys/a", "PUT", b"value=1")
    ask(member, "keys/b%20%3F/c", "PUT", b"value=1")
    assert keys(member)
    member.kill()

    member.renew()

    assert keys(member) == []


def test_another_one_takes_its_place_when_it_cannot_be_cleared(member):
    user = b'{"user": "root", "password": "secret"}'
    ask(member, "auth/users/root", "PUT", user)
    ask(member, "auth/enable", "PUT")
    guest = b'{"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}}'
    request = Request(f"{member.url}/v2/auth/roles/guest", guest, method="PUT")
    request.add_header("Authorization", "Basic cm9vdDpzZWNyZXQ=")
    with urlopen(request, timeout=LIMIT_SECONDS):
        pass
    with pytest.raises(HTTPError, match="401"):
        keys(member)
    with pytest.raises(ServerFailed, match="cannot be listed: 401"):
        member.clear()

    member.renew()

    assert keys(member) == []


def test_its_folder_is_gone_when_it_is_closed():
    with MemberProcess() as member:
        folder = member._server.place.folder
        assert folder.is_dir()

    assert not folder.exists()
    assert not member.is_running
    for attribute in ("url", "port"):
        with pytest.raises(ServerFailed, match="not started"):
            getattr(member, attribute)
    member.close()


def test_a_folder_that_was_given_stays(tmp_path):
    with MemberProcess(folder=tmp_path) as member:
        ask(member, "keys/a", "PUT", b"value=1")

    assert (tmp_path / "data").is_dir()


def test_what_is_wrong_with_its_options_is_told(tmp_path):
    member = MemberProcess({"snapshot-count": "many"}, folder=tmp_path)

    with pytest.raises(ServerFailed, match="snapshot-count"):
        member.start()
    assert not member.is_running


FORGOTTEN = """
from kvd.testing import MemberProcess
member = MemberProcess().start()
print(member._server.pid, member._server.place.folder)
"""


def test_it_ends_with_the_program_that_forgot_it():
    done = subprocess.run(
        [sys.executable, "-c", FORGOTTEN],
        capture_output=True,
        text=True,
        timeout=4 * LIMIT_SECONDS,
        check=True,
    )
    pid, folder = done.stdout.split()

    assert not os.path.exists(folder)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


NEEDED = """
import sys
import kvd.testing
from kvd.testing import MemberProcess
for name in ("twisted", "pytest", "hypothesis", "kvd.testing.memory"):
    assert name not in sys.modules, name
from kvd.testing import *
assert "kvd.testing.memory.cluster" in sys.modules
assert "pytest" not in sys.modules
assert "hypothesis" not in sys.modules
assert set(kvd.testing.__all__) <= set(dir(kvd.testing))
assert not hasattr(kvd.testing, "Nothing")
"""


def test_nobody_needs_what_he_does_not_use():
    subprocess.run([sys.executable, "-c", NEEDED], timeout=LIMIT_SECONDS, check=True)


def test_a_port_that_somebody_takes_meanwhile_is_exchanged(monkeypatch, member):
    free_ports = kvd.testing.process.free_ports
    taken = [member.port, *free_ports(1)]
    given = [taken]
    monkeypatch.setattr(
        "kvd.testing.process.free_ports",
        lambda count: given.pop() if given else free_ports(count),
    )

    with MemberProcess() as other:
        assert not given
        assert other.port != member.port
        assert keys(other) == []
