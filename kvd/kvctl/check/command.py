"""``kvctl check``: everything that can be looked at from here."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kvd.kvctl.check.certificates import (
    OwnFiles,
    Shown,
    check_files,
    check_shown,
    check_told,
)
from kvd.kvctl.check.clocks import Glimpse, check_clocks, date_of
from kvd.kvctl.check.configured import FILE_BYTES_MAX, check_configuration
from kvd.kvctl.check.disk import (
    ABOUT as DISK,
)
from kvd.kvctl.check.disk import (
    check_folder,
    check_members_disks,
    judge_probe,
    probe,
)
from kvd.kvctl.check.findings import (
    Finding,
    as_json,
    as_text,
    exit_status,
    problem,
)
from kvd.kvctl.check.handshakes import handshake, secure_urls
from kvd.kvctl.check.names import check_names, hosts_of
from kvd.kvctl.check.quorum import check_quorum
from kvd.kvctl.connecting import files_of, given_endpoints, settings
from kvd.kvctl.errors import Failed
from kvd.kvctl.looking import Cluster, Looking, NobodyAnswers, Wires, threads
from kvd.kvctl.observing import CannotAsk

if TYPE_CHECKING:
    from kvd.config import Config
    from kvd.kvctl.context import Context
    from kvd.kvctl.tls import Files

GLIMPSES: Final = 5
GLIMPSE_PAUSE_SECONDS: Final = 0.21  # so that they fall into all parts of a second
MOUNTS: Final = "/proc/self/mounts"


def run(context: Context) -> int:
    """0, or 1 if there is a problem."""
    executor = threads()
    try:
        findings = [
            *_of_this_machine(context),
            *_of_the_cluster(context, executor),
        ]
    finally:
        executor.shutdown()
    if context.output == "json":
        context.say(as_json(findings))
    else:
        for line in as_text(findings):
            context.say(line)
    return exit_status(findings)


def _of_the_cluster(context: Context, executor: Executor) -> Iterator[Finding]:
    files = files_of(context)
    yield from check_files(_own(files), now=datetime.now(UTC))
    try:
        asked = settings(context)
        given = given_endpoints(context)
    except Failed as failure:
        yield problem(
            "flags", failure.text, "nobody can be asked before this is mended"
        )
        return
    wires = Wires(asked, total_seconds=context.timeouts.total_seconds)
    context.when_done(wires.close)
    looking = Looking(given, wires, executor)
    try:
        found = looking.find()
    except NobodyAnswers as nobody:
        for url, trouble in nobody.troubles.items():
            yield problem("quorum", f"{url} does not answer: {trouble}", _NOBODY)
        urls = secure_urls(each.url for each in given)
        yield from _shown(urls, files, executor)
        return
    seen = looking.observe(found)
    yield from check_quorum(seen)
    yield from check_members_disks(seen)
    yield from check_clocks(_glimpses(found, wires, executor))
    yield from check_names(found.members, _Resolved(hosts_of(found.members), executor))
    urls = secure_urls(
        [
            *(each.url for each in given),
            *(u for m in found.members for u in m.client_urls),
        ]
    )
    yield from _shown(urls, files, executor)
    yield from check_told(seen)


_NOBODY: Final = "look whether a member runs there, and whether --endpoints and the TLS flags are right"


def _of_this_machine(context: Context) -> Iterator[Finding]:
    configured: list[Config] = []
    if context.text("config"):
        yield from check_configuration(
            context.text("config"),
            read_file=_read_file,
            exists=os.path.exists,
            found=configured.append,
        )
    folder = context.text("data-dir")
    if folder:
        try:
            yield judge_probe(folder, probe(folder, time.perf_counter))
        except OSError as error:
            yield problem(
                DISK,
                f"{folder} cannot be written to: {error.strerror or error}",
                "give the data folder of a member, and run this as its user",
            )
    for each in [folder] if folder else [config.data_dir for config in configured]:
        yield from _folder(each)


def _folder(folder: str) -> Iterator[Finding]:
    """What is under it; a folder that does not exist yet is judged by where it would be."""
    real = os.path.realpath(folder)
    while not os.path.isdir(real) and real != os.path.dirname(real):
        real = os.path.dirname(real)
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            mounts = file.read()
    except OSError:
        mounts = ""
    space = os.statvfs(real)
    yield from check_folder(real, mounts, space.f_bavail * space.f_frsize)


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _own(files: Files) -> OwnFiles:
    """What cannot be read is told by whoever uses it."""
    try:
        mode = os.stat(files.key).st_mode if files.key else 0
    except OSError:
        mode = 0
    return OwnFiles(
        certificate=_content(files.certificate),
        key=_content(files.key),
        authorities=_content(files.ca),
        key_mode=mode,
    )


def _content(path: str) -> bytes | None:
    try:
        return _read_file(path) if path else None
    except OSError:
        return None


def _glimpses(
    found: Cluster, wires: Wires, executor: Executor
) -> dict[str, list[Glimpse]]:
    """Several ``Date``s of each member that answers, spread over a second."""
    names = {each.member_id: each.shown for each in found.members}
    seen: dict[str, list[Glimpse]] = {
        names.get(member_id, member_id): [] for member_id in found.endpoints
    }

    def glimpse(endpoint: str) -> Glimpse | None:
        asked = time.time()
        try:
            answer = wires.look(endpoint, "/version")
        except CannotAsk:
            return None
        date = date_of(answer.headers)
        return None if date is None else Glimpse(asked, time.time(), date)

    for turn in range(GLIMPSES):
        if turn:
            time.sleep(GLIMPSE_PAUSE_SECONDS)
        for name, one in zip(
            seen, executor.map(glimpse, found.endpoints.values()), strict=True
        ):
            if one is not None:
                seen[name].append(one)
    return seen


def _shown(urls: Sequence[str], files: Files, executor: Executor) -> Iterator[Finding]:
    shown: Iterable[Shown] = executor.map(lambda url: handshake(url, files), urls)
    now = datetime.now(UTC)
    return check_shown(dict(zip(urls, shown, strict=True)), now=now)


class _Resolved:
    """All names looked up at once; each is asked for later."""

    def __init__(self, hosts: Sequence[str], executor: Executor) -> None:
        self._found = dict(zip(hosts, executor.map(_addresses, hosts), strict=True))

    def __call__(self, host: str) -> Sequence[str]:
        found = self._found[host]
        if isinstance(found, OSError):
            raise found
        return found


def _addresses(host: str) -> list[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(0, "it is no host name")
    return sorted({str(each[4][0]) for each in found})
