"""What a bench tells at its end."""

from __future__ import annotations

import json
from typing import Final

import attrs

from kvd.kvctl.bench.load import Result
from kvd.kvctl.bench.plan import Kind

PERCENTS: Final = (50.0, 90.0, 99.0, 99.9)


@attrs.frozen(kw_only=True)
class Setting:
    """What was asked for."""

    kind: Kind
    clients: int
    keys: int
    size_bytes: int
    endpoints: int


def as_text(setting: Setting, result: Result, taken_seconds: float) -> list[str]:
    """Lines for reading."""
    times = result.latencies
    lines = [
        (
            f"{setting.kind.value}: {setting.clients} clients, {setting.keys} keys, "
            f"{setting.size_bytes} bytes a value, {setting.endpoints} endpoints"
        ),
        f"answered  {times.count} in {taken_seconds:.2f} s",
        f"rate      {_rate(times.count, taken_seconds):.1f} a second",
    ]
    if times.count:
        shown = [f"average {_ms(times.average_seconds)}"]
        shown += [f"{p:g}% {_ms(times.percentile_seconds(p))}" for p in PERCENTS]
        shown += [f"longest {_ms(times.longest_seconds)}"]
        lines.append(f"latency   {', '.join(shown)}")
    lines.append(f"errors    {result.errors.total()}")
    lines += [f"  {count} x {why}" for why, count in result.errors.most_common()]
    return lines


def as_json(setting: Setting, result: Result, taken_seconds: float) -> str:
    """One line."""
    times = result.latencies
    return json.dumps(
        {
            "kind": setting.kind.value,
            "clients": setting.clients,
            "keys": setting.keys,
            "sizeBytes": setting.size_bytes,
            "endpoints": setting.endpoints,
            "answered": times.count,
            "seconds": taken_seconds,
            "rate": _rate(times.count, taken_seconds),
            "latencySeconds": {
                "average": times.average_seconds,
                **{f"{p:g}%": times.percentile_seconds(p) for p in PERCENTS},
                "longest": times.longest_seconds,
            },
            "errors": dict(result.errors.most_common()),
        },
        separators=(",", ":"),
    )


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
