"""The members of a cluster: each is asked in turn until one answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kvd.kvctl.endpoint import Endpoint, endpoint_of
from kvd.kvctl.errors import (
    AllFailed,
    BadAnswer,
    EndpointFailed,
    NoEndpoints,
)
from kvd.kvctl.wire import Answer, Request

MEMBERS: Final = "/v2/members"
ENDPOINTS_MAX: Final = 1024
"""Given or discovered."""

Shuffle = Callable[[Sequence[Endpoint]], Sequence[Endpoint]]


class Asks(Protocol):
    """Who carries a request to one endpoint: :class:`kvd.kvctl.wire.Wire`."""

    def ask(
        self, endpoint: Endpoint, request: Request, deadline: float | None
    ) -> Answer: ...

    def close(self) -> None: ...


class Cluster:
    """
    Endpoints in the order in which they are tried, beginning with the one that answered
    last.

    :param total_seconds: for one call of :meth:`ask`, or of :meth:`sync`.
    :param shuffle: the order of the endpoints; at random, so that not everybody asks
        the same member.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        wire: Asks,
        *,
        total_seconds: float,
        shuffle: Shuffle,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = tuple(shuffle(endpoints[:ENDPOINTS_MAX]))
        self._wire = wire
        self._total_seconds = total_seconds
        self._shuffle = shuffle
        self._clock = clock
        self._pinned = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URLs, in the order in which they were shuffled."""
        return tuple(each.url for each in self._endpoints)

    def close(self) -> None:
        """Drop all connections."""
        self._wire.close()

    def deadline(self) -> float:
        """When a command that begins now has to be done; for :meth:`ask`."""
        return self._clock() + self._total_seconds

    def ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        content_type: str = "",
        once: bool = False,
        patient: bool = False,
        deadline: float | None = None,
    ) -> Answer:
        """
        The first answer whose status is below 500.

        :param target: path and query, escaped.
        :param once: not to be sent again when an endpoint fails: its failure is raised.
        :param patient: for a watch: no time is too long.
        :param deadline: from :meth:`deadline`, for several requests of one command;
            None: this one has all the time that a command has.
        :raises ClusterError: none; :class:`AllFailed` says what each endpoint said.
        """
        if not self._endpoints:
            raise NoEndpoints
        request = Request(method, target, body, content_type, patient)
        if deadline is None and not patient:
            deadline = self.deadline()
        failures = []
        count = len(self._endpoints)
        for turn in range(self._pinned, self._pinned + count):
            endpoint = self._endpoints[turn % count]
            try:
                answer = _usable(endpoint, self._wire.ask(endpoint, request, deadline))
            except EndpointFailed as failure:
                if once:
                    self._pinned = (turn + 1) % count
                    raise
                failures.append(failure)
            else:
                self._pinned = turn % count
                return answer
        raise AllFailed(failures)

    def ask_endpoint(
        self, url: str, method: str, target: str, *, deadline: float | None = None
    ) -> Answer:
        """
        Ask this endpoint and no other, for what is its own business; any status will do.

        It is not told who asks: nobody has to know for that, and whoever answers at a URL
        that somebody told us need not hear of a password.

        :raises ClusterError: it does not answer.
        """
        try:
            endpoint = endpoint_of(url)
        except ValueError as error:
            raise EndpointFailed(url, str(error)) from None
        request = Request(method, target, anonymous=True)
        return self._wire.ask(endpoint, request, deadline or self.deadline())

    def sync(self) -> None:
        """
        Take the client URLs of all members in place of the endpoints that were given.

        Where all of those were https, so are these, if any is: nothing secret goes where
        it need not.

        :raises NoEndpoints: no member says where it is reached.
        :raises ClusterError: nobody could be asked, or did not answer with a list.
        """
        answer = self.ask("GET", MEMBERS)
        try:
            found = [endpoint_of(url) for url in _client_urls(answer)][:ENDPOINTS_MAX]
        except ValueError as error:
            raise BadAnswer(str(error)) from None
        if not found:
            raise NoEndpoints
        secure = [each for each in found if each.secure]
        if secure and all(each.secure for each in self._endpoints):
            found = secure
        if {*found} != {*self._endpoints} or len(found) != len(self._endpoints):
            self._endpoints = tuple(self._shuffle(found))
            self._pinned = 0


def _usable(endpoint: Endpoint, answer: Answer) -> Answer:
    """:raises EndpointFailed: the server, or whoever is in front of it, is in trouble."""
    if answer.status in {500, 503}:
        raise EndpointFailed(
            endpoint.url, f"client: etcd member {endpoint.url} has no leader"
        )
    if answer.status >= 500:
        from http import HTTPStatus  # noqa: PLC0415 -- loaded by http.client anyway

        known = {each.value: each.phrase for each in HTTPStatus}
        raise EndpointFailed(
            endpoint.url,
            f"client: etcd member {endpoint.url} returns server error "
            f"[{known.get(answer.status, '')}]",
        )
    return answer


def _client_urls(answer: Answer) -> list[str]:
    """:raises ValueError: it is no list of members."""
    if answer.status != 200:
        raise ValueError(f"unexpected status code {answer.status}")
    try:
        members = json.loads(answer.body).get("members") or []
        return [str(url) for each in members for url in each.get("clientURLs") or []]
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("no list of members") from None
