"""
Options that cannot be: what etcd says of them, kvd says too, and ends with its status.

etcd prints its usage around it, kvd adds the value and where it stands; a row names what
both must say. etcd is a process of its own for each row, kvd's command line is read here.
"""

from __future__ import annotations

import os
import re
import subprocess

import attrs
import pytest

from kvd.options.table import BY_NAME
from kvd.options.unhonoured import UNHONOURED_BY_NAME
from kvd.tap import Options

pytestmark = pytest.mark.oracle

SECONDS = 20
ANY_PORT = "http://127.0.0.1:0"


@attrs.frozen
class Wrong:
    """
    A command line, and what is said of it.

    :ivar said: words of both, whatever their case.
    :ivar file: content of ``options.yml``, which is given as the file when there is any.
    :ivar meant: why kvd ends or speaks otherwise on purpose.
    """

    name: str
    flags: tuple[str, ...]
    status: int
    said: tuple[str, ...]
    file: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    meant: str = ""


def flags(name: str, *arguments: str, status: int, said: str | tuple[str, ...]):
    return Wrong(name, arguments, status, (said,) if isinstance(said, str) else said)


def value(option: str, text: str) -> Wrong:
    """A text that the option's kind cannot read."""
    return flags(
        f"{option} {text}",
        f"--{option}={text}",
        status=2,
        said=(option, f'"{text}"'),
    )


def url(option: str, text: str, said: str, status: int = 2) -> Wrong:
    return flags(f"{option} {text}", f"--{option}", text, status=status, said=said)


def file(name: str, content: str, *said: str) -> Wrong:
    return Wrong(name, (), 1, said, content)


ADVERTISED = ("--advertise-client-urls", "http://127.0.0.1:1")
ROWS = [
    flags("a word", "word", status=1, said="'word' is not a valid flag"),
    flags("a lone dash", "-", status=1, said="'-' is not a valid flag"),
    flags("no value", "--name", status=2, said="flag needs an argument: -name"),
    flags(
        "no such flag", "--nme=x", status=2, said="flag provided but not defined: -nme"
    ),
    flags(
        "a boolean and a word",
        "--pre-vote",
        "false",
        status=1,
        said="'false' is not a valid flag",
    ),
    *(
        value(option, text)
        for option in (
            "snapshot-count",
            "max-wals",
            "max-snapshots",
            "heartbeat-interval",
            "election-timeout",
            "max-txn-ops",
            "max-request-bytes",
        )
        for text in ("x", "-1", "1.5", "")
        if text or option == "snapshot-count"
    ),
    value("quota-backend-bytes", "x"),
    value("grpc-keepalive-interval", "2"),
    value("experimental-corrupt-check-time", "x"),
    value("auth-token-ttl", "-1"),
    *(
        value(option, "maybe")
        for option in (
            "pre-vote",
            "strict-reconfig-check",
            "enable-v2",
            "debug",
            "initial-election-tick-advance",
            "enable-pprof",
            "client-cert-auth",
            "experimental-initial-corrupt-check",
        )
    ),
    value("initial-cluster-state", "old"),
    value("proxy", "maybe"),
    value("discovery-fallback", "maybe"),
    value("proxy-failure-wait", "-1"),
    value("proxy-refresh-interval", "x"),
    value("bcrypt-cost", "x"),
    flags(
        "two ways to begin",
        "--initial-cluster=default=http://127.0.0.1:1",
        "--discovery=http://127.0.0.1:1/v2/keys/t",
        status=1,
        said='multiple discovery or bootstrap flags are set. Choose one of "initial-'
        'cluster", "discovery" or "discovery-srv"',
    ),
    url("listen-client-urls", "x", "URL scheme must be http, https, unix, or unixs: x"),
    url(
        "listen-peer-urls", "ftp://127.0.0.1:1", "URL scheme must be http, https, unix"
    ),
    url(
        "advertise-client-urls",
        "http://127.0.0.1",
        'URL address does not have the form "host:port": http://127.0.0.1',
    ),
    url(
        "initial-advertise-peer-urls",
        "http://127.0.0.1:1/a",
        "URL must not contain a path: http://127.0.0.1:1/a",
    ),
    url(
        "listen-peer-urls",
        "http://example.com:1",
        "expected IP in URL for binding (http://example.com:1)",
        status=1,
    ),
    url(
        "initial-advertise-peer-urls",
        "http://:1",
        'must be "host:port" (unexpected empty host (http://:1))',
        status=1,
    ),
    url(
        "listen-client-urls",
        "http://127.0.0.1:9",
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        status=1,
    ),
    flags(
        "an election in less than five heartbeats",
        "--election-timeout=400",
        status=1,
        said="--election-timeout[400ms] should be at least as 5 times as "
        "--heartbeat-interval[100ms]",
    ),
    flags(
        "an election after a minute",
        "--election-timeout=60000",
        status=1,
        said="--election-timeout[60000ms] is too long, and should be set less than "
        "50000ms",
    ),
    flags(
        "no heartbeat",
        "--heartbeat-interval=0",
        status=1,
        said="--heartbeat-interval must be >0 (set to 0ms)",
    ),
    flags(
        "no election",
        "--election-timeout=0",
        "--heartbeat-interval=100",
        status=1,
        said="--election-timeout must be >0 (set to 0ms)",
    ),
    flags("a logger", "--logger=log4j", status=1, said='unknown logger option "log4j"'),
    flags(
        "a compaction",
        "--auto-compaction-mode=never",
        status=1,
        said='unknown auto-compaction-mode "never"',
    ),
    flags(
        "another name",
        "--name=a",
        "--initial-cluster=b=http://127.0.0.1:1",
        "--listen-peer-urls",
        ANY_PORT,
        status=1,
        said='couldn\'t find local name "a" in the initial cluster configuration',
    ),
    flags(
        "other peer URLs",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
        "--initial-cluster=default=http://127.0.0.1:2",
        "--listen-peer-urls",
        ANY_PORT,
        status=1,
        said="--initial-cluster has default=http://127.0.0.1:2 but missing from "
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
    ),
    flags(
        "a URL twice",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
        "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:1",
        "--listen-peer-urls",
        ANY_PORT,
        status=1,
        said="initial cluster b=http://127.0.0.1:1,default=http://127.0.0.1:1 has "
        "duplicate url",
    ),
    flags(
        "https without a certificate",
        "--listen-client-urls=https://127.0.0.1:0",
        "--advertise-client-urls=https://127.0.0.1:1",
        "--listen-peer-urls",
        ANY_PORT,
        status=1,
        said="TLS key/cert (--cert-file, --key-file) must be provided for client url "
        "https://127.0.0.1:0 with HTTPS scheme",
    ),
    flags(
        "no such file",
        "--config-file=none.yml",
        status=1,
        said=("none.yml", "no such file or directory"),
    ),
    file("a file that is no mapping", "- x\n"),
    file("a file that is no YAML", "a: b: c\n", "yaml: "),
    file("a word for a number in a file", "max-wals: x\n", "max-wals"),
    file("a list for a name in a file", "max-wals: [1, 2]\n", "max-wals"),
    file("a number for a boolean in a file", "pre-vote: 7\n", "pre-vote"),
    file(
        "another state in a file",
        "initial-cluster-state: old\n",
        "old",
    ),
    Wrong(
        "a word for a number in a variable",
        (),
        1,
        ('"x"', "ETCD_MAX_WALS"),
        environ=(("ETCD_MAX_WALS", "x"),),
    ),
    Wrong(
        "a log level",
        ("--log-level=loud",),
        2,
        ('"loud"',),
        meant="etcd panics",
    ),
]


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize("wrong", ROWS, ids=lambda wrong: wrong.name)
def test_a_wrong_option_is_told_as_etcd_tells_it(
    wrong, tmp_path, monkeypatch, capsys, clean_environment
):
    monkeypatch.chdir(tmp_path)
    arguments = list(wrong.flags)
    if wrong.file:
        (tmp_path / "options.yml").write_text(wrong.file)
        arguments += ["--config-file", "options.yml"]
    for name, text in wrong.environ:
        monkeypatch.setenv(name, text)
    etcd = subprocess.run(
        ["etcd", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(arguments)
    told = capsys.readouterr().err
    assert etcd.returncode == wrong.status
    assert ended.value.code == wrong.status
    for words in wrong.said:
        assert words.lower() in (etcd.stdout + etcd.stderr).lower()
        assert words.lower() in told.lower()
    assert all(line.startswith("kvd: ") for line in told.splitlines())
    assert "Traceback" not in told
    if wrong.meant:
        assert "panic" in etcd.stderr


@pytest.fixture
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("ETCD_", "KVD_")):
            monkeypatch.delenv(name)


def flags_of_etcd() -> dict[str, str]:
    """Each flag of ``etcd --help`` with the default that is shown there."""
    text = subprocess.run(
        ["etcd", "--help"], capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout
    found = re.findall(r"^  --([a-z0-9-]+) '?([^'\n]*?)'?$", text, re.MULTILINE)
    return dict(found)


@pytest.mark.usefixtures("oracle")
def test_every_flag_of_etcd_is_known_and_a_default_that_differs_is_said():
    found = flags_of_etcd()
    assert len(found) > 75
    unknown = [
        name for name in found if name not in BY_NAME and name not in UNHONOURED_BY_NAME
    ]
    assert unknown == []
    other = [
        name
        for name, default in found.items()
        if name in BY_NAME
        and not BY_NAME[name].default  # it follows from the name
        and BY_NAME[name].default_text != default
        and "tcd" not in BY_NAME[name].difference
    ]
    assert other == []
    wrong = [
        name
        for name, default in found.items()
        if name in UNHONOURED_BY_NAME
        and default != "math.MaxUint32"
        and name != "enable-v2"
        and not UNHONOURED_BY_NAME[name].changes_nothing(default)
    ]
    assert wrong == []
