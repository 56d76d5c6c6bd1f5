"""Files of a port: what is wrong with them is said by option, path and reason."""

from __future__ import annotations

import base64
import random
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kvd.errors import ConfigError
from kvd.tls.certificates import CLIENT, revoke
from kvd.tls.contexts import accepting_context, dialling_context
from kvd.tls.material import FILE_BYTES_MAX, read_material
from kvd.tls.settings import TlsSettings
from tests.tls.world import NOW, Certificates


@pytest.fixture(scope="module")
def certificates():
    made = Certificates()
    locked = made.issue("locked").key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    made.put("locked.key", locked)
    made.put("rubbish", b"rubbish")
    made.put("huge", b" " * (FILE_BYTES_MAX + 1))
    made.put("other-crl.pem", revoke(made.other_ca, [], now=NOW))
    return made


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            {"cert_file": "none"},
            ["cert-file: none cannot be read: No such file or directory"],
        ),
        ({"cert_file": "huge"}, ["cert-file: huge is longer than 4194304 bytes"]),
        (
            {"cert_file": "rubbish", "key_file": "rubbish"},
            [
                "cert-file: rubbish holds no certificates in PEM form",
                "key-file: rubbish holds no private key in PEM form",
            ],
        ),
        (
            {"key_file": "locked.key"},
            ["key-file: locked.key is protected by a password; expected none"],
        ),
        (
            {"cert_file": "server.pem", "key_file": "peer.key"},
            ["key-file: peer.key is not the key of cert-file"],
        ),
        (
            {"trusted_ca_file": "server.key"},
            ["trusted-ca-file: server.key holds no certificates in PEM form"],
        ),
        (
            {"crl_file": "rubbish"},
            ["client-crl-file: rubbish holds no revocation list"],
        ),
        (
            {"crl_file": "rubbish", "prefix": "peer-"},
            ["peer-crl-file: rubbish holds no revocation list"],
        ),
        (
            {"crl_file": "other-crl.pem", "trusted_ca_file": "ca.pem"},
            [
                (
                    "client-crl-file: other-crl.pem holds a list of CN=another CA, whom"
                    " trusted-ca-file does not vouch for"
                )
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_once(certificates, options, lines):
    with pytest.raises(ConfigError) as caught:
        read_material(TlsSettings(**options), certificates.read)
    assert list(caught.value.problems) == lines


def test_several_lists_in_one_file_and_one_in_der_form_are_read(certificates):
    first = certificates.issue("first").certificate
    second = certificates.issue("second").certificate
    both = revoke(certificates.ca, [first], now=NOW) + revoke(
        certificates.ca, [second], now=NOW
    )
    certificates.put("both.pem", both)
    found = read_material(TlsSettings(crl_file="both.pem"), certificates.read)
    assert {serial for _, serial in found.revoked} == {
        first.serial_number,
        second.serial_number,
    }
    der = x509.load_pem_x509_crl(revoke(certificates.ca, [first], now=NOW))
    certificates.put("one.der", der.public_bytes(serialization.Encoding.DER))
    found = read_material(TlsSettings(crl_file="one.der"), certificates.read)
    assert {serial for _, serial in found.revoked} == {first.serial_number}


def test_no_key_is_ever_shown(certificates):
    material = read_material(certificates.settings("server"), certificates.read)
    assert "PrivateKey" not in repr(material)
    assert "key" not in repr(certificates.ca)


def damaged(data, rng):
    """Cut off somewhere, or with a few other bytes below its PEM form."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    blocks = re.findall(
        rb"(-----BEGIN [^-]+-----)\n(.*?)(-----END [^-]+-----)", data, re.DOTALL
    )
    made = []
    for begin, body, end in blocks:
        der = bytearray(base64.b64decode(body))
        for _ in range(rng.randrange(1, 3)):
            der[rng.randrange(len(der))] = rng.randrange(256)
        made.append(begin + b"\n" + base64.encodebytes(bytes(der)) + end + b"\n")
    return b"".join(made)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_half_written_and_damaged_files_are_a_line_for_the_operator(certificates, seed):
    # Whatever else was raised would end the looking after the files for good.
    rng = random.Random(seed)
    gone = certificates.issue("gone", usage=CLIENT).certificate
    certificates.put(
        "two.pem",
        certificates.ca.certificate_pem + certificates.other_ca.certificate_pem,
    )
    certificates.put(
        "two-crl.pem",
        revoke(certificates.ca, [gone], now=NOW)
        + revoke(certificates.other_ca, [], now=NOW),
    )
    settings = certificates.settings(
        "server", trusted_ca_file="two.pem", crl_file="two-crl.pem"
    )
    lines = []
    for _ in range(150):
        spoilt = rng.choice(["server.pem", "server.key", "two.pem", "two-crl.pem"])
        files = {
            **certificates.files,
            spoilt: damaged(certificates.files[spoilt], rng),
        }
        try:
            material = read_material(settings, files.__getitem__)
            accepting_context(settings, material)
            dialling_context(settings, material)
            material.ends()
        except ConfigError as error:
            lines += error.problems
    assert len(lines) > 75
    for line in lines:
        assert re.match(r"[a-z-]+-file: \S+ \S", line), line
