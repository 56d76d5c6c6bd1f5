"""``/livez`` and ``/readyz``: single checks, as Kubernetes asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kvd.errors import Unavailable
from kvd.http import answers
from kvd.http.diagnosis import Diagnosis
from kvd.http.exchange import Request, Response
from kvd.http.params import all_values
from kvd.node.interfaces import Member

READ_SECONDS = 1.0
_NO_LEADER = "there is no leader"


class Probes:
    """
    Whether the process should be left alone, and whether it should be asked.

    A check is a name and why it failed, empty if it did not. The first one of
    ``/livez``, that the event loop turns, is made by answering at all.
    """

    def __init__(
        self, *, member: Member, diagnosis: Diagnosis, clock: IReactorTime
    ) -> None:
        self._member = member
        self._diagnosis = diagnosis
        self._clock = clock

    def alive(self, request: Request) -> Response:
        """``/livez``: if it fails, only a new start helps."""
        checks = {"loop": "", "disk": self._diagnosis.disk_problem()}
        return _answer("livez", checks, request)

    def ready(self, request: Request) -> Response | Deferred[Response]:
        """``/readyz``: requests are answered here, writes too."""
        status = self._member.status()
        checks = {
            "leader": "" if status.leader else _NO_LEADER,
            "published": (
                "" if status.ready_to_serve else "the cluster does not know it yet"
            ),
            "room": (
                "less than disk-floor-bytes is free" if status.out_of_space else ""
            ),
        }
        if not status.leader:
            return _answer("readyz", {**checks, "read": _NO_LEADER}, request)

        def read(problem: str) -> Response:
            return _answer("readyz", {**checks, "read": problem}, request)

        asked = self._member.read_index().addTimeout(READ_SECONDS, self._clock)
        return asked.addCallbacks(lambda _: "", _why_not_read).addCallback(read)


def _why_not_read(failure: Failure) -> str:
    if isinstance(failure.value, Unavailable):
        return str(failure.value)
    if isinstance(failure.value, DeferredTimeoutError | CancelledError):
        return f"no majority has answered within {READ_SECONDS:g} s"
    return failure  # type: ignore[return-value]  # a failure goes on as such


def _answer(name: str, checks: Mapping[str, str], request: Request) -> Response:
    """
    ``ok``, or a line for each check where one failed or ``?verbose`` asks for them.

    What ``?exclude=`` names does not count.
    """
    asked = all_values(request.query)
    excluded = asked.get("exclude", ())
    lines = []
    passed = True
    for check, problem in checks.items():
        if check in excluded:
            lines.append(f"[+]{check} excluded: ok")
        elif problem:
            passed = False
            lines.append(f"[-]{check} failed: {problem}")
        else:
            lines.append(f"[+]{check} ok")
    if passed and "verbose" not in asked:
        return answers.plain_text(200, "ok")
    lines.append(f"{name} check {'passed' if passed else 'failed'}\n")
    return answers.plain_text(200 if passed else 503, "\n".join(lines))
