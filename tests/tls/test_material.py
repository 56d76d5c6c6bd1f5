"""Files of a port: what is wrong with them is said by option, path and reason."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kvd.errors import ConfigError
from kvd.tls.certificates import revoke
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
