"""What recipes say of their own accord."""

import pytest
from twisted.logger import LogLevel, globalLogPublisher


@pytest.fixture
def logged_warnings():
    """Events of that level which were logged during the test."""
    warnings = []

    def observe(event):
        if event["log_level"] is LogLevel.warn:
            warnings.append(event)

    globalLogPublisher.addObserver(observe)
    yield warnings
    globalLogPublisher.removeObserver(observe)
