"""Which lines are written, where, and in which form."""

from __future__ import annotations

import io
import json

import pytest
from twisted.logger import Logger, LogLevel, LogPublisher, formatEvent
from twisted.python.failure import Failure

from kvd.errors import ConfigError
from kvd.logs import Logs, Outputs


class Desk:
    """A publisher, what it is observed by, and files in memory."""

    def __init__(self):
        self.default = []
        self.files = {}
        self.publisher = LogPublisher(self.default.append)
        self.streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}

    def open(self, path):
        if path.startswith("/none/"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files.setdefault(path, io.StringIO())

    def begin(self, **options):
        logs = Logs(
            available=Outputs(streams=self.streams, open=self.open),
            publisher=self.publisher,
            **options,
        )
        logs.begin()
        return logs

    def say(self, text, level=LogLevel.info, namespace="kvd.http.site", **fields):
        Logger(namespace, observer=self.publisher).emit(level, text, **fields)

    def seen(self):
        return [formatEvent(event) for event in self.default]


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warn", "error", "critical"]),
        ("info", ["info", "warn", "error", "critical"]),
        ("warn", ["warn", "error", "critical"]),
        ("error", ["error", "critical"]),
        ("fatal", ["critical"]),
        ("panic", ["critical"]),
    ],
)
def test_the_log_begins_at_its_level(desk, level, written):
    desk.begin(level=level)
    for each in LogLevel.iterconstants():
        desk.say(each.name, each)
    assert sorted(desk.seen()) == sorted(written)


def test_a_level_can_be_set_later(desk):
    logs = desk.begin()
    desk.say("quiet", LogLevel.debug)
    logs.set_level("debug")
    desk.say("loud", LogLevel.debug)
    logs.set_level("error")
    desk.say("too little", LogLevel.warn)
    assert desk.seen() == ["loud"]


@pytest.mark.parametrize(
    ("package", "namespace", "other"),
    [
        ("http", "kvd.http.watches.Watch", "kvd.peer.peer.Peer"),
        ("kvd.http.watches", "kvd.http.watches.Watch", "kvd.http.site"),
        ("rafthttp", "kvd.peer.peer.Peer", "kvd.http.site"),
        ("etcdserver/api/rafthttp", "kvd.peer.peer.Peer", "kvd.http.site"),
        ("etcdserver", "kvd.node.node.Node", "kvd.service.KvdService"),
        ("twisted.web", "twisted.web.http", "twisted.internet"),
    ],
)
def test_a_package_may_have_a_level_of_its_own(desk, package, namespace, other):
    desk.begin(level="error", package_levels=[(package, "debug")])
    desk.say("told", LogLevel.debug, namespace)
    desk.say("not told", LogLevel.warn, other)
    assert desk.seen() == ["told"]


def test_a_star_is_every_package(desk):
    desk.begin(level="error", package_levels=[("*", "debug"), ("peer", "error")])
    desk.say("told", LogLevel.debug)
    desk.say("not told", LogLevel.warn, "kvd.peer.peer")
    assert desk.seen() == ["told"]


def test_lines_go_to_each_output_and_nowhere_else(desk):
    desk.begin(outputs=("stderr", "/var/log/kvd", "stderr"))
    desk.say("hello {who}", who="there")
    assert desk.default == []
    for file in (desk.streams["stderr"], desk.files["/var/log/kvd"]):
        assert file.getvalue().endswith("[kvd.http.site#info] hello there\n")
        assert file.getvalue().count("\n") == 1
    assert desk.streams["stdout"].getvalue() == ""


def test_the_default_is_kept_beside_others(desk):
    desk.begin(outputs=("default", "stdout"))
    desk.say("hello")
    assert desk.seen() == ["hello"]
    assert "hello" in desk.streams["stdout"].getvalue()
    assert desk.streams["stderr"].getvalue() == ""


def test_a_structured_line_is_a_json_object(desk):
    desk.begin(form="zap")
    desk.say("one\n{two}", two='"2"')
    desk.say("failed", LogLevel.critical, log_failure=Failure(ValueError("x")))
    assert desk.default == []
    first, second = map(json.loads, desk.streams["stderr"].getvalue().splitlines())
    assert first["level"] == "info"
    assert first["logger"] == "kvd.http.site"
    assert first["msg"] == 'one\n"2"'
    assert first["ts"][:2] == "20"
    assert "stacktrace" not in first
    assert "ValueError" in second["stacktrace"]


def test_a_file_that_cannot_be_written_changes_nothing(desk):
    with pytest.raises(ConfigError) as caught:
        desk.begin(outputs=("/none/a", "stderr", "/none/b"))
    assert caught.value.problems == tuple(
        f"log-outputs: cannot write to /none/{name}: No such file or directory; expected "
        "default, stdout, stderr or a file"
        for name in "ab"
    )
    desk.say("hello")
    assert desk.seen() == ["hello"]


def test_a_real_file_is_appended_to(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    publisher = LogPublisher()
    Logs(outputs=(str(path),), publisher=publisher).begin()
    Logger("kvd", observer=publisher).info("after")
    before, after = path.read_text().splitlines()
    assert before == "before"
    assert after.endswith("[kvd#info] after")
    for observer in list(publisher._observers):
        observer._observer._outFile.close()
