"""What kvctl has beyond etcdctl, with three members, with etcd, and over TLS."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from kvd.testing.servers import HOST, Make, cluster, kill_all, lone_member, start_all
from tests.integration.secure import Folder, eventually, secure_port, secured
from tests.kvctl.conftest import typed

KVCTL = [sys.executable, "-m", "kvd.kvctl"]
SECONDS = 60
HEADER = (
    '{"format":"kvd-export","version":1,"prefix":"/","index":1,"consistency":"index"}'
)


@contextmanager
def started(servers):
    try:
        start_all(servers)
        yield servers
    finally:
        kill_all(servers)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with started(cluster(Make.KVD, tmp_path_factory.mktemp("three"), 3)) as servers:
        yield servers


@pytest.fixture(scope="module")
def etcd(etcdctl_installed, tmp_path_factory):
    server = lone_member(Make.ETCD, tmp_path_factory.mktemp("etcd"))
    with started([server]):
        yield [server]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A member behind TLS, and the files of its clients."""
    files = Folder(tmp_path_factory.mktemp("files"))
    with started(secured(tmp_path_factory.mktemp("sealed"), files, 1)) as (server,):
        yield server, files


@pytest.fixture(params=["three", "etcd"])
def servers(request):
    return request.getfixturevalue(request.param)


def at(servers):
    """Flags that lead to them; a lone member publishes a URL that leads nowhere."""
    flags = ["--endpoints", ",".join(server.url for server in servers)]
    return flags if len(servers) > 1 else [*flags, "--no-sync"]


def well(servers, *words, **more):
    ended = typed(*at(servers), *words, **more)
    assert ended.status == 0, ended
    return ended


def found(servers, *words, flags=()):
    """Findings of a check: level and text by what they are about; and the status."""
    ended = typed(*at(servers), *flags, "-o", "json", "check", *words)
    findings = json.loads(ended.out)
    bad = any(each["level"] == "problem" for each in findings)
    assert ended.status == int(bad)
    return [(each["about"], each["level"], each["seen"]) for each in findings]


def levels(findings, about):
    return {level for what, level, _ in findings if what == about}


def cells(servers):
    heading, *rows = well(servers, "top", "--once", "--interval", "100ms").out.split(
        "\n"
    )[:-1]
    names = heading.split()
    return {row.split()[0]: dict(zip(names, row.split(), strict=False)) for row in rows}


def remove(servers, *keys):
    for key in keys:
        well(servers, "rm", "--recursive", key)


def test_a_tree_is_drawn(servers):
    for key in ("/draw/a/b", "/draw/c"):
        well(servers, "set", key, "v")
    well(servers, "mkdir", "/draw/d")
    ended = well(
        servers, "ls", "--tree", "--sort", "/draw", environ={"LANG": "C.UTF-8"}
    )
    assert ended.out == "/draw/\n├── a/\n│   └── b\n├── c\n└── d/\n"
    ended = well(servers, "ls", "--values", "--sort", "/draw")
    assert ended.out == "/draw/\n|-- a/\n|   `-- b = v\n|-- c = v\n`-- d/\n"
    remove(servers, "/draw")


def test_top_shows_every_member(three):
    rows = cells(three)
    assert sorted(rows) == ["m1", "m2", "m3"]
    assert sorted(row["STATE"] for row in rows.values()) == [
        "follower",
        "follower",
        "leader",
    ]
    assert len({row["TERM"] for row in rows.values()}) == 1
    for row in rows.values():
        assert "-" not in {row[name] for name in ("APPLIED", "LAG", "READS/S", "INDEX")}


def test_top_shows_what_etcd_tells(etcd):
    row = cells(etcd)["alone"]
    assert (row["STATE"], row["LAG"], row["WATCHES"]) == ("leader", "0", "0")
    assert row["INDEX"] == row["SNAPSHOT"] == "-"


def test_a_healthy_cluster_has_no_problem_of_its_own(three):
    findings = found(three)
    for about in ("quorum", "leader", "version", "clock"):
        assert levels(findings, about) == {"ok"}
    assert levels(findings, "names") == {"ok", "warning"}  # all on loopback
    assert {about for about, level, _ in findings if level == "problem"} <= {"disk"}


def test_etcd_is_checked_too(etcd):
    findings = found(etcd)
    assert levels(findings, "size") == {"warning"}
    for about in ("quorum", "leader", "version", "clock", "names"):
        assert levels(findings, about) == {"ok"}


def test_a_cluster_that_is_half_dead_is_looked_at_all_the_same(three):
    away = three[2]
    away.kill()
    try:
        assert cells(three)["m3"]["STATE"] == "unreachable"
        findings = found(three)
        assert levels(findings, "quorum") == {"warning"}
        assert any("m3 cannot be asked" in seen for _, _, seen in findings)
        three[1].kill()
        eventually(
            "the lack of a majority",
            lambda: (
                ("leader", {"problem"}) == ("leader", levels(found(three), "leader"))
            ),
        )
        assert levels(found(three), "quorum") == {"problem"}
        assert cells(three)["m2"]["STATE"] == "unreachable"
    finally:
        for server in three[1:]:
            if not server.running:
                server.start()
        for server in three:
            server.wait_ready()


def test_a_disk_and_a_configuration_are_checked_without_a_cluster(tmp_path):
    nobody = ["--endpoints", "http://127.0.0.1:1", "-o", "json"]
    good = tmp_path / "good.yml"
    good.write_text(f"data-dir: {tmp_path}/data\n")
    ended = typed(*nobody, "check", "--data-dir", str(tmp_path), "--config", str(good))
    findings = json.loads(ended.out)
    assert ended.status == 1
    assert "a write and its sync take" in ended.out
    assert "a member would start with it" in ended.out
    assert [each["about"] for each in findings if "127.0.0.1:1" in each["seen"]] == [
        "quorum"
    ]
    assert sorted(os.listdir(tmp_path)) == ["good.yml"]
    bad = tmp_path / "bad.yml"
    bad.write_text("election-timeout: never\n")
    ended = typed(
        *nobody, "check", "--data-dir", str(tmp_path / "none"), "--config", str(bad)
    )
    assert "cannot be written to: No such file or directory" in ended.out
    assert "election-timeout" in ended.out


def flags_of(files, client="anna", ca="ca.pem"):
    return [
        "--ca-file",
        files.file(ca),
        "--cert-file",
        files.file(f"client-{client}.pem"),
        "--key-file",
        files.file(f"client-{client}.key"),
    ]


def test_certificates_are_checked_as_members_show_them(sealed, tmp_path):
    server, files = sealed
    url = f"https://127.0.0.1:{secure_port(server)}"
    trusted = ["--endpoints", url, *flags_of(files), "-o", "json", "check"]
    shown = json.loads(typed(*trusted).out)
    seen = [each for each in shown if each["about"] == "certificates"]
    assert {each["level"] for each in seen} == {"ok"}
    assert any(each["seen"].startswith(f"{url}: ") for each in seen)
    other = Folder(tmp_path)
    strange = ["--endpoints", url, *flags_of(other), "-o", "json", "check"]
    ended = typed(*strange)
    assert ended.status == 1
    assert "certificate signed by unknown authority; it is for" in ended.out
    crossed = [*flags_of(files)[:4], "--key-file", files.file("client-bert.key")]
    ended = typed("--endpoints", url, *crossed, "-o", "json", "check")
    assert ended.status == 1
    assert "--key-file is not the key of --cert-file" in ended.out


# Export and import


def exported(servers, *words):
    """Records by key, without what changes from moment to moment."""
    lines = well(servers, "export", "-", *words).out.splitlines()
    header, *records, end = map(json.loads, lines)
    assert header["format"] == "kvd-export"
    assert end == {"end": len(records)}
    for record in records:
        if "ttl" in record:
            assert 0 < record["ttl"] <= 500
            record["ttl"] = "some"
    return {record.pop("key"): record for record in records}


def fill(servers):
    for key, value in (
        ("/tree/a", "1"),
        ("/tree/b/c", ""),
        ("/tree/b/d e", "späť\n<&>"),
        ("/tree/slash?#%41", "x"),
    ):
        well(servers, "set", key, stdin=value.encode()) if value else servers[0].ask(
            f"/v2/keys{key}", "PUT", "value="
        )
    well(servers, "mkdir", "/tree/empty")
    well(servers, "mkdir", "--ttl", "500", "/tree/short")
    well(servers, "set", "/tree/short/x", "1")
    well(servers, "set", "--ttl", "500", "/tree/session", "2")
    well(servers, "set", "/tree/_hidden", "3")


TREE = {
    "/a": {"value": "1"},
    "/b/c": {"value": ""},
    "/b/d e": {"value": "späť\n<&>"},
    "/empty": {"dir": True},
    "/session": {"value": "2", "ttl": "some"},
    "/short": {"dir": True, "ttl": "some"},
    "/short/x": {"value": "1"},
    "/slash?#%41": {"value": "x"},
}


def below(prefix):
    return {prefix + key: record for key, record in TREE.items()}


@pytest.mark.parametrize("back", [False, True])
def test_a_tree_goes_from_kvd_to_etcd_and_back(three, etcd, tmp_path, back):
    source, target = (etcd, three) if back else (three, etcd)
    fill(source)
    file = str(tmp_path / "tree.jsonl")
    well(source, "export", "--prefix", "/tree", file)
    assert (tmp_path / "tree.jsonl").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["tree.jsonl"]
    assert exported(source, "--prefix", "/tree") == below("/tree")
    assert list(below("/tree")) == list(exported(source, "--prefix", "/tree"))
    assert exported(source, "--prefix", "tree/", "--piecewise") == below("/tree")

    dry = well(target, "import", file, "--prefix", "/copy", "--dry-run").out
    assert dry == "8 would be created; 8 in the file\n"
    assert typed(*at(target), "ls", "/copy").status == 4
    done = well(target, "import", file, "--prefix", "/copy").out
    assert done == "8 created; 8 in the file\n"
    assert exported(target, "--prefix", "/copy") == below("/copy")
    again = well(target, "import", file, "--prefix", "/copy").out
    assert again == "8 unchanged; 8 in the file\n"
    remove(source, "/tree")
    remove(target, "/copy")


def test_what_is_there_stays_unless_it_is_to_be_replaced(servers, tmp_path):
    fill(servers)
    file = str(tmp_path / "tree.jsonl")
    well(servers, "export", "--prefix", "/tree", file)
    well(servers, "set", "/tree/b/c", "mine")
    ended = typed(*at(servers), "import", file)
    assert ended.status == 1
    assert "line 3: /tree/b/c is there with something else" in ended.err
    assert "all lines up to 2 are done" in ended.err
    done = well(servers, "import", "--skip", file).out
    assert done == "7 unchanged, 1 skipped; 8 in the file\n"
    assert well(servers, "get", "/tree/b/c").out == "mine\n"
    done = well(servers, "import", "--overwrite", file).out
    assert done == "1 replaced, 7 unchanged; 8 in the file\n"
    # A directory that was to expire, and does not.
    remove(servers, "/tree/short")
    well(servers, "mkdir", "/tree/short")
    assert ", 1 skipped; " in well(servers, "import", "--skip", file).out
    assert "1 replaced, " in well(servers, "import", "--overwrite", file).out
    assert exported(servers, "--prefix", "/tree") == below("/tree")
    remove(servers, "/tree")


def test_bytes_that_are_no_utf8_are_told_and_not_made_worse(servers):
    server = servers[0]
    assert server.ask("/v2/keys/raw/bytes", "PUT", "value=%ff%fe")[0] == 201
    ended = typed(*at(servers), "export", "-", "--prefix", "/raw")
    assert ended.status == 0
    assert "1 of them are marked as lossy" in ended.err
    assert json.loads(ended.out.splitlines()[1]) == {
        "key": "/raw/bytes",
        "value": "\ufffd\ufffd",
        "lossy": True,
    }
    again = typed(*at(servers), "import", "-", "--overwrite", stdin=ended.out.encode())
    assert again.status == 1
    assert again.out == "1 left out; 1 in the file\n"
    # Raw bytes in a file arrive as they are: the server compares them with what it has.
    lines = ended.out.replace('"value":"\ufffd\ufffd","lossy":true', '"value64":"//4="')
    done = well(servers, "import", "-", stdin=lines.encode()).out
    assert done == "1 unchanged; 1 in the file\n"
    remove(servers, "/raw")


def test_a_broken_file_is_told_by_line_and_changes_nothing(servers, tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text(f'{HEADER}\n{{"key":"/broken/a","value":"1"}}\n{{"key":"/bro')
    ended = typed(*at(servers), "import", str(file))
    assert ended.status == 1
    assert ended.err == (
        f"{file}: line 3: expected a JSON object, alone on its line\n"
        f"{file}: the end is missing: the export was not finished, or the file is cut "
        "off\nkvctl: nothing was imported\n"
    )
    assert typed(*at(servers), "get", "/broken/a").status == 4


def test_an_export_that_fails_leaves_no_file(servers, tmp_path):
    file = tmp_path / "none.jsonl"
    ended = typed(*at(servers), "export", str(file), "--prefix", "/not/there")
    assert (ended.status, ended.out) == (4, "")
    assert "100: Key not found (/not)" in ended.err
    ended = typed(*at(servers), "export", str(tmp_path / "no" / "x"))
    assert ended.status == 1
    assert ended.err.endswith("no such file or directory\n")
    assert os.listdir(tmp_path) == []


def begun(servers, *words):
    return subprocess.Popen(
        [*KVCTL, *at(servers), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended_by(process, number):
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def test_an_import_that_is_interrupted_goes_on_where_it_was(three, tmp_path):
    count = 20_000
    file = tmp_path / "long.jsonl"
    lines = [HEADER]
    lines += [f'{{"key":"/long/{n}","value":"{n}"}}' for n in range(count)]
    file.write_text("\n".join([*lines, f'{{"end":{count}}}', ""]))
    process = begun(three, "import", "--jobs", "2", str(file))
    eventually("a first key", lambda: three[0].ask("/v2/keys/long/40")[0] == 200, 30)
    status, out, err = ended_by(process, signal.SIGINT)
    assert status == 130
    assert "Traceback" not in err
    far = int(err.partition("all lines up to ")[2].split()[0])
    assert 2 < far < count
    assert three[0].ask(f"/v2/keys/long/{far - 2}?quorum=true")[0] == 200
    done = int(out.split()[0])
    assert far - 1 <= done < count
    # The same file, cut after what has come and a little more, is taken on.
    shorter = lines[: far + 50]
    file.write_text("\n".join([*shorter, f'{{"end":{len(shorter) - 1}}}', ""]))
    again = well(three, "import", str(file)).out
    created, unchanged = (
        int(part.split()[0]) for part in again.partition(";")[0].split(",")
    )
    assert created + unchanged == len(shorter) - 1
    assert unchanged >= far - 1
    remove(three, "/long")


# Bench


def keys_of(server):
    _, _, body = server.ask("/v2/keys/?quorum=true")
    return {node["key"] for node in json.loads(body)["node"].get("nodes", [])}


def measured(servers, *words):
    """What a bench in which nothing failed tells."""
    process = begun(servers, "--total-timeout", "1m", "-o", "json", "bench", *words)
    out, err = process.communicate(timeout=SECONDS)
    assert "this loads the cluster" in err
    figures = json.loads(out)
    # An election, which a busy machine may see, costs requests, and only so many.
    assert figures["answered"] + sum(figures["errors"].values()) == 300, out
    assert process.returncode == (4 if figures["errors"] else 0), (out, err)
    return figures if not figures["errors"] else None


def test_a_bench_measures_and_cleans_up(servers):
    before = keys_of(servers[0])
    few = ["--total", "300", "--keys", "20", "--size", "3000", "--clients", "8"]
    tried = (measured(servers, "mixed", *few) for _ in range(3))
    figures = next(filter(None, tried))
    assert figures["answered"] == 300
    assert figures["endpoints"] == len(servers)
    times = figures["latencySeconds"]
    assert 0 < times["50%"] <= times["99%"] <= times["longest"]
    assert keys_of(servers[0]) == before


def test_a_bench_goes_over_tls(sealed):
    server, files = sealed
    url = f"https://127.0.0.1:{secure_port(server)}"
    few = ["--total", "50", "--keys", "5", "--clients", "2"]
    flags = ["--endpoints", url, *flags_of(files)]
    done = subprocess.run(
        [*KVCTL, *flags, "bench", "quorum-get", *few],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done
    assert "answered  50 in" in done.stdout
    assert "errors    0" in done.stdout


def test_a_bench_that_is_interrupted_tells_what_it_has_and_cleans_up(three):
    before = keys_of(three[0])
    process = begun(three, "bench", "put", "--seconds", "300s", "--keys", "10")
    eventually("its keys", lambda: keys_of(three[0]) != before, 30)
    time.sleep(0.3)
    status, out, err = ended_by(process, signal.SIGINT)
    assert status == 130
    assert "Traceback" not in err
    assert not out or out.startswith("put: 64 clients, 10 keys")
    assert keys_of(three[0]) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete"], "bench: expected one of put, get, quorum-get, mixed"),
        (["put", "get"], "bench: expected one of put, get, quorum-get, mixed"),
        (["--clients", "0"], "bench: --clients is from 1 to 10000"),
        (["--seconds", "-1s"], "bench: --seconds is from 0s to 86400s"),
    ],
)
def test_a_bench_has_bounds(words, said):
    assert typed("bench", *words) == (1, "", f"{said}\n")


# A terminal, and a shell


@pytest.mark.parametrize("command", ["top", "check"])
def test_ctrl_c_does_not_wait_for_a_member_that_is_silent(command):
    with socket.create_server((HOST, 0)) as silent:
        flags = ("--timeout", "5m", "--total-timeout", "5m")
        at_it = f"http://{HOST}:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*KVCTL, *flags, "--endpoints", at_it, command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        silent.settimeout(SECONDS)
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert b"Traceback" not in said


def test_top_on_a_terminal_goes_on_until_it_is_interrupted(three):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*KVCTL, *at(three), "top", "--interval", "100ms"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + SECONDS
    while shown.count(b"MEMBER") < 3:  # drawn anew twice
        assert time.monotonic() < deadline, shown
        if select.select([master], [], [], 0.5)[0]:
            shown += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    while process.poll() is None:
        assert time.monotonic() < deadline
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # the other end is closed
                break
    os.close(master)
    assert process.wait(SECONDS) == 0
    assert b"Traceback" not in shown
    assert b"leader" in shown


def test_bash_completes_keys_that_are_there(three, tmp_path):
    well(three, "set", "/complete/me/now", "1")
    program = tmp_path / "kvctl"
    program.write_text(f'#!/bin/sh\nexec {" ".join(KVCTL)} "$@"\n')
    program.chmod(0o755)
    script = (
        "source <(kvctl completion bash)\n"
        "compopt() { :; }\n"
        'COMP_LINE="kvctl get /complete/m" COMP_POINT=21\n'
        '_kvctl; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environ = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KVCTL_ENDPOINTS": ",".join(server.url for server in three),
    }

    def completed():
        done = subprocess.run(
            ["bash", "-c", script],
            env=environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    # It gives up after a second, which a busy machine may need.
    eventually("the key", lambda: completed() == "/complete/me/\n", 30)
    remove(three, "/complete")
