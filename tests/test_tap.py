"""The command line: ``twistd kvd`` and ``kvd``."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest
from twisted.application.service import IService, IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError

import kvd
from kvd import command, tap
from kvd.http.status import SERVER_VERSION
from kvd.options.table import OPTIONS
from kvd.options.values import is_address
from kvd.tap import Options, makeService, split_flags


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No file or variable of the machine's speaks here."""
    monkeypatch.chdir(tmp_path)
    for name in ("KVD_CONFIG_FILE", "ETCD_CONFIG_FILE", "KVD_NAME", "ETCD_NAME"):
        monkeypatch.delenv(name, raising=False)


def parsed(*arguments):
    options = Options()
    options.parseOptions(list(arguments))
    return options.loaded


def ended(capsys, *arguments):
    """Exit status, standard output and standard error of a command line."""
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ([], []),
        (["--name", "a"], [("name", "a")]),
        (["--name=a"], [("name", "a")]),
        (["-name=a"], [("name", "a")]),
        (["-name", "a", "--wal-dir="], [("name", "a"), ("wal-dir", "")]),
        (["--name", "--pre-vote"], [("name", "--pre-vote")]),
        (["--pre-vote", "--name=a=b"], [("pre-vote", "true"), ("name", "a=b")]),
        (["--pre-vote=false"], [("pre-vote", "false")]),
        (["--force-new-cluster"], [("force-new-cluster", "true")]),
        (["-c", "f", "--config-file=g"], [("config", "f"), ("config-file", "g")]),
        (["-h", "--version"], [("help", ""), ("version", "")]),
        (["--experimental-x", "1"], [("experimental-x", "1")]),
        (["--log-output", "stdout"], [("log-output", "stdout")]),
    ],
)
def test_flags_are_written_as_for_etcd(arguments, flags):
    assert split_flags(arguments) == flags


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["file"], "'file' is not a valid flag"),
        (["--pre-vote", "false"], "'false' is not a valid flag"),
        (["-"], "'-' is not a valid flag"),
        (["--"], "'--' is not a valid flag"),
        (["---name", "a"], "flag provided but not defined: --name"),
        (["--nme", "a"], "flag provided but not defined: -nme, did you mean --name?"),
        (["--qqqqqqqq"], r"flag provided but not defined: -qqqqqqqq \(kvd --help"),
        (["--name"], "flag needs an argument: -name"),
    ],
)
def test_a_command_line_that_cannot_be_understood_is_a_usage_error(arguments, said):
    with pytest.raises(UsageError, match=said):
        split_flags(arguments)


def test_no_options_at_all_are_one_member(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kvd"])
    options = Options()
    options.parseOptions()
    assert options.loaded.config.name == "default"


def test_options_come_from_file_environment_and_flags(monkeypatch, tmp_path):
    file = tmp_path / "kvd.yml"
    file.write_text("name: file\nmax-wals: 1\nmax-snapshots: 1\n")
    monkeypatch.setenv("KVD_MAX_WALS", "2")
    monkeypatch.setenv("KVD_MAX_SNAPSHOTS", "2")
    loaded = parsed("--config", str(file), "--max-snapshots", "3")
    assert loaded.config.name == "file"
    assert loaded.config.max_wals == 2
    assert loaded.config.max_snapshots == 3
    assert loaded.file == str(file)


def test_mistakes_are_a_line_each_and_exit_status_2_for_flags(capsys, tmp_path):
    status, out, err = ended(
        capsys, "--snapshot-count", "x", "--pre-vote=maybe", "--config", "none.yml"
    )
    assert status == 2
    assert out == ""
    assert err.splitlines() == [
        "kvd: config-file: none.yml: No such file or directory",
        (
            "kvd: snapshot-count: expected a whole number from 0 to 1000000000 "
            '(got "x", flag --snapshot-count)'
        ),
        'kvd: pre-vote: expected true or false (got "maybe", flag --pre-vote)',
    ]


def test_warnings_are_shown_with_the_mistakes(capsys, monkeypatch):
    monkeypatch.setenv("KVD_NAMEE", "a")
    status, _, err = ended(capsys, "--max-wals", "x")
    assert status == 2
    assert err.splitlines() == [
        (
            "kvd: max-wals: expected a whole number from 0 to 10000 "
            '(got "x", flag --max-wals)'
        ),
        (
            'kvd: warning: unknown option "namee" is ignored, did you mean name? '
            "(environment variable KVD_NAMEE)"
        ),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("word",),
        ("--config", "none.yml"),
        ("--election-timeout", "400"),
        ("--listen-peer-urls", "http://example.com:1"),
        ("--logger", "log4j"),
        ("--auto-compaction-mode", "never"),
    ],
)
def test_what_etcd_finds_out_only_later_is_exit_status_1(capsys, arguments):
    status, _, err = ended(capsys, *arguments)
    assert status == 1
    assert len(err.splitlines()) == 1


def test_what_a_flag_cannot_be_is_exit_status_2_and_1_elsewhere(
    capsys, monkeypatch, tmp_path
):
    assert ended(capsys, "--quota-backend-bytes", "x")[0] == 2
    assert ended(capsys, "--initial-cluster-state", "x", "--logger", "y")[0] == 2
    file = tmp_path / "kvd.yml"
    file.write_text("initial-cluster-state: x\n")
    assert ended(capsys, "--config", str(file))[0] == 1
    monkeypatch.setenv("ETCD_MAX_WALS", "x")
    assert ended(capsys)[0] == 1


def test_a_wrong_command_line_is_exit_status_2(capsys):
    status, out, err = ended(capsys, "--nme=x")
    assert status == 2
    assert out == ""
    assert err == (
        "kvd: flag provided but not defined: -nme, did you mean --name? "
        "(kvd --help lists all)\n"
    )


def test_a_flood_of_mistakes_is_cut(capsys, tmp_path):
    file = tmp_path / "kvd.yml"
    file.write_text("a: 1\n" * 1000)
    status, _, err = ended(capsys, "--config", str(file))
    assert status == 1
    assert len(err.splitlines()) == 101
    assert err.endswith("kvd: and 900 more\n")  # the last one: a is no option


def test_a_file_that_is_too_long_is_not_read_whole(capsys, tmp_path):
    file = tmp_path / "kvd.yml"
    file.write_text("#" * 1_000_000)
    status, _, err = ended(capsys, "--config", str(file))
    assert status == 1
    assert err == f"kvd: {file}: longer than 65536 bytes\n"


def test_version_is_ours(capsys):
    status, out, err = ended(capsys, "--version")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == [
        f"etcd Version: {SERVER_VERSION}",
        f"kvd Version: {kvd.__version__}",
    ]
    assert lines[2].startswith("Twisted Version: ")
    assert lines[3].startswith("Python Version: 3.")
    assert len(lines) == 4


def test_help_names_every_option_with_its_default(capsys):
    status, out, err = ended(capsys, "--name", "x", "--help")
    assert (status, err) == (0, "")
    text = " ".join(out.split())
    for option in OPTIONS:
        assert f"--{option.name}" in text
        assert f"{option.meaning} [{option.default_text}]" in text
    assert max(map(len, out.splitlines())) <= 110
    assert out.startswith("Usage: kvd [options]")


def test_initial_options_are_not_checked_once_there_is_a_member(tmp_path, capsys):
    arguments = ("--initial-cluster=a=http://127.0.0.1:1", "--data-dir=d")
    assert ended(capsys, *arguments)[0] == 1
    (tmp_path / "d" / "member").mkdir(parents=True)
    (tmp_path / "d" / "member" / "identity").touch()
    assert parsed(*arguments).config.data_dir == "d"


def test_initial_options_are_not_checked_once_there_is_a_proxy(tmp_path, capsys):
    arguments = ("--initial-cluster=a=http://127.0.0.1:1", "--data-dir=d")
    assert ended(capsys, *arguments)[0] == 1
    (tmp_path / "d" / "proxy").mkdir(parents=True)
    assert parsed(*arguments).config.proxy == "off"


def test_who_listens_everywhere_advertises_the_default_route(monkeypatch):
    monkeypatch.setattr(tap, "_default_host", lambda: "192.0.2.7")
    loaded = parsed("--listen-peer-urls", "http://0.0.0.0:3380")
    assert loaded.config.initial_cluster == (("default", ("http://192.0.2.7:3380",)),)


def test_the_default_route_has_an_address_or_there_is_none(monkeypatch):
    assert is_address(tap._default_host() or "127.0.0.1")
    monkeypatch.setattr(tap, "_ANYWHERE", ("256.0.0.1", 9))
    assert tap._default_host() == ""


def test_making_a_service_touches_nothing(tmp_path):
    options = Options()
    options.parseOptions(["--name", "a", "--connections-max", "7"])
    service = makeService(options)
    assert IService.providedBy(service)
    assert not service.running
    assert service.config.name == "a"
    assert service._process._connections_max == 7
    assert list(tmp_path.iterdir()) == []


def test_no_service_without_options():
    with pytest.raises(UsageError):
        makeService(Options())


def test_twistd_finds_the_plugin():
    (maker,) = [each for each in getPlugins(IServiceMaker) if each.tapname == "kvd"]
    assert maker.options is Options
    assert maker.makeService is makeService


def test_the_command_is_twistd_in_the_foreground_without_a_pid_file(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "argv", ["kvd", "--name", "a"])
    monkeypatch.setattr(command, "run", lambda: seen.append(list(sys.argv)))
    command.main()
    assert seen == [["kvd", "--nodaemon", "--pidfile=", "kvd", "--name", "a"]]


def test_the_command_is_installed():
    (script,) = [
        each
        for each in metadata.entry_points(group="console_scripts")
        if each.name == "kvd"
    ]
    assert script.load() is command.main
