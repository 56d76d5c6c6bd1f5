"""What holds for every test: a failure that was only logged fails it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure


@pytest.fixture(autouse=True)
def logged_failures() -> Iterator[list[Failure]]:
    """
    Failures that Twisted logged during the test, the unhandled ones included.

    A test that expects some takes the fixture, looks at them and clears the list.
    """
    failures: list[Failure] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield failures
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not failures, "\n".join(f.getTraceback() for f in failures)
