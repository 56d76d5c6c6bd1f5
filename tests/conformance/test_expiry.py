"""Time to live: what is shown, when it ends, what is told."""

from __future__ import annotations

import pytest

from kvd.testing.rows import names, row

pytestmark = pytest.mark.oracle

# Seconds whose nanoseconds wrap around 64 bits, and what is near the edges.
EXTREMES = (
    "9223372035",
    "9223372036",
    "9223372037",
    "7400000000",
    "9000000000",
    "10000000000",
    "18446744073",
    "18446744074",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551614",
    "18446744073709551615",
)

SHOWN = [
    row("a ttl is shown with its end", "PUT $/a value=1&ttl=100", "GET $/a"),
    row(
        "a ttl on a directory",
        "PUT $/d dir=true&ttl=100",
        "PUT $/d/a value=1",
        "GET $?recursive=true",
    ),
    row(
        "a create and a post take a ttl",
        "PUT $/a?prevExist=false value=1&ttl=100",
        "POST $/q value=1&ttl=100",
        "POST $/q dir=true&ttl=100",
    ),
    row("an empty ttl is none", "PUT $/a value=1&ttl="),
    row("a set forgets the ttl", "PUT $/a value=1&ttl=100", "PUT $/a value=1"),
    row("a set changes the ttl", "PUT $/a value=1&ttl=100", "PUT $/a value=1&ttl=1000"),
    row(
        "an update with a ttl of a directory",
        "PUT $/d dir=true",
        "PUT $/d?prevExist=true ttl=100",
        "GET $/d",
        "PUT $/d?prevExist=true dir=true",
        "GET $/d",
    ),
    row("a ttl with leading zeros", "PUT $/a value=1&ttl=000100"),
    row(
        "a ttl of years",
        "PUT $/a value=1&ttl=100000000",
        "PUT $/b value=1&ttl=1000000000",
    ),
    row("a quorum get shows the ttl", "PUT $/a value=1&ttl=100", "GET $/a?quorum=true"),
    row(
        "noValueOnSuccess hides the ttl",
        "PUT $/a?noValueOnSuccess=true value=1&ttl=100",
        "GET $/a",
    ),
    *(
        row(f"a set with the ttl {ttl}", f"PUT $/a value=1&ttl={ttl}")
        for ttl in EXTREMES
    ),
    *(
        row(
            f"a create with the ttl {ttl}",
            f"PUT $/a?prevExist=false value=1&ttl={ttl}",
        )
        for ttl in EXTREMES
    ),
    # One write a row: what ends at once takes an index of its own, some time.
    *(
        row(f"a post with the ttl {ttl}", f"POST $/q value=1&ttl={ttl}")
        for ttl in EXTREMES
    ),
    *(
        row(
            f"an update with the ttl {ttl}",
            "PUT $/a value=1",
            f"PUT $/a?prevExist=true value=2&ttl={ttl}",
        )
        for ttl in EXTREMES
    ),
    *(
        row(
            f"a swap with the ttl {ttl}",
            "PUT $/a value=1",
            f"PUT $/a?prevValue=1 value=2&ttl={ttl}",
        )
        for ttl in EXTREMES
    ),
    *(
        row(
            f"a refresh with the ttl {ttl}",
            "PUT $/a value=1",
            f"PUT $/a refresh=true&ttl={ttl}",
        )
        for ttl in EXTREMES
    ),
]

ENDS = [
    row(
        "an event of the past shows the ttl of its time, a get that of now",
        "PUT $/a value=1&ttl=100",
        "PUT $/d dir=true&ttl=100",
        "PUT $/a?prevExist=true value=2&ttl=200",
        "DELETE $/a",
        "PUT $/b value=1&ttl=100",
        "w> GET $/b?wait=true",
        "pause 3.5",
        "GET $?wait=true&recursive=true&waitIndex=@1",
        "GET $?wait=true&recursive=true&waitIndex=@2",
        "GET $?wait=true&recursive=true&waitIndex=@3",
        "GET $?wait=true&recursive=true&waitIndex=@4",
        "GET $/b",
        "GET $/b?quorum=true",
        "PUT $/b value=2",
        "w<",
        "DELETE $/d?dir=true",
    ),
    row(
        "a ttl of zero is shown without one and ends at once",
        "PUT $/a value=1&ttl=0",
        "until gone $/a",
    ),
    row(
        "a key expires and says so",
        "w> GET $/a?wait=true&waitIndex=@2",
        "PUT $/a value=1&ttl=1",
        "w<",
        "until gone $/a",
    ),
    row(
        "a directory expires with all in it, as one event",
        "PUT $/d dir=true&ttl=1",
        "PUT $/d/a value=1",
        "PUT $/d/b value=1&ttl=1000",
        "w> GET $/?wait=true&recursive=true",
        "w<",
        "w< end",
        "until gone $/d",
        "GET $/d/b",
        "GET $?wait=true&recursive=true&waitIndex=@4",
    ),
    row(
        "a shorter ttl inside goes first",
        "PUT $/d dir=true&ttl=2",
        "PUT $/d/a value=1&ttl=1",
        "w> GET $/?wait=true&recursive=true&stream=true",
        "w<",
        "w<",
        "until gone $/d",
        "GET $?wait=true&recursive=true&waitIndex=@3",
        "GET $?wait=true&recursive=true&waitIndex=@4",
    ),
    row(
        "keys expire in the order of their ends, each with its index",
        "PUT $/a value=1&ttl=2",
        "PUT $/b value=1&ttl=1",
        "PUT $/c dir=true&ttl=3",
        "until gone $/b",
        "until gone $/a",
        "until gone $/c",
        "GET $?wait=true&recursive=true&waitIndex=@4",
        "GET $?wait=true&recursive=true&waitIndex=@5",
        "GET $?wait=true&recursive=true&waitIndex=@6",
    ),
    row(
        "a key below an expired directory makes a permanent one",
        "PUT $/d dir=true&ttl=0",
        "until gone $/d",
        "PUT $/d/a value=1",
        "GET $/d?recursive=true",
    ),
    row(
        "a refresh puts the end off",
        "PUT $/a value=1&ttl=1",
        "PUT $/a refresh=true&ttl=1000",
        "pause 1.7",
        "GET $/a",
    ),
    row(
        "an update without a ttl takes the end away",
        "PUT $/a value=1&ttl=1",
        "PUT $/a?prevExist=true value=2",
        "PUT $/d dir=true&ttl=1",
        "PUT $/d?prevExist=true",
        "pause 1.7",
        "GET $?recursive=true",
    ),
    row(
        "a refresh with a ttl of zero ends at once",
        "PUT $/a value=1",
        "PUT $/a refresh=true&ttl=0",
        "until gone $/a",
    ),
    row(
        "the largest ttl ends at once",
        "PUT $/a value=1&ttl=18446744073709551615",
        "until gone $/a",
    ),
    row(
        "an update into the far past ends at once",
        "PUT $/a value=1",
        "PUT $/a?prevExist=true value=1&ttl=9223372036",
        "until gone $/a",
    ),
    row(
        "a swap into the far past ends at once",
        "PUT $/a value=1",
        "PUT $/a?prevValue=1 value=1&ttl=9223372036",
        "until gone $/a",
    ),
    row(
        "a set into the far past is permanent",
        "PUT $/a value=1&ttl=9223372036",
        "pause 0.7",
        "GET $/a",
    ),
    row(
        "a hidden key expires without telling its directory's watchers",
        "PUT $/d/_h value=1&ttl=1",
        "w> GET $/d?wait=true&recursive=true",
        "until gone $/d/_h",
        "PUT $/d/a value=1",
        "w<",
    ),
    row(
        "an expired directory is told to watchers below it",
        "PUT $/d dir=true&ttl=1",
        "PUT $/d/a/b value=1",
        "w> GET $/d/a/b?wait=true",
        "v> GET $/d/no?wait=true",
        "w<",
        "w< end",
        "v< nothing",
    ),
    row(
        "a stream hears of its own key's expiry twice",
        "PUT $/a value=1&ttl=1",
        "w> GET $/a?wait=true&stream=true",
        "w<",
        "w<",
        "w< nothing",
    ),
]

ROWS = [*SHOWN, *ENDS]


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd(row, agree) -> None:
    agree(row)
