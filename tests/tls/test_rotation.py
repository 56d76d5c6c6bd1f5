"""Files are read again when they change, and dates are looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from kvd.tls.certificates import revoke
from kvd.tls.rotation import Rotation
from kvd.tls.settings import TlsSettings
from tests.tls.world import NOW, Certificates

DAY = 86_400


class World:
    """A clock, a port and its rotation."""

    def __init__(self):
        self.clock = Clock()
        self.certificates = Certificates()
        self.began = NOW
        self.lines = []
        settings = self.certificates.settings("server", trusted_ca_file="ca.pem")
        self.port = self.certificates.port(settings, self.clock)
        self.rotation = Rotation(
            {"client": self.port},
            clock=self.clock,
            now=lambda: self.began + timedelta(seconds=self.clock.seconds()),
            interval_seconds=10,
        )

    def renew(self, name, *, days=100):
        issued = self.certificates.issue(name, hosts=["localhost"], days=days)
        self.certificates.add("server", issued)


@pytest.fixture
def world():
    made = World()

    def observe(event):
        if event.get("log_namespace") == "kvd.tls.rotation.Rotation":
            line = event["log_format"].format(**event)
            made.lines.append(f"{event['log_level'].name}: {line}")

    globalLogPublisher.addObserver(observe)
    yield made
    made.rotation.stop()
    globalLogPublisher.removeObserver(observe)
    assert not made.clock.getDelayedCalls()


def test_changed_files_are_read_within_the_interval(world):
    world.rotation.start()
    world.lines.clear()
    world.renew("renewed")
    world.clock.advance(9)
    assert world.port.material.ends()[0][0] == "server"
    world.clock.advance(1)
    assert world.port.material.ends()[0][0] == "renewed"
    assert world.lines[0] == (
        "info: client TLS: new files are in force for new connections"
    )


def test_a_reload_that_is_asked_for_is_done_at_once(world):
    world.rotation.start()
    world.renew("renewed")
    world.rotation.reload()
    assert world.port.material.ends()[0][0] == "renewed"


def test_bad_files_are_complained_about_once_and_change_nothing(world):
    world.rotation.start()
    world.lines.clear()
    world.certificates.put("server.key", b"rubbish")
    for _ in range(3):
        world.clock.advance(10)
    assert world.lines == [
        (
            "error: client TLS: key-file: server.key holds no private key in PEM form; "
            "what was read before stays in force"
        )
    ]
    assert world.port.material.ends()[0][0] == "server"
    world.renew("renewed")
    world.clock.advance(10)
    world.certificates.put("server.key", b"rubbish")
    world.clock.advance(10)
    assert sum(line.startswith("error") for line in world.lines) == 2


def test_what_ends_within_thirty_days_is_warned_about_at_start_and_daily(world):
    world.certificates.put("ca.pem", world.certificates.ca.certificate_pem)
    world.renew("renewed", days=30.9)
    world.rotation.start()
    about = [line for line in world.lines if "renewed" in line]
    assert about == []
    world.lines.clear()
    world.clock.pump([DAY] * 2)
    assert [line for line in world.lines if "renewed" in line] == [
        f"warn: client TLS: the certificate of renewed expires in {days} days"
        for days in (29, 28)
    ]


def test_what_has_ended_is_said(world):
    world.renew("renewed", days=-2)
    world.rotation.start()
    assert (
        "warn: client TLS: the certificate of renewed expired 2 days ago" in world.lines
    )


def test_a_revocation_list_that_ends_is_warned_about(world):
    world.certificates.put("crl.pem", revoke(world.certificates.ca, [], now=NOW))
    port = world.certificates.port(TlsSettings(crl_file="crl.pem"), world.clock)
    world.rotation = Rotation(
        {"client": port},
        clock=world.clock,
        now=lambda: NOW + timedelta(days=1),
        interval_seconds=10,
    )
    world.rotation.start()
    assert world.lines == ["warn: client TLS: the revocation list expires in 28 days"]
    assert world.rotation.days_left() == ()


def test_days_left_are_those_of_the_first_in_a_file_to_end(world):
    (own, days), (trusted, more) = world.rotation.days_left()
    assert (own, trusted) == ("cert-file", "trusted-ca-file")
    assert 4.9 < days < 5.1
    assert 9.9 < more < 10.1
