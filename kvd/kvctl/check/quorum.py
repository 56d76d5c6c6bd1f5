"""Whether enough members are there, agree, and are of the same make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kvd.kvctl.check.findings import Finding, ok, problem, warning
from kvd.kvctl.observing import Observation
from kvd.kvctl.toptable import in_bytes, lag_of

LAG_ENTRIES_MAX: Final = 5_000  # what a leader keeps for followers behind a snapshot


def check_quorum(seen: Sequence[Observation]) -> Iterator[Finding]:
    """
    Findings about the members of one cluster.

    :param seen: a look at each that the cluster's list has, the unreachable ones too.
    """
    voters = [each for each in seen if not each.metric("etcd_server_is_learner")]
    quorum = len(voters) // 2 + 1
    answering = [each for each in voters if each.answers]
    well = [each for each in answering if each.healthy is not False]
    yield from _majority(voters, well, quorum)
    yield from _each_member(seen)
    yield from _leader([each for each in seen if each.answers])
    yield from _size(len(voters))
    yield from _one_cluster(seen)


def _majority(
    voters: Sequence[Observation], well: Sequence[Observation], quorum: int
) -> Iterator[Finding]:
    told = f"{len(well)} of {len(voters)} voting members answer and are healthy"
    if len(well) < quorum:
        yield problem(
            "quorum",
            f"{told}, {quorum} are needed",
            "start the members that are missing; without them nothing is written. If "
            "they are lost for good, restore a backup with --force-new-cluster",
        )
    elif len(well) < len(voters):
        left = len(well) - quorum
        more = f"{left} more may fail" if left else "not one more may fail"
        yield warning(
            "quorum", f"{told}; {more}", "bring the missing ones back, or replace them"
        )
    else:
        yield ok("quorum", told)


def _each_member(seen: Sequence[Observation]) -> Iterator[Finding]:
    for each in seen:
        name = each.member.shown
        if not each.member.started:
            yield warning(
                "members",
                f"{name} was added and has never been started, and counts for the "
                f"quorum all the same ({', '.join(each.member.peer_urls)})",
                "start it with initial-cluster-state existing, or remove it",
            )
        elif not each.answers:
            yield warning(
                "members",
                f"{name} cannot be asked: {each.trouble}",
                "look whether it runs and whether its client URLs lead to it from here",
            )
        elif each.healthy is False:
            yield problem(
                "members",
                f"{name} says that it is not healthy"
                + ("" if each.leader else ", it knows no leader"),
                "look into its log, and whether its peers can be reached from it",
            )
        elif each.trouble:
            yield warning(
                "members", f"{name} does not tell all: {each.trouble}", _NO_DETAIL
            )
        if each.answers:
            yield from _condition(each, seen)


_NO_DETAIL: Final = "what it did not tell could not be checked"


def _condition(each: Observation, seen: Sequence[Observation]) -> Iterator[Finding]:
    name = each.member.shown
    lag = lag_of(each, seen)
    if lag is not None and lag > LAG_ENTRIES_MAX:
        yield warning(
            "members",
            f"{name} is {lag} log entries behind",
            "it needs a snapshot to catch up; look at its disk and its network",
        )
    if each.metric("kvd_out_of_space"):
        yield problem(
            "space",
            f"{name} refuses writes, its disk is full",
            "make room on its disk; it goes on by itself",
        )
        return
    free, floor = (
        each.metric("kvd_disk_free_bytes"),
        each.metric("kvd_disk_floor_bytes"),
    )
    if free is not None and floor is not None and free < 4 * floor:
        yield warning(
            "space",
            f"{name} has {in_bytes(free)} left on its disk, and refuses writes below "
            f"{in_bytes(floor)}",
            "make room on its disk",
        )


def _leader(answering: Sequence[Observation]) -> Iterator[Finding]:
    told = {each.leader for each in answering if each.leader is not None}
    names = {each.member.member_id: each.member.shown for each in answering}
    if not told:
        return
    if told == {""}:
        yield problem(
            "leader",
            "no member knows a leader",
            "wait for an election; if it goes on, the members do not reach each other",
        )
    elif len(told) > 1:
        views = ", ".join(
            f"{each.member.shown}: {names.get(each.leader, each.leader) or 'nobody'}"
            for each in answering
            if each.leader is not None
        )
        yield warning(
            "leader",
            f"members take different ones for the leader ({views})",
            "check again: during an election that is so; if it stays, some members do "
            "not reach the others",
        )
    else:
        (leader,) = told
        terms = sorted({each.term for each in answering if each.term is not None})
        of_term = f" in term {terms[-1]}" if terms else ""
        yield ok("leader", f"{names.get(leader, leader)} leads{of_term}")


def _size(voters: int) -> Iterator[Finding]:
    if voters == 1:
        yield warning(
            "size",
            "one voting member: if it fails, nothing is served",
            "three members go on when one of them fails",
        )
    elif voters and voters % 2 == 0:
        yield warning(
            "size",
            f"{voters} voting members survive no more failures than {voters - 1}",
            "add one, or remove one",
        )


def _one_cluster(seen: Sequence[Observation]) -> Iterator[Finding]:
    clusters = sorted({each.cluster_id for each in seen if each.cluster_id})
    if len(clusters) > 1:
        yield problem(
            "cluster",
            f"the endpoints belong to different clusters: {', '.join(clusters)}",
            "give endpoints of one cluster",
        )
    for what, versions in (
        ("", sorted({each.version for each in seen if each.version})),
        ("kvd ", sorted({each.own_version for each in seen if each.own_version})),
    ):
        if len(versions) > 1:
            yield warning(
                "version",
                f"members run {what}{' and '.join(versions)}",
                "bring all members to one version",
            )
        elif versions and not what:
            own = {each.own_version for each in seen if each.own_version}
            of_kvd = f" (kvd {', '.join(sorted(own))})" if own else ""
            yield ok("version", f"members serve as etcd {versions[0]}{of_kvd}")
