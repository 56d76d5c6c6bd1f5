"""Row A06: which certificates a port serves, and what it says of the others."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from kvd.tls.certificates import BOTH, CLIENT, SERVER, issue, make_authority, revoke
from kvd.tls.settings import TlsSettings
from tests.tls.world import NOW, Certificates, Meeting


@pytest.fixture(scope="module")
def certificates():
    made = Certificates()
    made.add("client", made.issue("anna", usage=CLIENT))
    made.add("both", made.issue("bert", usage=BOTH))
    made.add("no usage", made.issue("carl", usage=()))
    made.add("server only", made.issue("dora", usage=SERVER))
    made.add("expired", made.issue("emil", usage=CLIENT, days=-1))
    future = made.issue("frida", usage=CLIENT, begins=NOW + timedelta(days=1), days=2)
    made.add("not yet", future)
    made.add("other CA", made.issue("gero", authority=made.other_ca, usage=CLIENT))
    made.add("self-signed", issue(None, "hanna", usage=CLIENT, now=NOW, days=5))
    revoked = made.add("revoked", made.issue("ida", usage=CLIENT))
    made.add(
        "with middle",
        made.issue("jan", authority=made.middle, usage=CLIENT),
        made.middle,
    )
    made.add("without middle", made.issue("karl", authority=made.middle, usage=CLIENT))
    fake = made.issue("no CA", usage=BOTH)
    made.add(
        "by no authority", issue(fake, "lena", usage=CLIENT, now=NOW, days=5), fake
    )
    same_name = make_authority("our CA", now=NOW, days=10)
    made.add(
        "CA of the same name", made.issue("mona", authority=same_name, usage=CLIENT)
    )
    made.put("crl.pem", revoke(made.ca, [revoked.certificate], now=NOW))
    return made


GOOD = ["client", "both", "no usage", "with middle"]
BAD = {
    "server only": "certificate of dora: it is not meant for this use",
    "expired": "certificate of emil: it has expired",
    "not yet": "certificate of frida: it is not yet valid",
    "other CA": "certificate of gero: an authority that is not ours has signed it",
    "self-signed": "certificate of hanna: it is signed by itself",
    "revoked": "certificate of ida: it was revoked",
    "without middle": "certificate of karl: an authority that is not ours has signed it",
    "by no authority": "certificate of no CA: it is signed by what is no authority",
    "CA of the same name": "certificate of mona",
    "": "peer did not return a certificate",
}


@pytest.fixture
def lines():
    seen = []

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd.tls"):
            seen.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def meet(certificates, name):
    clock = Clock()
    accepting = certificates.port(
        certificates.settings(
            "server",
            trusted_ca_file="ca.pem",
            crl_file="crl.pem",
            client_cert_auth=True,
        ),
        clock,
    )
    shown = certificates.settings(name) if name else TlsSettings()
    settings = attrs.evolve(shown, trusted_ca_file="ca.pem")
    return Meeting(accepting, certificates.port(settings, clock))


@pytest.mark.parametrize("name", GOOD)
def test_cert_table_good(certificates, name, lines):
    meeting = meet(certificates, name)
    assert meeting.heard == [b"hello"]
    assert meeting.said == [b"echo hello"]
    assert lines == []


@pytest.mark.parametrize("name", BAD)
def test_cert_table_bad(certificates, name, lines):
    meeting = meet(certificates, name).end()
    assert meeting.heard == []
    assert meeting.said == []
    assert len(lines) == 1
    assert lines[0].startswith("refused a client at 192.0.2.7:4711: TLS handshake: ")
    assert BAD[name] in lines[0]
