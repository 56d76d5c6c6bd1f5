"""A port's TLS: names, limits, versions, sessions, and new files while it serves."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from OpenSSL import SSL, crypto
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from kvd.errors import ConfigError, PeerError
from kvd.tls.certificates import CLIENT, revoke
from kvd.tls.contexts import dialling_context
from kvd.tls.material import read_material
from kvd.tls.port import REFUSAL_SECONDS, REFUSALS_SAID_MAX
from kvd.tls.settings import TlsSettings
from tests.tls.world import ADDRESS, NOW, Certificates, Echo, Meeting, Plain, Wire

CA_ONLY = TlsSettings(trusted_ca_file="ca.pem")


@pytest.fixture(scope="module")
def made():
    return Certificates()


@pytest.fixture
def certificates(made):
    """A copy whose files a test may change."""
    copy = Certificates.__new__(Certificates)
    copy.__dict__.update(made.__dict__)
    copy.files = dict(made.files)
    return copy


def server(certificates, clock=None, **others):
    return certificates.port(
        certificates.settings("server"), clock or Clock(), **others
    )


def refusal(meeting):
    meeting.end()
    (failure,) = meeting.outcome
    assert failure.check(PeerError), failure
    return failure.getErrorMessage()


def test_who_is_dialled_must_have_the_name_that_was_dialled(certificates):
    dialling = certificates.port(CA_ONLY, Clock())
    assert Meeting(server(certificates), dialling, host="127.0.0.1").said
    assert Meeting(server(certificates), dialling, host="localhost").said
    for host in ("127.0.0.2", "other.example"):
        meeting = Meeting(server(certificates), dialling, host=host)
        assert meeting.heard in ([], ["gone"])
        assert refusal(meeting) == (
            f"TLS handshake: the certificate of server is not for {host}"
        )


def test_who_is_dialled_must_be_vouched_for(certificates):
    dialling = certificates.port(TlsSettings(trusted_ca_file="other-ca.pem"), Clock())
    message = refusal(Meeting(server(certificates), dialling))
    assert message == (
        "TLS handshake: certificate of server: an authority that is not ours has "
        "signed it"
    )


def test_certificates_of_our_own_making_are_trusted_by_nobody_and_taken_by_all(
    certificates,
):
    own = attrs.evolve(certificates.settings("server"), folder="/data/fixtures/peer")
    meeting = Meeting(
        server(certificates), certificates.port(own, Clock()), host="any.where"
    )
    assert meeting.said == [b"echo hello"]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"allowed_cn": "peer"}, ""),
        ({"allowed_hostname": "peer.example"}, ""),
        ({"allowed_cn": "pee"}, "its common name is 'peer', expected 'pee'"),
        (
            {"allowed_hostname": "other.example"},
            "it is not for 'other.example', but for: localhost, peer.example",
        ),
    ],
)
def test_only_certain_names_may_dial(certificates, rule, why):
    clock = Clock()
    settings = certificates.settings("server", trusted_ca_file="ca.pem", **rule)
    accepting = certificates.port(settings, clock)
    dialling = certificates.port(
        certificates.settings("peer", trusted_ca_file="ca.pem"), clock
    )
    meeting = Meeting(accepting, dialling)
    meeting.end()
    assert bool(meeting.heard) is not bool(why)
    assert (accepting.accepted, accepting.refused) == ((0, 1) if why else (1, 0))
    if why:
        assert list(accepting._refusals_said) == [why]


def test_a_slow_handshake_is_given_up(certificates):
    clock = Clock()
    port = server(certificates, clock, seconds=5)
    heard = []
    factory = port.accept(Factory.forProtocol(lambda: Echo(heard)))
    protocol = factory.buildProtocol(ADDRESS)
    wire = Wire(protocol, Nobody(), clock)
    clock.advance(4.9)
    assert not wire.ends[0][1].disconnecting
    clock.advance(0.2)
    assert wire.ends[0][1].disconnecting
    wire.end()
    assert list(port._refusals_said) == ["no handshake within 5 seconds"]
    assert heard == []


class Nobody:
    """The other end of a connection on which nothing is said."""

    def makeConnection(self, transport):
        """Silence."""

    def dataReceived(self, data):
        """Silence."""

    def connectionLost(self, reason):
        """Silence."""


def test_of_too_many_handshakes_the_oldest_ends(certificates):
    clock = Clock()
    port = server(certificates, clock, pending_max=2)
    factory = port.accept(Factory.forProtocol(lambda: Echo([])))
    wires = [Wire(factory.buildProtocol(ADDRESS), Nobody(), clock) for _ in range(3)]
    ended = [wire.ends[0][1].disconnecting for wire in wires]
    assert ended == [True, False, False]
    for wire in wires:
        wire.end()
    assert not clock.getDelayedCalls()


def test_garbage_in_place_of_a_handshake_ends_quietly(certificates):
    clock = Clock()
    port = server(certificates, clock)
    factory = port.accept(Factory.forProtocol(lambda: Echo([])))
    wire = Wire(factory.buildProtocol(ADDRESS), Nobody(), clock)
    wire.ends[0][0].dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    wire.end()
    assert list(port._refusals_said) == ["http request"]
    assert not clock.getDelayedCalls()


def old_version(certificates):
    context = dialling_context(CA_ONLY, read_material(CA_ONLY, certificates.read))
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    return context


def test_nothing_older_than_tls_1_2_is_spoken(certificates):
    dialling = certificates.port(CA_ONLY, Clock())
    dialling.load()
    dialling._current = attrs.evolve(
        dialling._current, dialling=old_version(certificates)
    )
    meeting = Meeting(server(certificates), dialling)
    assert meeting.heard in ([], ["gone"])
    assert refusal(meeting)


def test_cipher_suites_are_honoured_with_tls_1_2(certificates):
    name = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    accepting = certificates.port(
        attrs.evolve(certificates.settings("server"), cipher_suites=(name,)), Clock()
    )
    dialling = certificates.port(CA_ONLY, Clock())
    dialling.load()
    dialling._current.dialling.set_max_proto_version(SSL.TLS1_2_VERSION)
    meeting = Meeting(accepting, dialling)
    assert meeting.said
    server_end = meeting.wire.ends[0][0]
    assert server_end.getHandle().get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_new_files_count_for_new_connections_and_old_ones_live_on(certificates):
    clock = Clock()
    accepting = server(certificates, clock)
    dialling = certificates.port(CA_ONLY, clock)
    before = Meeting(accepting, dialling)
    assert not accepting.load()
    certificates.add("server", certificates.issue("renewed", hosts=["localhost"]))
    assert accepting.load()
    after = Meeting(accepting, dialling)
    shown = after.wire.ends[1][0].getPeerCertificate().to_cryptography()
    assert shown.subject.rfc4514_string() == "CN=renewed"
    before.wire.ends[1][0].wrappedProtocol.transport.write(b"again")
    before.wire.carry()
    assert before.said == [b"echo hello", b"echo again"]


def test_a_bad_bundle_is_refused_and_the_old_one_serves(certificates):
    clock = Clock()
    accepting = server(certificates, clock)
    dialling = certificates.port(CA_ONLY, clock)
    assert Meeting(accepting, dialling).said
    certificates.put("server.pem", b"rubbish")
    with pytest.raises(ConfigError, match=r"cert-file: server\.pem holds no cert"):
        accepting.load()
    assert Meeting(accepting, dialling).said


def test_a_client_that_is_revoked_cannot_resume_its_session(certificates):
    clock = Clock()
    client = certificates.add("client", certificates.issue("anna", usage=CLIENT))
    certificates.put("crl.pem", revoke(certificates.ca, [], now=NOW))
    settings = certificates.settings(
        "server", trusted_ca_file="ca.pem", crl_file="crl.pem"
    )
    accepting = certificates.port(settings, clock)
    dialling = certificates.port(
        certificates.settings("client", trusted_ca_file="ca.pem"), clock
    )
    first = Meeting(accepting, dialling)
    session = first.wire.ends[1][0].getHandle().get_session()
    assert session is not None

    def resuming():
        connection = original()
        connection.set_session(session)
        return connection

    original = dialling._dialling_connection
    dialling._dialling_connection = resuming
    again = Meeting(accepting, dialling)
    assert again.said
    revoked = revoke(certificates.ca, [client.certificate], now=NOW)
    certificates.put("crl.pem", revoked)
    accepting.load()
    refused = Meeting(accepting, dialling).end()
    assert refused.said == []
    assert list(accepting._refusals_said) == ["certificate of anna: it was revoked"]


@pytest.mark.parametrize(
    "spelt",
    [
        x509.NameAttribute(
            x509.NameOID.COMMON_NAME, "our CA", _type=_ASN1Type.PrintableString
        ),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "Our  ca"),
    ],
    ids=["encoding", "case and spaces"],
)
def test_a_list_revokes_however_it_spells_its_authority(certificates, spelt):
    # As OpenSSL compares names; other tools than ours write the list.
    clock = Clock()
    client = certificates.add("client", certificates.issue("anna", usage=CLIENT))
    entry = x509.RevokedCertificateBuilder(
        client.certificate.serial_number, NOW - timedelta(hours=1)
    ).build()
    listed = x509.CertificateRevocationListBuilder(
        issuer_name=x509.Name([spelt]),
        last_update=NOW - timedelta(hours=1),
        next_update=NOW + timedelta(days=1),
        revoked_certificates=[entry],
    ).sign(certificates.ca.key, hashes.SHA256())
    certificates.put("crl.pem", listed.public_bytes(Encoding.PEM))
    settings = certificates.settings(
        "server", trusted_ca_file="ca.pem", crl_file="crl.pem"
    )
    accepting = certificates.port(settings, clock)
    dialling = certificates.port(
        certificates.settings("client", trusted_ca_file="ca.pem"), clock
    )
    assert Meeting(accepting, dialling).end().said == []
    assert list(accepting._refusals_said) == ["certificate of anna: it was revoked"]


def test_a_certificate_that_openssl_alone_can_read_is_refused_as_any_other(
    certificates,
):
    # Anybody can show one; it must not become an error of ours.
    clock = Clock()
    certificates.add("client", certificates.issue("anna", usage=CLIENT))
    settings = certificates.settings("server", trusted_ca_file="ca.pem")
    accepting = certificates.port(settings, clock)
    dialling = certificates.port(
        certificates.settings("client", trusted_ca_file="ca.pem"), clock
    )
    dialling.load()
    good = dialling.material.chain[0].public_bytes(Encoding.DER)
    of_no_version = good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x40", 1)
    assert of_no_version != good
    shown = crypto.load_certificate(crypto.FILETYPE_ASN1, of_no_version)
    with pytest.warns(DeprecationWarning, match="X509 objects"):  # no other way
        dialling._current.dialling.use_certificate(shown)
    Meeting(accepting, dialling).end()
    (why,) = accepting._refusals_said
    assert why.startswith("certificate of (no name): ")


def test_who_comes_while_nobody_is_served_is_turned_away_without_a_word(certificates):
    accepting = server(certificates)
    dialling = certificates.port(CA_ONLY, Clock())
    meeting = Meeting(accepting, dialling, served=False)
    assert meeting.wire.ends[0][1].disconnecting
    meeting.end()
    assert (accepting.accepted, accepting.refused) == (0, 0)
    assert meeting.heard == []


def test_handshakes_that_are_under_way_end_with_their_port(certificates):
    clock = Clock()
    port = server(certificates, clock)
    factory = port.accept(Factory.forProtocol(lambda: Echo([])))
    factory.doStart()
    wire = Wire(factory.buildProtocol(ADDRESS), Nobody(), clock)
    factory.doStop()
    assert wire.ends[0][1].disconnecting
    wire.end()
    assert not clock.getDelayedCalls()
    assert port.refused == 0


def test_whom_we_dialled_need_not_answer_our_goodbye(certificates):
    meeting = Meeting(server(certificates), certificates.port(CA_ONLY, Clock()))
    (_, answered), (client, ours) = meeting.wire.ends
    client.wrappedProtocol.transport.loseConnection()
    assert ours.disconnecting
    assert ours.value()  # the goodbye itself
    assert not answered.disconnecting


def test_names_without_end_fill_no_log(certificates):
    clock = Clock()
    port = server(certificates, clock)
    lines = []

    def observe(event):
        if event.get("log_namespace") == "kvd.tls.port.TlsPort":
            lines.append(event["why"])

    globalLogPublisher.addObserver(observe)
    try:
        for name in range(2 * REFUSALS_SAID_MAX):
            port._refused("192.0.2.7:1", f"certificate of {name}: it is new")
        assert len(lines) == REFUSALS_SAID_MAX
        assert port.refused == 2 * REFUSALS_SAID_MAX
        clock.advance(REFUSAL_SECONDS)
        port._refused("192.0.2.7:1", "certificate of 0: it is new")
        assert len(lines) == REFUSALS_SAID_MAX + 1
        assert len(port._refusals_said) == 1
    finally:
        globalLogPublisher.removeObserver(observe)


def test_an_attempt_that_is_cancelled_ends_its_connection(certificates):
    clock = Clock()
    plain = Plain()
    outcome = []
    attempt = (
        certificates.port(CA_ONLY, clock)
        .endpoint(plain, "localhost")
        .connect(Factory.forProtocol(lambda: Echo([])))
    )
    attempt.addErrback(lambda failure: outcome.append(failure.type.__name__))
    wire = Wire(plain.factory.buildProtocol(ADDRESS), Nobody(), clock)
    attempt.cancel()
    assert outcome == ["CancelledError"]
    assert wire.ends[0][1].disconnecting
    wire.end()
    assert not clock.getDelayedCalls()
