"""``python -m kvd.tls``: certificates for trying it."""

from __future__ import annotations

import os
import stat

import pytest
from twisted.internet.task import Clock

from kvd.tls.generate import main
from kvd.tls.port import TlsPort
from kvd.tls.settings import TlsSettings
from tests.tls.world import Meeting


def port(folder, name, **others):
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    return TlsPort(
        TlsSettings(
            cert_file=f"{folder}/{name}.pem",
            key_file=f"{folder}/{name}.key",
            trusted_ca_file=f"{folder}/ca.pem",
            **others,
        ),
        what="client",
        read_file=read,
        clock=Clock(),
        handshake_seconds=5,
        pending_max=5,
    )


def test_what_is_made_fits_together(tmp_path):
    folder = str(tmp_path / "tls")
    assert main([folder, "--client", "anna", "--host", "member.example"]) == 0
    for dialling in ("client-anna", "peer"):
        for accepting, host in (("server", "localhost"), ("peer", "member.example")):
            meeting = Meeting(
                port(folder, accepting), port(folder, dialling), host=host
            )
            assert meeting.said == [b"echo hello"], (dialling, accepting)
    for name in os.listdir(folder):
        mode = os.stat(os.path.join(folder, name)).st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_a_second_run_keeps_what_is_there_and_revokes(tmp_path):
    folder = str(tmp_path)
    main([folder, "--client", "anna", "--client", "bert"])
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(folder)}
    main([folder, "--revoke", "anna", "--renew"])
    after = {name: (tmp_path / name).read_bytes() for name in os.listdir(folder)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"crl.pem", "server.pem", "server.key", "peer.pem", "peer.key"}
    accepting = port(folder, "server", crl_file=f"{folder}/crl.pem")
    assert Meeting(accepting, port(folder, "client-bert")).said
    assert not Meeting(accepting, port(folder, "client-anna")).end().said


def test_what_cannot_be_done_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    for arguments in (
        [str(tmp_path / "file")],
        [str(tmp_path / "new"), "--revoke", "nobody"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 1
        assert capsys.readouterr().err.startswith("kvd.tls: ")
