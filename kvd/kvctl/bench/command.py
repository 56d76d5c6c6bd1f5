"""``kvctl bench``: a load, measured, and everything that it wrote removed again."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from kvd.kvctl.bench.load import Load, Result
from kvd.kvctl.bench.places import Reactor, place_of
from kvd.kvctl.bench.plan import Kind, Plan
from kvd.kvctl.bench.report import Setting, as_json, as_text
from kvd.kvctl.cluster import Cluster
from kvd.kvctl.connecting import connect, settings
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import BAD_ARGUMENTS, SERVER_ERROR, ClusterError, Failed
from kvd.kvctl.progress import bar
from kvd.kvctl.wire import Settings

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

BOUNDS: Final = {
    "clients": (1, 10_000),
    "keys": (1, 1_000_000),
    "size": (0, 8 << 20),
    "total": (1, 1_000_000_000),
}
SECONDS_MAX: Final = 86_400.0
_BAR_SECONDS: Final = 0.2
_FILLINGS_MAX: Final = 3
_REMOVALS_MAX: Final = 10
_LATE_SECONDS: Final = 0.2
_WARNING: Final = (
    "kvctl: this loads the cluster with as much as it takes, and its other clients wait "
    "for it"
)


def run(context: Context) -> int:
    """0, or 4 if a request failed; interrupted, it tells what it measured so far."""
    kind, seconds = _checked(context)
    asked = settings(context)
    cluster = connect(context, sync=True, asked=asked)
    setting = Setting(
        kind=kind,
        clients=context.number("clients"),
        keys=context.number("keys"),
        size_bytes=context.number("size"),
        endpoints=len(cluster.endpoints),
    )
    prefix = f"/kvctl-bench-{secrets.token_hex(8)}"
    context.warn(f"{_WARNING}; it writes below {prefix} and removes that at its end")
    bench = _Bench(context, setting, prefix=prefix, seconds=seconds)
    try:
        interrupted = bench.run(cluster.endpoints, asked)
    finally:
        remove(context, cluster, prefix)
    if interrupted and not bench.result.done:
        raise KeyboardInterrupt
    told = setting, bench.result, bench.taken_seconds
    if context.output == "json":
        context.say(as_json(*told))
    else:
        for line in as_text(*told):
            context.say(line)
    if interrupted:
        raise KeyboardInterrupt
    return SERVER_ERROR if bench.result.errors else 0


def _checked(context: Context) -> tuple[Kind, float]:
    """
    What is asked for, and for how many seconds; 0 for no such end.

    :raises Failed: there is no such load.
    """
    word = context.args[0] if context.args else Kind.PUT.value
    kinds = {kind.value: kind for kind in Kind}
    if word not in kinds or len(context.args) > 1:
        raise Failed(BAD_ARGUMENTS, f"bench: expected one of {', '.join(kinds)}")
    for name, (least, most) in BOUNDS.items():
        if not least <= context.number(name) <= most:
            raise Failed(BAD_ARGUMENTS, f"bench: --{name} is from {least} to {most}")
    seconds = context.seconds("seconds")
    if not 0 <= seconds <= SECONDS_MAX:
        raise Failed(
            BAD_ARGUMENTS, f"bench: --seconds is from 0s to {SECONDS_MAX:.0f}s"
        )
    return kinds[word], seconds


class _Bench:
    """One run; the reactor runs as long, and no longer."""

    def __init__(
        self, context: Context, setting: Setting, *, prefix: str, seconds: float
    ) -> None:
        self._context = context
        self._setting = setting
        self._seconds = seconds
        self._total = None if seconds else context.number("total")
        self._over_at = float("inf")
        self._began = 0.0
        self._plan = Plan(
            setting.kind,
            prefix=prefix,
            keys=setting.keys,
            size=setting.size_bytes,
            total=self._total,
            random=Random(),  # noqa: S311 -- which key comes next is no secret
            over=lambda: time.monotonic() >= self._over_at,
        )
        self.result = Result()
        self.taken_seconds = 0.0
        self._interrupted = False

    def run(self, endpoints: Sequence[str], asked: Settings) -> bool:
        """
        Whether it was interrupted.

        :raises Failed: TLS files that cannot be used.
        """
        from twisted.internet import reactor as installed  # noqa: PLC0415 -- runs here

        reactor = cast(Any, installed)  # all of its interfaces
        try:
            places = [place_of(reactor, endpoint_of(url), asked) for url in endpoints]
        except (OSError, ValueError) as error:
            raise Failed(BAD_ARGUMENTS, str(error)) from None
        load = Load(
            clock=reactor,
            places=places,
            clients=self._setting.clients,
            answer_seconds=self._context.timeouts.total_seconds,
        )
        ends: list[object] = []
        measuring: list[Deferred[None]] = []

        def begin() -> None:
            working = Deferred.fromCoroutine(self._measure(reactor, load))
            measuring.append(working)
            working.addBoth(ends.append)
            working.addCallback(lambda _: self._interrupted or reactor.stop())

        def interrupted() -> None:
            if not ends:
                self._interrupted = True
                for each in measuring:
                    each.cancel()

        reactor.callWhenRunning(begin)
        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        reactor.run()
        if self._began and not self.taken_seconds:
            self.taken_seconds = time.monotonic() - self._began
        if not self._interrupted and isinstance(ends[0], Failure):
            ends[0].raiseException()
        return self._interrupted

    async def _measure(self, reactor: Reactor, load: Load) -> None:
        for _ in range(_FILLINGS_MAX):
            filling = Result()
            self._plan.begin_filling()
            await self._shown(
                reactor,
                "writing the keys",
                self._setting.keys,
                load.run(self._plan.fill, filling),
                lambda now=filling: now.done,  # type: ignore[misc]  # a default binds it
            )
            if not filling.errors:
                break
            for why, count in filling.errors.most_common():
                self._context.warn(f"kvctl: {count} keys could not be written: {why}")
        self._began = time.monotonic()
        if self._seconds:
            self._over_at = self._began + self._seconds
        await self._shown(
            reactor,
            self._setting.kind.value,
            self._total or self._seconds,
            load.run(self._plan.next, self.result),
            lambda: self.result.done if self._total else time.monotonic() - self._began,
        )
        self.taken_seconds = time.monotonic() - self._began

    async def _shown(
        self,
        reactor: Reactor,
        what: str,
        total: float,
        working: Deferred[None],
        done: Callable[[], float],
    ) -> None:
        with bar(self._context, what, total) as advance:
            telling = LoopingCall(lambda: advance(done()))
            telling.clock = reactor
            ended = telling.start(_BAR_SECONDS)
            try:
                await working
            finally:
                telling.stop()
                await ended


def remove(
    context: Context,
    cluster: Cluster,
    prefix: str,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """
    Remove a tree, and what comes into it from requests that were given up on.

    What cannot be removed is named, so that somebody can do it.
    """
    target = f"/v2/keys{quote(prefix)}"
    why = "it comes back"
    for _ in range(_REMOVALS_MAX):
        try:
            answer = cluster.ask("DELETE", f"{target}?recursive=true&dir=true")
            if answer.status not in {200, 404}:
                why = answer.body.decode("utf-8", "replace").strip()
                break
            pause(_LATE_SECONDS)
            if cluster.ask("GET", f"{target}?quorum=true").status == 404:
                return
        except ClusterError as error:
            why = str(error).strip()
            break
    context.warn(f"kvctl: {prefix} could not be removed: {why}")
    context.warn(f"kvctl: remove it with: kvctl rm --recursive {prefix}")
