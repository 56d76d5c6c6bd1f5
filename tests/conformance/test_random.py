"""
Random sequences over a few keys, compared step by step.

``KVD_CONFORMANCE_EXAMPLES`` says how many (100); hypothesis shrinks what differs to
the shortest sequence, which can be pasted into a table as it is printed.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kvd.testing.rows import Row

pytestmark = pytest.mark.oracle

EXAMPLES = int(os.environ.get("KVD_CONFORMANCE_EXAMPLES", "100"))
STEPS_MAX = 25

# Files and directories of the same names, so that they get into each other's way.
paths = st.sampled_from(
    ["", "/a", "/a/", "/a/b", "/a/b/c", "/a/_h", "/a/_h/x", "/ab", "/_h", "/_h/a", "/d"]
)
values = st.sampled_from(["", "1", "2", "%FF", "<&>"])
indexes = st.integers(-1, STEPS_MAX + 1).map("@{}".format)
times = st.sampled_from(["", "100", "1000"])


def optional(*pieces: tuple[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    """Any of the fields, each at most once, in any order, as a form."""
    drawn = [
        st.one_of(st.none(), values.map(f"{name}={{}}".format))
        for name, values in pieces
    ]
    return st.tuples(*drawn).map(
        lambda fields: "&".join(field for field in fields if field is not None)
    )


true = st.just("true")
either = st.sampled_from(["true", "false"])
conditions = optional(
    ("prevExist", either),
    ("prevValue", st.sampled_from(["1", "2", "%FF"])),
    ("prevIndex", st.one_of(st.just("0"), indexes)),
)
writes = st.builds(
    "PUT ${}?{} value={}&{}".format,
    paths,
    conditions,
    values,
    optional(("dir", either), ("ttl", times), ("noValueOnSuccess", true)),
)
plain_writes = st.builds("PUT ${} value={}".format, paths, values)
directories = st.builds("PUT ${} dir=true".format, paths)
refreshes = st.builds(
    "PUT ${}?{} refresh=true&ttl={}".format, paths, conditions, st.just("100")
)
posts = st.builds("POST ${} value={}&{}".format, paths, values, optional(("dir", true)))
deletes = st.builds(
    "DELETE ${}?{}&{}".format,
    paths,
    optional(("dir", true), ("recursive", true)),
    st.one_of(st.just(""), conditions),
)
reads = st.builds(
    "{} ${}?{}".format,
    st.sampled_from(["GET", "GET", "HEAD"]),
    paths,
    optional(("recursive", either), ("sorted", true), ("quorum", either)),
)
watches = st.builds(
    "w{}> GET ${}?wait=true&{}".format,
    st.integers(1, 6),
    paths,
    optional(("recursive", true), ("stream", true), ("waitIndex", indexes)),
)

steps = st.lists(
    st.one_of(
        writes, plain_writes, plain_writes, directories, refreshes, posts, deletes,
        reads, watches,
    ),
    min_size=1,
    max_size=STEPS_MAX,
)  # fmt: skip


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_random_sequences_are_answered_as_etcd_answers_them(steps, pair) -> None:
    end = ("GET $?recursive=true&sorted=true", "GET $?recursive=true")
    sequence = Row("a random sequence", (*steps, *end), listens=True)
    difference = pair.difference(sequence)
    if difference:
        note("the sequence:\n" + "\n".join(steps))
    assert not difference, difference
