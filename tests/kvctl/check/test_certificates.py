"""Certificates in files, in handshakes and in metrics."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kvd.kvctl.check.certificates import (
    OwnFiles,
    Shown,
    check_files,
    check_shown,
    check_told,
)
from kvd.kvctl.check.findings import Level
from kvd.tls.certificates import issue, make_authority
from tests.kvctl.looks import seen

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CA = make_authority("authority", now=NOW, days=365)
BETWEEN = make_authority("between", now=NOW, days=365, issuer=CA)
ANN = issue(CA, "ann", now=NOW, days=100)


def files(issued=ANN, *, chain=b"", key=None, authority=CA, mode=0o600):
    return OwnFiles(
        certificate=issued.certificate_pem + chain,
        key=issued.key_pem if key is None else key,
        authorities=authority.certificate_pem,
        key_mode=mode,
    )


def findings(given, now=NOW):
    return list(check_files(given, now=now))


def worst(given, now=NOW):
    return [each.seen for each in findings(given, now) if each.level is not Level.OK]


def test_a_pair_that_fits_is_well():
    found = findings(files())
    assert {each.level for each in found} == {Level.OK}
    assert [each.seen for each in found] == [
        "--cert-file: ann is valid for 100 days",
        "--ca-file: authority is valid for 365 days",
    ]


def test_without_files_there_is_nothing_to_be_said():
    assert findings(OwnFiles()) == []


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (-3, Level.PROBLEM, "expired 3 days ago"),
        (10, Level.WARNING, "expires in 10 days"),
        (90, Level.OK, "valid for 90 days"),
    ],
)
def test_the_end_of_a_certificate_is_told_in_days(days, level, words):
    found = findings(files(issue(CA, "ann", now=NOW, days=days)))
    assert (found[0].level, words in found[0].seen) == (level, True)


def test_a_certificate_of_the_future_is_a_problem():
    later = issue(CA, "ann", now=NOW, days=9, begins=datetime(2026, 6, 5, tzinfo=UTC))
    assert "valid from 2026-06-05 00:00:00+00:00 on" in worst(files(later))[0]


def test_another_key_is_a_problem():
    other = issue(CA, "bob", now=NOW, days=9)
    assert worst(files(key=other.key_pem)) == [
        "--key-file is not the key of --cert-file"
    ]


@pytest.mark.parametrize("key", [b"", b"no key", CA.certificate_pem])
def test_no_key_is_a_problem(key):
    assert worst(files(key=key)) == ["--key-file holds no private key that can be read"]


def test_a_key_that_others_can_read_is_a_warning():
    assert worst(files(mode=0o644)) == ["--key-file can be read by others (mode 644)"]


def test_what_is_no_certificate_is_told_by_its_option():
    bad = OwnFiles(certificate=b"x", authorities=b"-----BEGIN CERTIFICATE-----\nx\n")
    assert worst(bad) == [
        "--cert-file holds no certificate that can be read",
        "--ca-file holds no certificate that can be read",
    ]


def test_a_chain_may_have_several_links():
    leaf = issue(BETWEEN, "ann", now=NOW, days=100)
    assert worst(files(leaf, chain=BETWEEN.certificate_pem)) == []
    assert "was not issued by an authority" in worst(files(leaf))[0]


def test_an_authority_of_the_same_name_is_another_one():
    other = make_authority("authority", now=NOW, days=365)
    assert "was not issued by an authority" in worst(files(authority=other))[0]


def der(issued):
    return issued.certificate.public_bytes(Encoding.DER)


def test_a_member_that_is_trusted_shows_when_it_ends():
    (found,) = check_shown({"https://m1:1": Shown(der(ANN))}, now=NOW)
    assert (found.level, found.seen) == (
        Level.OK,
        "https://m1:1: ann is valid for 100 days",
    )


def test_one_that_is_not_trusted_is_told_with_the_names_it_has():
    named = issue(CA, "m", now=NOW, days=100, hosts=["a.example", "10.0.0.1"])
    shown = Shown(der(named), "Hostname mismatch")
    first, second = check_shown({"https://m1:1": shown}, now=NOW)
    assert first.level is Level.PROBLEM
    assert first.seen == (
        "https://m1:1: Hostname mismatch; it is for a.example, 10.0.0.1"
    )
    assert second.level is Level.OK


def test_one_without_names_is_for_nobody():
    shown = Shown(der(ANN), "Hostname mismatch")
    assert "it is for nobody" in next(check_shown({"u": shown}, now=NOW)).seen


def test_no_handshake_is_a_problem_without_a_certificate():
    (found,) = check_shown({"https://m1:1": Shown(b"", "refused")}, now=NOW)
    assert (found.level, found.seen) == (Level.PROBLEM, "https://m1:1: refused")


def test_bytes_that_are_no_certificate_are_passed_over():
    assert list(check_shown({"u": Shown(b"x")}, now=NOW)) == []


def test_what_members_tell_of_their_files_is_told_when_it_ends_soon():
    metrics = {
        "kvd_certificate_days_left{file=server.pem}": 200,
        "kvd_certificate_days_left{file=peer.pem}": 3.2,
        "kvd_certificate_days_left{file=ca.pem}": -1.0,
    }
    assert [
        (each.level, each.seen) for each in check_told([seen(metrics=metrics)])
    ] == [
        (Level.PROBLEM, "m1: ca.pem expired 1 days ago"),
        (Level.WARNING, "m1: peer.pem expires in 3 days"),
    ]
