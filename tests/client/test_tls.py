"""Certificates out of PEM."""

import pytest

from kvd.client import TLS, Client
from kvd.tls.generate import main
from tests.client.cluster import Cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("certificates")
    main([str(made), "--client", "ann"])
    return made


def client(tls):
    return Client(Cluster().clock, ["https://kvd"], tls=tls)


def test_files_are_read_as_they_are(folder):
    tls = TLS.from_files(
        ca_file=str(folder / "ca.pem"),
        cert_file=str(folder / "client-ann.pem"),
        key_file=str(folder / "client-ann.key"),
    )
    assert tls.authorities == (folder / "ca.pem").read_bytes()
    assert client(tls).endpoints == ("https://kvd:443",)
    assert "PRIVATE" not in repr(tls)
    chained = TLS(tls.authorities * 2, tls.certificate + tls.authorities, tls.key)
    client(chained)


def test_half_a_pair_and_what_is_no_certificate_are_told(folder):
    certificate = (folder / "client-ann.pem").read_bytes()
    with pytest.raises(ValueError, match="go together"):
        client(TLS(certificate=certificate))
    with pytest.raises(ValueError, match="PEM"):
        client(TLS(authorities=b"nonsense"))
    with pytest.raises(ValueError, match="PEM"):
        client(TLS(certificate=certificate, key=b"nonsense"))
    with pytest.raises(ValueError, match="another certificate's"):
        client(TLS(certificate=certificate, key=(folder / "server.key").read_bytes()))
    with pytest.raises(OSError, match="nothing"):
        TLS.from_files(ca_file=str(folder / "nothing"))
