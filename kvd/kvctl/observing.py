"""What the members of a cluster say of themselves, for ``top`` and ``check``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Metrics = Mapping[tuple[str, Labels], float]
_NONE: Final[Metrics] = {}
HEALTH_STATUSES: Final = frozenset({200, 503})


class Said(Protocol):
    """An endpoint's answer."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


Look = Callable[[str, str], Said]
"""GET of a target at one endpoint; raises :class:`CannotAsk`."""


class CannotAsk(Exception):
    """An endpoint did not answer; the text says what happened."""


@attrs.frozen(kw_only=True)
class Member:
    """As the cluster's list has it; without a name it has never been started."""

    member_id: str
    name: str
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()

    @property
    def started(self) -> bool:
        return bool(self.name)

    @property
    def shown(self) -> str:
        return self.name or self.member_id


@attrs.frozen(kw_only=True)
class Observation:
    """
    One look at one member; None is what it did not tell.

    :ivar endpoint: where it was asked; empty if it could not be.
    :ivar trouble: why not, or what of it went wrong.
    :ivar at_seconds: when, on our clock.
    :ivar leader: the id of whom it takes for the leader, empty for nobody.
    :ivar lags: entries that others lack, by their ids, as the leader tells.
    """

    member: Member
    at_seconds: float
    endpoint: str = ""
    trouble: str = ""
    healthy: bool | None = None
    state: str | None = None
    leader: str | None = None
    term: int | None = None
    commit: int | None = None
    applied: int | None = None
    lags: Mapping[str, int] = attrs.field(factory=dict)
    version: str = ""
    own_version: str = ""
    cluster_id: str = ""
    metrics: Metrics = attrs.field(default=_NONE, repr=False)

    @property
    def answers(self) -> bool:
        return bool(self.endpoint)

    def metric(self, name: str, **labels: str) -> float | None:
        """One value, if it was told."""
        return self.metrics.get((name, tuple(sorted(labels.items()))))

    def whole(self, name: str) -> int | None:
        """One without labels, as a whole number."""
        found = self.metric(name)
        return None if found is None else int(found)

    def total(self, name: str, **labels: Sequence[str]) -> float | None:
        """The sum of those whose labels have one of these values."""
        found = [
            value
            for (other, given), value in self.metrics.items()
            if other == name
            and all(dict(given).get(label) in each for label, each in labels.items())
        ]
        return sum(found) if found or self.metrics else None

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """All values of a metric by one of its labels."""
        return {
            dict(given)[label]: value
            for (other, given), value in self.metrics.items()
            if other == name and label in dict(given)
        }


def members_of(body: bytes) -> list[Member]:
    """:raises ValueError: not what ``/v2/members`` answers."""
    try:
        return [
            Member(
                member_id=str(each["id"]),
                name=str(each["name"]),
                peer_urls=tuple(map(str, each["peerURLs"])),
                client_urls=tuple(map(str, each["clientURLs"])),
            )
            for each in json.loads(body)["members"]
        ]
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a list of members: {error!r}") from None


def metrics_of(text: str) -> Metrics:
    """Each sample by name and sorted labels; nothing if it is not Prometheus' text."""
    try:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except ValueError:
        return _NONE


class Observer:
    """
    Asks one member after the other; each look is a few GETs.

    :param look: asks one endpoint.
    :param seconds: the time.
    """

    def __init__(self, look: Look, seconds: Callable[[], float]) -> None:
        self._look = look
        self._seconds = seconds

    def identified(self, endpoint: str) -> str:
        """
        The id of the member that answers there.

        :raises CannotAsk:
        """
        document = self._document(endpoint, "/v2/stats/self")
        member_id = document.get("id")
        if not isinstance(member_id, str) or not member_id:
            raise CannotAsk(f"{endpoint} does not say which member it is")
        return member_id

    def observe(self, member: Member, endpoint: str) -> Observation:
        """One look; what cannot be asked is left out and becomes the trouble."""
        seen: dict[str, Any] = {"endpoint": endpoint}
        troubles: list[str] = []
        for part in (self._health, self._raft, self._metrics, self._version):
            try:
                seen.update(part(endpoint))
            except CannotAsk as error:
                troubles.append(str(error))
        if len(troubles) == 4:  # not one of them
            seen = {}
        trouble = troubles[0] if troubles else ""
        at = self._seconds()
        return Observation(member=member, at_seconds=at, trouble=trouble, **seen)

    def _health(self, endpoint: str) -> dict[str, Any]:
        answer = self._look(endpoint, "/health")
        if answer.status not in HEALTH_STATUSES:
            raise CannotAsk(f"{endpoint}/health: status {answer.status}")
        try:
            said = json.loads(answer.body).get("health")
        except (ValueError, AttributeError):
            said = None
        return {"healthy": str(said).lower() == "true"}

    def _raft(self, endpoint: str) -> dict[str, Any]:
        status = self._document(endpoint, "/debug/vars").get("raft.status")
        if not isinstance(status, dict):
            return {}
        lead = str(status.get("lead", "0"))
        commit = _number(status.get("commit"))
        progress = status.get("progress")
        lags = {}
        if isinstance(progress, dict) and commit is not None:
            for member_id, each in progress.items():
                match = _number(each.get("match")) if isinstance(each, dict) else None
                if match is not None:
                    lags[str(member_id)] = max(0, commit - match)
        return {
            "state": str(status.get("raftState", "")).removeprefix("State").lower(),
            "leader": "" if lead == "0" else lead,
            "term": _number(status.get("term")),
            "commit": commit,
            "applied": _number(status.get("applied")),
            "lags": lags,
        }

    def _metrics(self, endpoint: str) -> dict[str, Any]:
        answer = self._look(endpoint, "/metrics")
        if answer.status != 200:
            raise CannotAsk(f"{endpoint}/metrics: status {answer.status}")
        metrics = metrics_of(answer.body.decode("utf-8", "replace"))
        own = [dict(labels) for name, labels in metrics if name == "kvd_version"]
        return {"metrics": metrics, "own_version": own[0]["version"] if own else ""}

    def _version(self, endpoint: str) -> dict[str, Any]:
        version = str(self._document(endpoint, "/version").get("etcdserver", ""))
        answer = self._look(endpoint, "/v2/members")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        cluster_id = headers.get("x-etcd-cluster-id", "")
        return {"version": version, "cluster_id": cluster_id}

    def _document(self, endpoint: str, target: str) -> dict[str, Any]:
        answer = self._look(endpoint, target)
        if answer.status != 200:
            raise CannotAsk(f"{endpoint}{target}: status {answer.status}")
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CannotAsk(f"{endpoint}{target}: not a JSON object")
        return document


def unreachable(
    member: Member, troubles: Iterable[str], *, at_seconds: float
) -> Observation:
    """A look at a member that nobody can ask."""
    if not member.started:
        trouble = "it has not been started yet"
    elif not member.client_urls:
        trouble = "it has published no client URLs"
    else:
        trouble = "; ".join(troubles) or "it does not answer"
    return Observation(member=member, at_seconds=at_seconds, trouble=trouble)


def _number(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
