"""The command line of ``twistd kvd-when-leader``."""

from __future__ import annotations

import signal

import pytest
from twisted.application.service import IService, IServiceMaker, Service
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.scripts.twistd import ServerOptions

from kvd.client import TLS
from kvd.tls.generate import main as make_certificates
from kvd.whenleader.guard import Alarm
from kvd.whenleader.settings import Settings
from kvd.whenleader.tap import Options
from kvd.whenleader.what import what_of

APPLICATION = """
from twisted.application.service import Application, Service

application = Application("x")
Service().setServiceParent(application)
"""


@pytest.fixture(autouse=True)
def application(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.tac").write_text(APPLICATION)
    return tmp_path


def parsed(*arguments):
    options = Options()
    options.parseOptions(["--election", "/x", *arguments])
    return options


def refused(capsys, *arguments):
    """The one line that is said."""
    with pytest.raises(SystemExit) as caught:
        Options().parseOptions(list(arguments))
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("kvd-when-leader: ")


def test_twistd_has_it():
    makers = {each.tapname: each for each in getPlugins(IServiceMaker)}
    assert makers["kvd-when-leader"].options is Options


def test_help_begins_with_one_line_of_usage(capsys):
    twistd = ServerOptions()
    with pytest.raises(SystemExit) as caught:
        twistd.parseOptions(["kvd-when-leader", "--help"])
    assert caught.value.code == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith(
        "kvd-when-leader --election PATH [options] -- PLUGIN [its options] | FILE.tac"
    )
    assert not any("Usage" in line for line in others)


def test_what_is_not_said_has_defaults():
    settings = parsed("x.tac").settings
    assert settings == Settings(
        endpoints=("http://127.0.0.1:2379",),
        election="/x",
        name="",
        ttl=30,
        margin_seconds=6.0,
    )
    assert settings.limits.request_seconds == 5


def test_everything_may_be_said(tmp_path):
    make_certificates([str(tmp_path), "--client", "ann"])
    (tmp_path / "password").write_text("not for everybody\nnot this\n")
    settings = parsed(
        "--endpoints=https://a:1,https://b:2",
        "--name=n",
        "--ttl=5",
        "--margin=1.5",
        "--ca-file=ca.pem",
        "--cert-file=client-ann.pem",
        "--key-file=client-ann.key",
        "--username=ann",
        "--password-file=password",
        "x.tac",
    ).settings
    tls = TLS.from_files(
        ca_file="ca.pem", cert_file="client-ann.pem", key_file="client-ann.key"
    )
    assert settings == Settings(
        endpoints=("https://a:1", "https://b:2"),
        election="/x",
        name="n",
        ttl=5,
        margin_seconds=1.5,
        tls=tls,
        auth=("ann", "not for everybody"),
    )
    assert "not for everybody" not in repr(settings)
    assert settings.limits.connect_seconds == 0.5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "--election: say where, such as /elections/x"),
        (["--election", "/"], "--election: say where, such as /elections/x"),
        (["--election", "/x"], "say what is to be run, after --"),
        (["--bogus"], "option --bogus not recognized"),
        (["--election=/x", "--ttl=a", "x.tac"], "--ttl: 'a' is no number"),
        (["--election=/x", "--ttl=1.5", "x.tac"], "--ttl is whole seconds, "),
        (["--election=/x", "--ttl=nan", "x.tac"], "--ttl: 'nan' is no number"),
        (["--election=/x", "--ttl=inf", "x.tac"], "--ttl: 'inf' is no number"),
        (["--election=/\udcff", "x.tac"], "--election: it is no UTF-8"),
        (["--election=/x", "--name=\udcff", "x.tac"], "--name: it is no UTF-8"),
        (["--election=/x", "--ttl=0", "x.tac"], "--ttl is whole seconds, "),
        (["--election=/x", "--margin=0", "x.tac"], "--ttl is whole seconds, "),
        (["--election=/x", "--margin=16", "x.tac"], "--ttl is whole seconds, "),
        (["--election=/x", "-e", "http://a/b", "x.tac"], "'http://a/b' is not of "),
        (["--election=/x", "-e", ",", "x.tac"], "a client needs an endpoint"),
        (["--election=/x", "--ca-file=no", "x.tac"], "no: No such file or directory"),
        (
            ["--election=/x", "--ca-file=x.tac", "x.tac"],
            "not a certificate and its key",
        ),
        (["--election=/x", "--username=a", "x.tac"], "--username and --password-file"),
        (
            ["--election=/x", "--username=a", "--password-file=no", "x.tac"],
            "no: No such file or directory",
        ),
        (
            ["--election=/x", "--username=a", "--password-file=latin", "x.tac"],
            "latin: it is no UTF-8",
        ),
        (["--election=/x", "no.tac"], "no.tac: No such file or directory"),
        (["--election=/x", "bad.py"], "bad.py: "),
        (["--election=/x", "x.tac", "--more"], "x.tac takes no options"),
        (["--election=/x", "nothing"], "twistd has no nothing; it has "),
        (
            ["--election=/x", "--", "portforward", "--no"],
            "portforward: option --no not recognized",
        ),
    ],
)
def test_a_mistake_is_one_line(capsys, application, arguments, line):
    (application / "latin").write_bytes(b"\xe9\n")
    (application / "bad.py").write_text("def\n")
    assert refused(capsys, *arguments).startswith(line)


def test_an_application_file_is_run_anew_each_time(application):
    what = parsed("x.tac").what
    assert what.name == "x.tac"
    first, second = what.make(), what.make()
    assert first is not second
    (child,) = list(first)
    assert isinstance(child, Service)
    assert IService.providedBy(second)


def test_an_application_file_is_found_after_twistd_has_changed_its_folder(
    application, monkeypatch
):
    what = parsed("x.tac").what
    monkeypatch.chdir("/")
    assert list(what.make())


def test_a_plugin_is_made_with_its_options():
    what = parsed("--", "portforward", "--port=tcp:0", "--dest_port=7").what
    assert what.name == "portforward"
    made = what.make()
    assert made is not what.make()
    assert made.factory.port == 7


class Curious(usage.Options):
    optParameters = [["x", None, "1"]]

    def postOptions(self):
        self["reactor"] = self.parent["reactor"]


class Maker:
    """A plugin whose options look at twistd's."""

    tapname = "curious"

    options = Curious

    def makeService(self, options):
        return dict(options)


def test_a_plugins_options_see_twistds():
    parent = {"reactor": "epoll"}
    what = what_of(["curious", "--x", "2"], makers=[Maker()], parent=parent)
    assert what.make() == {"x": "2", "reactor": "epoll"}


def test_the_alarm_rings_whatever_the_process_was_started_with():
    """What a shell's ``trap '' ALRM`` ignores, and a blocked signal, are inherited."""
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    alarm = Alarm()
    try:
        alarm.arm(1000)
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        alarm.disarm()
        signal.signal(signal.SIGALRM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_the_alarm_is_the_kernels():
    alarm = Alarm()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    alarm.arm(1000)
    try:
        assert 900 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        alarm.disarm()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
