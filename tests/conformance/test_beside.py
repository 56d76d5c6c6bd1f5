"""What clients ask beside the keys: members, machines, version, health, statistics."""

from __future__ import annotations

import pytest

from kvd.testing.rows import names, row

pytestmark = pytest.mark.oracle

BESIDE = [
    row("the version", "GET /version", "GET /version?x=y"),
    row("the health", "GET /health", "GET /health?exclude=NOSPACE"),
    row(
        "the machines",
        "GET /v2/machines",
        "HEAD /v2/machines",
        "GET /v2/machines?x=%zz",
    ),
    row("the members", "GET /v2/members", "GET /v2/members/", "GET /v2/members?x=%zz;"),
    row("the leader", "GET /v2/members/leader", "GET /v2/members/leader?x=1"),
    row(
        "other things below members are not found",
        "GET /v2/members/leader/",
        "GET /v2/members/1",
        "GET /v2/members/ddd67b312462fd7b",
        "GET /v2/members/a/b",
        "GET /v2/membersX",
        "GET /v2/members/Leader",
    ),
    row(
        "the level of the log",
        "GET /config/local/log",
        "HEAD /config/local/log",
        "POST /config/local/log x",
        "DELETE /config/local/log",
        "OPTIONS /config/local/log",
        "GET /config/local/log/",
        'PUT /config/local/log {"Level":"INFO"}',
        'PUT /config/local/log {"level":"w"} and more',
        'PUT /config/local/log {"Level":"X<>"}',
        'PUT /config/local/log {"Level":5}',
        'PUT /config/local/log {"Level":null}',
        'PUT /config/local/log {"Level":"ERROR"',
        "PUT /config/local/log [1]",
        "PUT /config/local/log null",
        "PUT /config/local/log {}",
        "PUT /config/local/log",
        'PUT /config/local/log {"LEVEL":"1","Level":"E"}',
    ),
    row(
        "methods of what is for operators",
        "HEAD /health",
        "PUT /health",
        "HEAD /debug/vars",
        "PUT /debug/vars x",
        "DELETE /debug/vars",
        "OPTIONS /debug/vars",
        "OPTIONS /metrics",
        "GET /metrics/",
        "GET /debug/vars/",
        "GET /debug",
    ),
    row(
        "what a question about the health may leave out",
        "GET /health?exclude=",
        "GET /health?exclude=x&exclude=NOSPACE",
        "GET /health?exclude=NOSPACE;a=%zz",
    ),
    row("statistics about oneself", "GET /v2/stats/self"),
    row("statistics about followers", "GET /v2/stats/leader"),
]

# Each row's rise of the store's counters is compared as well; these are the odd ones.
COUNTED = [
    row(
        "gets that succeed and fail",
        "PUT $/f value=1",
        "GET $/f",
        "GET $/no",
        "GET $/f/x",
        "HEAD $/f",
        "HEAD $/no",
        "GET $/f?quorum=true",
        "GET $/no?quorum=true",
    ),
    row(
        "sets that succeed and fail",
        "PUT $/f value=1",
        "PUT $/f value=2",
        "PUT $/f/x value=1",
        "PUT $ value=1",
        "PUT /v2/keys value=1",
        "PUT $/no refresh=true&ttl=5",
    ),
    row(
        "creates that succeed and fail",
        "PUT $/f?prevExist=false value=1",
        "PUT $/f?prevExist=false value=2",
        "PUT $/f/x?prevExist=false value=2",
        "PUT /v2/keys?prevExist=false value=1",
        "POST $/q value=1",
        "POST $/f value=1",
        "POST $/f/x value=1",
    ),
    row(
        "updates that succeed and fail",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true value=2",
        "PUT $/no?prevExist=true value=2",
        "PUT $?prevExist=true value=2",
        "PUT $?prevExist=true",
        "PUT /v2/keys?prevExist=true",
        "PUT $/f/x?prevExist=true value=1",
    ),
    row(
        "swaps that succeed and fail",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1 value=2",
        "PUT $/f?prevValue=1 value=3",
        "PUT $/no?prevValue=1 value=3",
        "PUT $?prevIndex=1 value=3",
        "PUT /v2/keys?prevIndex=1 value=3",
        "PUT $/f/x?prevIndex=1 value=3",
    ),
    row(
        "deletes that succeed and fail",
        "PUT $/d/f value=1",
        "DELETE $/d/f",
        "DELETE $/no",
        "DELETE $/d",
        "PUT $/d/f value=1",
        "DELETE $/d?dir=true",
        "DELETE /v2/keys",
        "DELETE $/d/f/x",
        "DELETE $/d?recursive=true",
    ),
    row(
        "conditional deletes that succeed and fail",
        "PUT $/f value=1",
        "DELETE $/f?prevValue=2",
        "DELETE $/no?prevValue=1",
        "DELETE $?prevIndex=1",
        "DELETE /v2/keys?prevIndex=1",
        "DELETE $/f/x?prevIndex=1",
        "DELETE $/f?prevValue=1",
    ),
    row(
        "watches, live and out of history",
        "PUT $/f value=1",
        "GET $/f?wait=true&waitIndex=@1",
        "w> GET $/f?wait=true",
        "PUT $/f value=2",
        "w<",
        "GET $/f?wait=true&waitIndex=x",
    ),
    row(
        "requests that are refused while they are read",
        "PUT $/f?ttl=x value=1",
        "GET $/f?recursive=x",
        "PATCH $/f",
        "OPTIONS $/f",
        "GET /v2/keys//f",
        "PUT $/f %zz",
    ),
    row(
        "requests for other things",
        "GET /version",
        "GET /health",
        "GET /v2/members",
        "GET /v2/machines",
        "GET /v2/stats/self",
        "GET /nowhere",
    ),
]

ROWS = [*BESIDE, *COUNTED]


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd(row, agree) -> None:
    agree(row)
