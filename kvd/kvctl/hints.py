"""What a terminal is told behind etcdctl's own line: what to look at next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from kvd.kvctl.errors import EndpointFailed

DEFAULTS: Final = frozenset({"http://127.0.0.1:2379", "http://127.0.0.1:4001"})
_MEANINGS: Final = (
    (
        "connection refused",
        "nobody listens there: does a member run, and is that its client port?",
    ),
    ("no such host", "the name is not known here: is it written right?"),
    (
        "exceeded header timeout",
        "it was reached and said nothing: busy, or stopped? --timeout waits longer",
    ),
    (
        "i/o timeout",
        "nothing comes back: a machine that is off, or a firewall in between",
    ),
    ("context deadline exceeded", "--total-timeout allows more time"),
    (
        "unknown authority",
        "--ca-file names the authority that its certificate comes from",
    ),
    ("certificate required", "--cert-file and --key-file show who you are"),
    ("bad certificate", "it does not accept the certificate of --cert-file"),
    ("certificate has expired", "kvctl check says whose, and since when"),
    ("HTTP response to HTTPS client", "it speaks no TLS: http:// instead of https://"),
    ("malformed HTTP response", "it may speak TLS: https:// instead of http://"),
    ("hostname mismatch", "its certificate is for another name: use that one"),
    ("ip address mismatch", "its certificate is for another name: use that one"),
    (
        "has no leader",
        "the members have no leader, or too few of them run: kvctl check says more",
    ),
)


def of_failures(failures: Sequence[EndpointFailed]) -> str:
    """Who was tried, what each said, and what that may mean."""
    lines = ["these were tried, one after the other:"]
    said: list[str] = []
    for each in failures:
        words = str(each).removeprefix("client: ")
        lines.append(f"  {each.endpoint}: {words}")
        said.append(words)
    lines += [f"  {meaning}" for meaning in _meanings(said)]
    if failures and {each.endpoint for each in failures} <= DEFAULTS:
        lines.append(
            "  nothing else was named: --endpoints or KVCTL_ENDPOINTS says where members "
            "are"
        )
    return "\n".join(lines)


def of_word(word: str, known: Iterable[str]) -> str:
    """A command that is most like what was typed, empty if none is."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def _meanings(said: Sequence[str]) -> list[str]:
    """Each once, in the order of what was said."""
    lowered = [words.lower() for words in said]
    found = {
        meaning: None
        for words in lowered
        for sign, meaning in _MEANINGS
        if sign.lower() in words
    }
    return list(found)
