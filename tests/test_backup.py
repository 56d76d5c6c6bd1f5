"""``kvd backup`` as it is typed: what it says, and with which exit status it ends."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from kvd import backup, command
from kvd.storage.data_dir import DataDir, StorageSettings
from kvd.storage.disk import RealDisk
from tests.storage.fakes import entries, meta_at, state
from tests.storage.test_disk import opened


class Shell:
    """Types commands, and has what came of it."""

    def __init__(self, folder):
        self.folder = folder
        self.out = ""
        self.err = ""

    def path(self, name):
        return str(self.folder / name)

    def run(self, *arguments, **others):
        said, errors = [], []
        status = backup.main(
            list(arguments), out=said.append, err=errors.append, **others
        )
        self.out, self.err = "".join(said), "".join(errors)
        return status

    def backup(self, *arguments, data="d", to="b"):
        return self.run(
            "--data-dir", self.path(data), "--backup-dir", self.path(to), *arguments
        )


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def running(tmp_path):
    """A member that is at work in d, with a lock on it."""
    persistence, _, worker = opened(tmp_path)
    worker.finish(persistence.save(state(commit=6), entries(1, 6), None))
    writer = persistence.create_snapshot(meta_at(4))
    worker.finish(writer.write(b"z" * 3000))
    worker.finish(writer.commit())
    yield persistence
    worker.finish(persistence.close())


def test_a_running_member_is_backed_up(shell, running):
    os.umask(os.umask(0o022))
    assert shell.backup() == 0
    folder = shell.path("b")
    lines = shell.out.splitlines()
    assert lines[0] == (
        "backup of member 8e9e05c52164694d of cluster cdf818194e3a8c32 in " + folder
    )
    assert lines[1:3] == [
        "snapshot at index 4, 3000 bytes",
        "2 log entries, 34 bytes, up to index 6 of term 1",
    ]
    assert lines[3].startswith("sha256 ")
    assert lines[4] == f"start it with: kvd --force-new-cluster --data-dir {folder}"
    assert shell.err == "kvd: reading the backup back\n"
    for found, _, files in os.walk(folder):
        assert stat.S_IMODE(os.stat(found).st_mode) == 0o700
        assert {stat.S_IMODE(os.stat(f"{found}/{f}").st_mode) for f in files} <= {0o600}
    assert sorted(os.listdir(shell.folder)) == ["b", "d"]
    # Each has ids of its own, and all hold the same.
    ids = {
        DataDir(RealDisk(), StorageSettings(data_folder=folder)).identity_there(),
    }
    assert shell.backup(to="c") == 0
    assert shell.out.splitlines()[1:4] == lines[1:4]
    ids.add(
        DataDir(
            RealDisk(), StorageSettings(data_folder=shell.path("c"))
        ).identity_there()
    )
    assert len({each.member_id for each in ids}) == 2
    assert len({each.cluster_id for each in ids}) == 2


def test_flags_are_etcdctls(shell, running):
    status = shell.run(
        f"-data-dir={shell.path('d')}",
        "-backup-dir",
        shell.path("b"),
        f"--backup-wal-dir={shell.path('log/of/b')}",
        "--wal-dir=",
        "--with-v3",
    )
    assert status == 0
    assert "with-v3: there is no v3 data yet" in shell.err
    assert not os.path.exists(shell.path("b/member/wal"))
    assert len(os.listdir(shell.path("log/of/b"))) == 2
    assert shell.backup("--with-v3=false", to="c") == 0
    assert "v3" not in shell.err


def test_a_log_folder_of_its_own_is_named_or_missed(shell, tmp_path):
    persistence, _, worker = opened(tmp_path, wal_folder=shell.path("w"))
    worker.finish(persistence.save(state(), entries(1, 2), None))
    assert shell.backup() == 1
    assert shell.err == (
        f"kvd: wal-dir: {shell.path('d/member/wal')}: No such file or directory; "
        "if the member has a wal-dir, name it with --wal-dir\n"
    ).replace("wal-dir: /", "data-dir: /", 1)
    assert shell.backup("--wal-dir", shell.path("w")) == 0
    assert shell.out.splitlines()[1] == "no snapshot"
    worker.finish(persistence.close())


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            [],
            [
                f"{name}: expected {what} (--{name} FOLDER)"
                for name, what in (
                    ("data-dir", "the data folder of the member, which may be running"),
                    (
                        "backup-dir",
                        "a folder for the backup, which does not exist yet or is empty",
                    ),
                )
            ],
        ),
        (
            ["--bogus", "x"],
            [
                "flag provided but not defined: -bogus (kvd backup --help lists all)",
            ],
        ),
        (["--data-dir"], ["flag needs an argument: -data-dir"]),
        (
            ["one", "-", "--"],
            [f"'{a}' is not a valid flag" for a in ("one", "-", "--")],
        ),
    ],
)
def test_a_mistake_is_a_line(shell, arguments, lines):
    assert shell.run(*arguments) == 1
    assert shell.err.splitlines() == [f"kvd: {line}" for line in lines]
    assert os.listdir(shell.folder) == []


def test_help_tells_every_flag(shell):
    for flag in ("--help", "-h"):
        assert shell.run("--data-dir", "x", flag) == 0
        assert shell.err == ""
        for name in ("data-dir", "wal-dir", "backup-dir", "backup-wal-dir", "with-v3"):
            assert f"--{name}" in shell.out


def test_what_is_no_member_is_said(shell):
    assert shell.backup() == 1
    assert shell.err == (
        f"kvd: data-dir: {shell.path('d')}: there is no member's data; expected a folder "
        "with a member's log in it\n"
    )
    (shell.folder / "d").write_text("a file")
    assert shell.backup() == 1
    assert "identity: Not a directory" in shell.err
    assert not os.path.exists(shell.path("b"))


def test_a_folder_that_is_in_use_is_left_alone(shell, running):
    os.mkdir(shell.path("b"))
    (shell.folder / "b" / "precious").write_text("x")
    assert shell.backup() == 1
    assert shell.err == (
        f"kvd: backup-dir: {shell.path('b')}: it is not empty; expected a folder that "
        "is empty, or does not exist yet\n"
    )
    assert os.listdir(shell.path("b")) == ["precious"]
    os.remove(shell.path("b/precious"))
    assert shell.backup() == 0


def test_a_backup_never_goes_into_what_it_copies_or_through_a_link(shell, running):
    for place in ("d", "d/member/wal/b", "d/x"):
        assert shell.backup(to=place) == 1
        assert "lies in data-dir, expected a place outside" in shell.err
    assert shell.backup("--backup-wal-dir", shell.path("b/wal")) == 1
    assert "lies in backup-dir" in shell.err
    os.mkdir(shell.path("elsewhere"))
    for name in ("b", "b.unfinished"):
        os.symlink(shell.path("elsewhere"), shell.path(name))
        assert shell.backup() == 1
        assert f"{shell.path(name)} is a symbolic link" in shell.err
        os.remove(shell.path(name))
    assert os.listdir(shell.path("elsewhere")) == []
    assert sorted(os.listdir(shell.path("d/member/wal"))) == [f"{0:016x}-{1:016x}.wal"]


def test_a_link_among_the_members_files_is_not_followed(shell, running):
    (name,) = os.listdir(shell.path("d/member/wal"))
    path = shell.path(f"d/member/wal/{name}")
    os.rename(path, shell.path("moved"))
    os.symlink(shell.path("moved"), path)
    assert shell.backup() == 1
    assert shell.err == f"kvd: data-dir: {path}: a symbolic link, not a file\n"


def test_damage_is_one_line_with_file_and_offset(shell, running):
    (name,) = os.listdir(shell.path("d/member/wal"))
    path = shell.path(f"d/member/wal/{name}")
    with open(path, "r+b") as file:
        file.seek(130)
        file.write(b"\xff\xff")
    assert shell.backup() == 1
    (line,) = shell.err.splitlines()
    assert line.startswith(f"kvd: data-dir: {path} at offset 84: a damaged record")
    assert line.endswith("of another member, this one has to be replaced")
    assert sorted(os.listdir(shell.folder)) == ["d"]


def test_a_full_disk_leaves_nothing(shell, running, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    assert shell.backup() == 1
    assert shell.err.startswith(
        f"kvd: backup-dir: {shell.path('b.unfinished')}/member/"
    )
    assert shell.err.endswith(": No space left on device\n")
    monkeypatch.undo()
    assert sorted(os.listdir(shell.folder)) == ["d"]


def test_a_note_about_the_member_is_told(shell, tmp_path, running):
    (name,) = os.listdir(shell.path("d/member/snap"))
    path = shell.path(f"d/member/snap/{name}")
    with open(path, "r+b") as file:
        file.seek(500)
        file.write(b"!")
    assert shell.backup() == 0
    assert f"kvd: {path}: its content does not agree" in shell.err
    assert "6 log entries" in shell.out


def test_sigterm_removes_what_is_unfinished(shell, running):
    before = signal.getsignal(signal.SIGTERM)
    disk = RealDisk()

    def terminated(path):
        os.kill(os.getpid(), signal.SIGTERM)
        RealDisk.sync_folder(disk, path)

    disk.sync_folder = terminated
    status = shell.run(
        "--data-dir", shell.path("d"), "--backup-dir", shell.path("b"), disk=disk
    )
    assert status == 1
    assert shell.err == "kvd: interrupted; nothing was left behind\n"
    assert sorted(os.listdir(shell.folder)) == ["d"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_of_neither_folder_is_told_as_it_is():
    error = backup.StorageError("odd", path="/elsewhere")
    settings = StorageSettings(data_folder="/d"), StorageSettings(data_folder="/b")
    assert backup.explain(error, *settings) == "/elsewhere: odd"


def test_the_command_has_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kvd", "backup", "--help"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert "Usage: kvd backup" in capsys.readouterr().out


def test_the_module_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "kvd.backup"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"kvd: data-dir: expected")
