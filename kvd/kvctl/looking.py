"""All members of a cluster, asked at the same time, whoever of them answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Final, Protocol, TypeVar

import attrs

from kvd.kvctl.cluster import MEMBERS
from kvd.kvctl.daemons import Daemons
from kvd.kvctl.endpoint import Endpoint, endpoint_of
from kvd.kvctl.errors import ClusterError
from kvd.kvctl.observing import (
    CannotAsk,
    Member,
    Observation,
    Observer,
    members_of,
    unreachable,
)
from kvd.kvctl.wire import Answer, Request, Settings, Wire

JOBS_MAX: Final = 16
In = TypeVar("In")
Out = TypeVar("Out")


class Asks(Protocol):
    """Who carries a GET to one endpoint, in whichever thread."""

    def look(self, endpoint: str, target: str) -> Answer:
        """:raises CannotAsk:"""
        ...


class Wires:
    """
    A wire for each thread, for none may be used by two.

    :param total_seconds: for one answer; 0: any time.
    """

    def __init__(self, settings: Settings, *, total_seconds: float) -> None:
        self._settings = settings
        self._total_seconds = total_seconds
        self._of_thread = threading.local()
        self._all: list[Wire] = []
        self._at_work: set[Wire] = set()

    def close(self) -> None:
        """Drop all connections, but for those on which a thread still waits."""
        for wire in self._all:
            if wire not in self._at_work:
                wire.close()

    def look(self, endpoint: str, target: str) -> Answer:
        """:raises CannotAsk:"""
        wire = getattr(self._of_thread, "wire", None)
        if wire is None:
            wire = self._of_thread.wire = Wire(self._settings)
            self._all.append(wire)
        deadline = time.monotonic() + self._total_seconds
        self._at_work.add(wire)
        try:
            return wire.ask(
                endpoint_of(endpoint),
                # What members say of themselves they say to anybody.
                Request("GET", target, anonymous=True),
                deadline if self._total_seconds else None,
            )
        except (ClusterError, ValueError) as error:
            raise CannotAsk(str(error)) from None
        finally:
            self._at_work.discard(wire)


@attrs.frozen
class Cluster:
    """
    Who belongs to it, and where each can be asked.

    :ivar endpoints: of each member that answers, by its id.
    :ivar troubles: what came of asking the other URLs, by URL.
    """

    members: Sequence[Member]
    endpoints: dict[str, str]
    troubles: dict[str, str]


class NobodyAnswers(Exception):
    """
    Not one endpoint gave a list of members.

    :ivar troubles: what each said, by URL.
    """

    def __init__(self, troubles: dict[str, str]) -> None:
        super().__init__("no endpoint answers with a list of members")
        self.troubles = troubles


class Looking:
    """
    Finds the members and looks at them.

    :param given: endpoints to begin with; they stay good for members whose own URLs do
        not lead to them from here.
    """

    def __init__(
        self,
        given: Sequence[Endpoint],
        asks: Asks,
        executor: Executor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given = [each.url for each in given]
        self._asks = asks
        self._executor = executor
        self._clock = clock
        self._observer = Observer(asks.look, clock)

    def find(self) -> Cluster:
        """
        The members as one of them lists them.

        :raises NobodyAnswers:
        """
        troubles: dict[str, str] = {}
        members = self._members(troubles)
        urls = dict.fromkeys(url for each in members for url in each.client_urls)
        urls |= dict.fromkeys(self._given)
        endpoints: dict[str, str] = {}
        for url, (member_id, trouble) in zip(
            urls, self._each(self._identified, urls), strict=True
        ):
            if member_id:
                endpoints.setdefault(member_id, url)
            else:
                troubles[url] = trouble
        return Cluster(members, endpoints, troubles)

    def observe(self, found: Cluster) -> list[Observation]:
        """A look at each member, in the order of the list."""

        def look(member: Member) -> Observation:
            endpoint = found.endpoints.get(member.member_id)
            if endpoint is not None:
                return self._observer.observe(member, endpoint)
            troubles = [
                found.troubles[url]
                for url in member.client_urls
                if url in found.troubles
            ]
            return unreachable(member, troubles, at_seconds=self._clock())

        return self._each(look, found.members)

    def _members(self, troubles: dict[str, str]) -> list[Member]:
        for (members, trouble), url in zip(
            self._each(self._listed, self._given), self._given, strict=True
        ):
            if members:
                return members
            troubles[url] = trouble
        raise NobodyAnswers(troubles)

    def _listed(self, url: str) -> tuple[list[Member], str]:
        try:
            answer = self._asks.look(url, MEMBERS)
            if answer.status != 200:
                return [], f"status {answer.status}"
            return members_of(answer.body), "an empty list of members"
        except (CannotAsk, ValueError) as error:
            return [], str(error)

    def _identified(self, url: str) -> tuple[str, str]:
        try:
            return self._observer.identified(url), ""
        except CannotAsk as error:
            return "", str(error)

    def _each(self, job: Callable[[In], Out], of: Iterable[In]) -> list[Out]:
        return list(self._executor.map(job, of))


def threads() -> Daemons:
    """For one :class:`Looking`."""
    return Daemons(JOBS_MAX)
