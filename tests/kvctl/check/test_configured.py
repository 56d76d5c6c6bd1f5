"""Configuration files, judged as a member would and a little beyond."""

from __future__ import annotations

import json

import pytest

from kvd.kvctl.check.configured import check_configuration
from kvd.kvctl.check.findings import Level

PATH = "/etc/kvd.yml"


def checked(text, *, exists=lambda _: False, found=None):
    def read_file(path):
        assert path == PATH
        if text is None:
            raise FileNotFoundError(2, "No such file or directory")
        return text if isinstance(text, bytes) else json.dumps(text).encode()

    more = {} if found is None else {"found": found}
    return list(check_configuration(PATH, read_file=read_file, exists=exists, **more))


def told(text, level, **more):
    return [each.seen for each in checked(text, **more) if each.level is level]


def of_cluster(*hosts, name="m1", **more):
    members = {f"m{n}": f"http://{host}:2380" for n, host in enumerate(hosts, start=1)}
    return {
        "name": name,
        "data-dir": "/srv/kvd",
        "initial-advertise-peer-urls": members[name],
        "listen-peer-urls": members[name],
        "initial-cluster": ",".join(f"{n}={url}" for n, url in members.items()),
        **more,
    }


def test_the_defaults_are_well():
    (finding,) = checked(b"{}")
    assert finding.level is Level.OK
    assert finding.seen == f"{PATH}: a member would start with it"


def test_the_configuration_is_handed_on():
    found = []
    checked({"data-dir": "/srv/kvd"}, found=found.append)
    assert found[0].data_dir == "/srv/kvd"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        (b"\xff", PATH),
        ({"election-timeout": "x"}, "election-timeout"),
        ({"heartbeat-interval": 100, "election-timeout": 200}, "election-timeout"),
    ],
)
def test_what_keeps_a_member_from_starting_is_a_problem(text, words):
    assert words in told(text, Level.PROBLEM)[0]


def test_what_a_member_only_warns_of_is_a_warning():
    (line,) = told({"no-such-option": 1}, Level.WARNING)
    assert (
        "unknown option 'no-such-option' is ignored" in line or "no-such-option" in line
    )


def test_warnings_beside_a_problem_stay_warnings():
    both = {"no-such-option": 1, "election-timeout": "x"}
    assert len(told(both, Level.WARNING)) == 1
    assert len(told(both, Level.PROBLEM)) == 1


def test_loopback_towards_other_machines_is_a_problem():
    text = of_cluster("127.0.0.1", "10.0.0.2", "10.0.0.3")
    (line,) = told(text, Level.PROBLEM)
    assert "http://10.0.0.2:2380 is another machine" in line


def test_all_members_on_one_machine_is_a_warning():
    text = of_cluster("127.0.0.1", "localhost", "127.0.0.1")
    text["initial-cluster"] = (
        "m1=http://127.0.0.1:2380,m2=http://localhost:2381,m3=http://127.0.0.1:2382"
    )
    assert told(text, Level.PROBLEM) == []
    assert any("on one machine" in line for line in told(text, Level.WARNING))


def test_an_even_number_of_members_is_a_warning():
    text = of_cluster("10.0.0.1", "10.0.0.2")
    assert any("2 members survive" in line for line in told(text, Level.WARNING))


def test_ports_open_to_everybody_are_a_warning():
    text = of_cluster("10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert any(
        line.startswith("listen-peer-urls: http://10.0.0.1:2380 is open")
        for line in told(text, Level.WARNING)
    )


def test_peers_without_certificates_are_a_warning_even_over_https():
    text = of_cluster(
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        **{
            "listen-peer-urls": "https://10.0.0.1:2380",
            "peer-transport-security": {"cert-file": "a.pem", "key-file": "a.key"},
        },
    )
    lines = told(text, Level.WARNING)
    assert any(line.startswith("peer-client-cert-auth is off") for line in lines)


def test_a_data_folder_in_use_is_not_founded_again():
    # Of an old member initial-cluster need not name it.
    text = of_cluster("10.0.0.1", "10.0.0.2", "10.0.0.3") | {"name": "other"}
    assert told(text, Level.PROBLEM)
    old = "/srv/kvd/member/identity"
    assert told(text, Level.PROBLEM, exists=lambda path: path == old) == []
