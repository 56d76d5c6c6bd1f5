"""How long a disk takes to make something durable, and what kind of disk it is."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from kvd.kvctl.check.findings import Finding, ok, problem, warning
from kvd.kvctl.observing import Observation
from kvd.kvctl.toptable import in_bytes

ABOUT: Final = "disk"
PROBE_BYTES: Final = 4096
PROBE_WRITES: Final = 100
PROBE_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 0.010  # etcd's own bound for the slowest of a hundred
BAD_SECONDS: Final = 0.100  # a heartbeat interval of the default configuration
FEW_BYTES: Final = 256 << 20
_FSYNC: Final = "etcd_disk_wal_fsync_duration_seconds_bucket"
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})


@attrs.frozen
class Probed:
    """How long each write and its sync took."""

    seconds: tuple[float, ...]

    @property
    def slowest_of_a_hundred(self) -> float:
        """The 99th percentile."""
        ordered = sorted(self.seconds)
        return ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]


def probe(folder: str, clock: Callable[[], float]) -> Probed:
    """
    Write and sync a small file of our own a hundred times, for five seconds at most.

    Its name ends in ``.tmp``, which a member leaves alone; it is removed afterwards.

    :raises OSError: the folder cannot be written to.
    """
    path = os.path.join(folder, f"kvctl-check-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    file = os.open(path, flags, 0o600)
    try:
        taken: list[float] = []
        start = clock()
        data = bytes(PROBE_BYTES)
        while len(taken) < PROBE_WRITES:
            before = clock()
            if taken and before - start >= PROBE_SECONDS:
                break
            os.write(file, data)
            os.fdatasync(file)
            taken.append(clock() - before)
        return Probed(tuple(taken))
    finally:
        os.close(file)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def judge_probe(folder: str, probed: Probed) -> Finding:
    """One finding about the disk under a folder."""
    slow = probed.slowest_of_a_hundred
    return _judged(
        f"{folder}: a write and its sync take {_ms(slow)} or less in 99 of 100 cases "
        f"({len(probed.seconds)} tried)",
        slow,
    )


def check_folder(folder: str, mounts: str, free_bytes: int) -> Iterator[Finding]:
    """
    What lies under a data folder.

    :param folder: absolute, without symbolic links.
    :param mounts: the text of ``/proc/self/mounts``.
    """
    kind = kind_of(folder, mounts)
    if kind in _MEMORY:
        yield problem(
            ABOUT,
            f"{folder} is on {kind}: all of it is gone when the machine stops",
            "put data-dir on a disk",
        )
    elif kind in _NETWORK:
        yield warning(
            ABOUT,
            f"{folder} is on {kind}, over the network",
            "put data-dir on a disk of the machine itself",
        )
    if free_bytes < FEW_BYTES:
        yield warning(
            ABOUT, f"{folder} has {in_bytes(free_bytes)} left", "make room on this disk"
        )


def kind_of(folder: str, mounts: str) -> str:
    """The type of file system that a folder is on; empty if nobody knows."""
    found, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].encode("utf-8").decode("unicode_escape")
        inside = folder == place or folder.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:  # the later of two hides the other
            found, longest = fields[2], len(place)
    return found


def check_members_disks(seen: Sequence[Observation]) -> Iterator[Finding]:
    """What members have measured since they were started."""
    for each in seen:
        slow = percentile_seconds(each, 99)
        if slow is not None:
            yield _judged(
                f"{each.member.shown}: 99 of 100 syncs of its log took {_ms(slow)} or "
                "less",
                slow,
            )


def percentile_seconds(seen: Observation, percent: float) -> float | None:
    """The upper bound of the bucket in which that percentile is; None: no syncs yet."""
    buckets = sorted(
        (float(bound), count) for bound, count in seen.labelled(_FSYNC, "le").items()
    )
    if not buckets or not buckets[-1][1]:
        return None
    wanted = buckets[-1][1] * percent / 100
    return next(bound for bound, count in buckets if count >= wanted)


def _judged(seen: str, seconds: float) -> Finding:
    if seconds > BAD_SECONDS:
        return problem(
            ABOUT,
            seen,
            "a faster disk for data-dir or wal-dir; every write waits for it, and a "
            "leader may lose its place",
        )
    # Buckets double, so the one that holds 10 ms ends at 16 ms.
    if seconds > 1.6 * SLOW_SECONDS:
        return warning(
            ABOUT,
            seen,
            "a faster disk, or one that others do not use; writes wait for it",
        )
    return ok(ABOUT, seen)


def _ms(seconds: float) -> str:
    return "more than 8 s" if seconds == float("inf") else f"{seconds * 1000:.1f} ms"
