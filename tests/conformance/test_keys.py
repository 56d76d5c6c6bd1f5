"""What each operation of the keys API does and says, in all its cases."""

from __future__ import annotations

import pytest

from kvd.testing.rows import names, row

pytestmark = pytest.mark.oracle

GET = [
    row("a get of nothing is 100", "GET $/no"),
    row("a get names the first missing component", "PUT $/a/b value=1", "GET $/a/x/y"),
    row("a get of a missing top level names it", "GET /v2/keys/no/way/out"),
    row("a get through a file is 104 with the file", "PUT $/f value=1", "GET $/f/x"),
    row(
        "a get deep through a file is 104 with the file",
        "PUT $/f value=1",
        "GET $/f/x/y/z",
    ),
    row("a get of a file shows its value", "PUT $/f value=hello", "GET $/f"),
    row(
        "a get of a file with recursive and sorted is the same",
        "PUT $/f value=1",
        "GET $/f?recursive=true&sorted=true",
    ),
    row(
        "a get of a directory shows one level",
        "PUT $/d/a value=1",
        "PUT $/d/b/c value=2",
        "GET $/d",
        "GET $/d?sorted=true",
    ),
    row(
        "a recursive get shows every level",
        "PUT $/d/a value=1",
        "PUT $/d/b/c/e value=2",
        "GET $/d?recursive=true",
        "GET $/d?recursive=true&sorted=true",
    ),
    row(
        "a sorted get is in byte order at every level",
        *(
            f"PUT $/{name} value=1"
            for name in (
                "b/z",
                "b/a",
                "B/z",
                "B/A",
                "%C3%A9/1",
                "a",
                "10",
                "9",
                "a-b",
                "ab",
                "a.b",
            )
        ),
        "GET $?sorted=true",
        "GET $?sorted=true&recursive=true",
    ),
    row(
        "a listing leaves hidden names out at every level",
        "PUT $/d/_h value=1",
        "PUT $/d/a/_h/x value=1",
        "PUT $/d/a/b value=1",
        "GET $/d?recursive=true&sorted=true",
        "GET $/d",
    ),
    row(
        "a hidden name can be asked for itself",
        "PUT $/_h/a value=1",
        "GET $/_h",
        "GET $/_h/a",
        "GET $/_h?recursive=true",
    ),
    row(
        "hidden children of a hidden directory are left out",
        "PUT $/_h/_a value=1",
        "PUT $/_h/b value=1",
        "GET $/_h?recursive=true",
    ),
    row(
        "an empty directory has no nodes",
        "PUT $/d dir=true",
        "GET $/d",
        "GET $/d?recursive=true",
    ),
    row("a directory of hidden names has no nodes", "PUT $/d/_h value=1", "GET $/d"),
    row(
        "the root has no key and no indexes",
        "GET /v2/keys?sorted=true",
        "GET /v2/keys/?sorted=true",
    ),
    row(
        "a quorum get goes through the log and looks the same",
        "PUT $/f value=1",
        "GET $/f?quorum=true",
        "GET $?quorum=true&recursive=true&sorted=true",
    ),
    row("a quorum get of nothing is 100", "GET $/no?quorum=true"),
    row(
        "a quorum get ignores wait", "PUT $/f value=1", "GET $/f?quorum=true&wait=true"
    ),
    row("a quorum get of the root", "GET /v2/keys?quorum=true&sorted=true"),
    row(
        "a get with a false quorum is local", "PUT $/f value=1", "GET $/f?quorum=false"
    ),
    row(
        "a head is a get without its body",
        "PUT $/f value=1",
        "HEAD $/f",
        "HEAD $/no",
        "HEAD $",
        "HEAD /v2/keys",
    ),
    row(
        "a head ignores quorum",
        "PUT $/f value=1",
        "HEAD $/f?quorum=true",
        "HEAD $/no?quorum=true",
    ),
    row(
        "a head of a large answer has no length",
        f"PUT $/f value={'x' * 3000}",
        "HEAD $/f",
        "GET $/f",
    ),
    row(
        "a head of an answer just too large has no length",
        f"PUT $/f value={'x' * 1900}",
        "HEAD $/f",
        f"PUT $/f value={'x' * 1990}",
        "HEAD $/f",
        f"PUT $/f value={'x' * 2100}",
        "HEAD $/f",
    ),
    row(
        "a trailing slash is dropped",
        "PUT $/f/ value=1",
        "GET $/f",
        "GET $/f/",
        "DELETE $/f/",
    ),
]

SET = [
    row("a set of a new key is 201", "PUT $/f value=1"),
    row(
        "a set over a file is 200 with the old node",
        "PUT $/f value=1",
        "PUT $/f value=2",
        "GET $/f",
    ),
    row(
        "a set replaces the node, its created index too",
        "PUT $/f value=1",
        "PUT $/g value=1",
        "PUT $/f value=1",
    ),
    row(
        "a set without a value stores the empty string",
        "PUT $/f",
        "GET $/f",
        "PUT $/g other=1",
        "PUT $/h value=",
    ),
    row(
        "a set makes the directories on its way",
        "PUT $/a/b/c/d value=1",
        "GET $?recursive=true",
        "GET $/a/b",
    ),
    row(
        "a set on a directory is 102",
        "PUT $/d dir=true",
        "PUT $/d value=1",
        "PUT $/d",
        "PUT $/d dir=true",
        "PUT $/d dir=true&value=x",
    ),
    row(
        "a set of dir over a file makes it a directory",
        "PUT $/f value=1",
        "PUT $/f dir=true",
        "GET $/f",
        "PUT $/f/x value=1",
    ),
    row("a value beside dir is discarded", "PUT $/d dir=true&value=x", "GET $/d"),
    row(
        "a set below a file is 104",
        "PUT $/f value=1",
        "PUT $/f/x value=1",
        "PUT $/f/x/y value=1",
        "PUT $/f/x dir=true",
    ),
    row(
        "a set of the root is 107",
        "PUT /v2/keys value=1",
        "PUT /v2/keys/ value=1",
        "PUT /v2/keys dir=true",
    ),
    row("a false dir is a file", "PUT $/f dir=false&value=1"),
    row(
        "parameters may stand in the query",
        "PUT $/f?value=q",
        "PUT $/f?value=q value=body",
        "PUT $/f?prevValue=body&value=new",
    ),
]

CREATE = [
    row("a create of a new key is 201", "PUT $/f?prevExist=false value=1"),
    row(
        "a create of an old file is 105",
        "PUT $/f value=1",
        "PUT $/f?prevExist=false value=2",
        "GET $/f",
    ),
    row(
        "a create of an old directory is 105",
        "PUT $/d dir=true",
        "PUT $/d?prevExist=false value=2",
        "PUT $/d?prevExist=false dir=true",
    ),
    row("a create of a directory", "PUT $/d?prevExist=false dir=true", "GET $/d"),
    row(
        "a create drops a value beside dir", "PUT $/d?prevExist=false dir=true&value=x"
    ),
    row(
        "a create ignores the other conditions",
        "PUT $/f?prevExist=false&prevValue=x&prevIndex=7 value=1",
        "PUT $/f?prevExist=false&prevValue=1 value=2",
    ),
    row(
        "a create below a file is 104",
        "PUT $/f value=1",
        "PUT $/f/x?prevExist=false value=1",
        "PUT $/f/x/y?prevExist=false dir=true",
    ),
    row(
        "a create of the root is 107",
        "PUT /v2/keys?prevExist=false value=1",
        "PUT /v2/keys/?prevExist=false dir=true",
    ),
    row(
        "a create of an old hidden file is 105",
        "PUT $/_f value=1",
        "PUT $/_f?prevExist=false value=2",
    ),
]

IN_ORDER = [
    row(
        "a post makes a name from the next index",
        "POST $/q value=1",
        "POST $/q value=2",
        "GET $/q?sorted=true",
    ),
    row("a post makes its directory", "POST $/a/b/c value=1", "GET $?recursive=true"),
    row("a post with dir makes a directory", "POST $/q dir=true", "GET $/q"),
    row(
        "a post on a file is 104",
        "PUT $/f value=1",
        "POST $/f value=1",
        "POST $/f/x value=1",
    ),
    row("a post on the root is allowed", "POST /v2/keys value=1"),
    row("a post on the root with a slash is allowed", "POST /v2/keys/ value=1"),
    row(
        "a post whose name was made by hand is 105",
        "PUT $/q/@@2 value=1",
        "POST $/q value=1",
    ),
    row(
        "a post ignores every condition",
        "POST $/q?prevExist=true&prevValue=x&prevIndex=9 value=1",
    ),
    row("a post ignores refresh", "POST $/q value=&refresh=true&ttl=100"),
    row("a post without a value", "POST $/q"),
    row("a post of a hidden directory", "POST $/_q value=1", "GET $/_q"),
    row("a post with a ttl", "POST $/q value=1&ttl=100"),
    row(
        "a failed post uses no index",
        "PUT $/f value=1",
        "POST $/f value=1",
        "POST $/q value=1",
    ),
]

UPDATE = [
    row(
        "an update of nothing is 100",
        "PUT $/f?prevExist=true value=1",
        "PUT $/a/b?prevExist=true value=1",
    ),
    row(
        "an update keeps the created index",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true value=2",
        "GET $/f",
    ),
    row(
        "an update without a value empties it",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true",
        "GET $/f",
    ),
    row(
        "an update without a ttl makes it permanent",
        "PUT $/f value=1&ttl=100",
        "PUT $/f?prevExist=true value=2",
        "GET $/f",
    ),
    row(
        "an update with a ttl sets it",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true value=2&ttl=100",
        "GET $/f",
    ),
    row(
        "an update ignores dir",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true dir=true",
        "GET $/f",
    ),
    row(
        "an update of a directory with a value is 102",
        "PUT $/d dir=true",
        "PUT $/d?prevExist=true value=1",
    ),
    row(
        "an update of a directory shows the new index and keeps the old",
        "PUT $/d dir=true",
        "PUT $/d?prevExist=true ttl=100",
        "GET $/d",
        "PUT $/d?prevExist=true",
        "GET $/d",
    ),
    row(
        "an update of a full directory",
        "PUT $/d/a value=1",
        "PUT $/d?prevExist=true",
        "PUT $/d?prevExist=true dir=true",
        "GET $/d?recursive=true",
    ),
    row(
        "an update of the root is 107",
        "PUT /v2/keys?prevExist=true",
        "PUT /v2/keys?prevExist=true value=1",
    ),
    row(
        "an update through a file is 104",
        "PUT $/f value=1",
        "PUT $/f/x?prevExist=true value=1",
    ),
    row(
        "a zero index is no index",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true&prevIndex=0 value=2",
    ),
]

SWAP = [
    row(
        "a swap with the right value",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1 value=2",
        "GET $/f",
    ),
    row(
        "a swap with the wrong value is 101",
        "PUT $/f value=1",
        "PUT $/f?prevValue=x value=2",
        "GET $/f",
    ),
    row(
        "a swap with the right index", "PUT $/f value=1", "PUT $/f?prevIndex=@1 value=2"
    ),
    row(
        "a swap with the wrong index is 101",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=1 value=2",
        "PUT $/f?prevIndex=@9 value=2",
    ),
    row(
        "a swap compares with the modified index",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true value=2",
        "PUT $/f?prevIndex=@1 value=3",
        "PUT $/f?prevIndex=@2 value=3",
    ),
    row(
        "a swap with both right",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=@1&prevValue=1 value=2",
    ),
    row(
        "a swap with both wrong shows both",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=1&prevValue=x value=2",
    ),
    row(
        "a swap with the value wrong shows only it",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=@1&prevValue=x value=2",
    ),
    row(
        "a swap with the index wrong shows only it",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=1&prevValue=1 value=2",
    ),
    row(
        "a swap prints numbers canonically",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=007 value=2",
        "PUT $/f?prevIndex=18446744073709551615 value=2",
    ),
    row(
        "a zero index compares nothing, so this is a set",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=0 value=2",
    ),
    row(
        "a zero index beside a value compares the value",
        "PUT $/f value=1",
        "PUT $/f?prevIndex=0&prevValue=1 value=2",
        "PUT $/f?prevIndex=0&prevValue=1 value=2",
    ),
    row(
        "a swap of nothing is 100",
        "PUT $/f?prevValue=1 value=2",
        "PUT $/a/b/c?prevIndex=4 value=2",
        "PUT $/f?prevExist=true&prevValue=1 value=2",
    ),
    row(
        "a swap of a directory is 102",
        "PUT $/d dir=true",
        "PUT $/d?prevValue=1 value=2",
        "PUT $/d?prevIndex=@1 value=2",
    ),
    row(
        "a swap of the root is 107",
        "PUT /v2/keys?prevValue=1 value=2",
        "PUT /v2/keys?prevIndex=1 value=2",
    ),
    row(
        "a swap below a file is 104", "PUT $/f value=1", "PUT $/f/x?prevValue=1 value=2"
    ),
    row(
        "a swap with prevExist is a swap",
        "PUT $/f value=1",
        "PUT $/f?prevExist=true&prevValue=1 value=2",
        "PUT $/f?prevExist=true&prevIndex=@2 value=3",
    ),
    row(
        "a swap without a value writes the empty string",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1",
    ),
    row(
        "a swap ignores dir",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1 dir=true&value=2",
        "GET $/f",
    ),
    row(
        "a swap without a ttl makes it permanent",
        "PUT $/f value=1&ttl=100",
        "PUT $/f?prevValue=1 value=2",
        "GET $/f",
    ),
    row(
        "a swap with a ttl sets it",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1 value=2&ttl=100",
        "GET $/f",
    ),
    row(
        "an empty stored value can not be compared, the parameter may not be empty",
        "PUT $/f value=",
        "PUT $/f?prevValue= value=2",
    ),
    row(
        "a cause escapes what it shows",
        "PUT $/f value=<a>",
        "PUT $/f?prevValue=%22%26 value=2",
    ),
    row(
        "values are compared as bytes",
        "PUT $/f value=%FF",
        "PUT $/f?prevValue=%EF%BF%BD value=1",
        "PUT $/f?prevValue=%FE value=1",
        "PUT $/f?prevValue=%FF value=1",
    ),
    row("a swap of a hidden key", "PUT $/_f value=1", "PUT $/_f?prevValue=1 value=2"),
]

DELETE = [
    row("a delete of a file", "PUT $/f value=1", "DELETE $/f", "GET $/f"),
    row(
        "a delete of nothing is 100",
        "DELETE $/f",
        "DELETE $/a/b/c",
        "DELETE $/f?dir=true",
        "DELETE $/f?recursive=true",
    ),
    row("a delete of a file with dir", "PUT $/f value=1", "DELETE $/f?dir=true"),
    row(
        "a delete of a file with recursive",
        "PUT $/f value=1",
        "DELETE $/f?recursive=true",
    ),
    row(
        "a delete of a directory without dir is 102",
        "PUT $/d dir=true",
        "DELETE $/d",
        "DELETE $/d?dir=false&recursive=false",
    ),
    row(
        "a delete of an empty directory",
        "PUT $/d dir=true",
        "DELETE $/d?dir=true",
        "GET $/d",
    ),
    row(
        "a delete of a full directory is 108",
        "PUT $/d/a value=1",
        "DELETE $/d?dir=true",
    ),
    row(
        "a delete of a directory with hidden names is 108",
        "PUT $/d/_a value=1",
        "DELETE $/d?dir=true",
    ),
    row(
        "a recursive delete takes all",
        "PUT $/d/a/b value=1",
        "PUT $/d/c value=1",
        "DELETE $/d?recursive=true",
        "GET $/d",
    ),
    row(
        "a recursive delete of an empty directory",
        "PUT $/d dir=true",
        "DELETE $/d?recursive=true",
    ),
    row(
        "a delete of the root is 107",
        "DELETE /v2/keys",
        "DELETE /v2/keys/?recursive=true",
        "DELETE /v2/keys?dir=true",
    ),
    row(
        "a delete below a file is 104",
        "PUT $/f value=1",
        "DELETE $/f/x",
        "DELETE $/f/x?recursive=true",
    ),
    row(
        "a delete of a key with a ttl shows it in the old node only",
        "PUT $/f value=1&ttl=100",
        "DELETE $/f",
    ),
    row(
        "a delete of a directory with a ttl",
        "PUT $/d dir=true&ttl=100",
        "DELETE $/d?dir=true",
    ),
    row("a delete's form body is ignored", "PUT $/d dir=true", "DELETE $/d dir=true"),
    row(
        "the parent stays when its last child goes",
        "PUT $/d/a value=1",
        "DELETE $/d/a",
        "GET $/d",
    ),
    row(
        "a deleted key can be created again",
        "PUT $/f value=1",
        "DELETE $/f",
        "PUT $/f?prevExist=false value=2",
    ),
    row("a delete ignores prevExist", "PUT $/f value=1", "DELETE $/f?prevExist=false"),
]

COMPARE_AND_DELETE = [
    row(
        "a conditional delete with the right value",
        "PUT $/f value=1",
        "DELETE $/f?prevValue=1",
        "GET $/f",
    ),
    row(
        "a conditional delete with the wrong value is 101",
        "PUT $/f value=1",
        "DELETE $/f?prevValue=2",
    ),
    row(
        "a conditional delete with the right index",
        "PUT $/f value=1",
        "DELETE $/f?prevIndex=@1",
    ),
    row(
        "a conditional delete with the wrong index is 101",
        "PUT $/f value=1",
        "DELETE $/f?prevIndex=1",
    ),
    row(
        "a conditional delete with both",
        "PUT $/f value=1",
        "DELETE $/f?prevIndex=1&prevValue=2",
        "DELETE $/f?prevIndex=@1&prevValue=2",
        "DELETE $/f?prevIndex=1&prevValue=1",
        "DELETE $/f?prevIndex=@1&prevValue=1",
    ),
    row("a conditional delete of nothing is 100", "DELETE $/f?prevValue=1"),
    row(
        "a conditional delete of a directory is 102",
        "PUT $/d dir=true",
        "DELETE $/d?prevIndex=@1",
        "DELETE $/d?prevIndex=@1&dir=true",
        "DELETE $/d?prevValue=1&recursive=true",
    ),
    row(
        "a conditional delete of the root is 102 without a cause",
        "DELETE /v2/keys?prevValue=1",
        "DELETE /v2/keys?prevIndex=3&recursive=true",
    ),
    row(
        "a conditional delete below a file is 104",
        "PUT $/f value=1",
        "DELETE $/f/x?prevValue=1",
    ),
    row(
        "a conditional delete with a zero index is a delete",
        "PUT $/f value=1",
        "DELETE $/f?prevIndex=0",
    ),
    row(
        "a conditional delete ignores prevExist",
        "PUT $/f value=1",
        "DELETE $/f?prevExist=false&prevValue=1",
    ),
    row(
        "a conditional delete shows the ttl in the old node",
        "PUT $/f value=1&ttl=100",
        "DELETE $/f?prevValue=1",
    ),
]

REFRESH = [
    row(
        "a refresh keeps the value",
        "PUT $/f value=1&ttl=100",
        "PUT $/f refresh=true&ttl=200",
        "GET $/f",
    ),
    row(
        "a refresh by set resets the created index",
        "PUT $/f value=1",
        "PUT $/g value=1",
        "PUT $/f refresh=true&ttl=200",
    ),
    row(
        "a refresh by update keeps the created index",
        "PUT $/f value=1",
        "PUT $/g value=1",
        "PUT $/f?prevExist=true refresh=true&ttl=200",
        "GET $/f",
    ),
    row(
        "a refresh by swap",
        "PUT $/f value=1",
        "PUT $/f?prevValue=1 refresh=true&ttl=200",
        "PUT $/f?prevValue=x refresh=true&ttl=200",
        "PUT $/f?prevIndex=@2 refresh=true&ttl=50",
        "GET $/f",
    ),
    row(
        "a refresh of nothing is 100",
        "PUT $/f refresh=true&ttl=200",
        "PUT $/f?prevExist=true refresh=true&ttl=200",
        "PUT $/a/b refresh=true&ttl=1",
    ),
    row(
        "a refresh of a directory by set is 102",
        "PUT $/d dir=true",
        "PUT $/d refresh=true&ttl=200",
        "PUT $/d refresh=true&ttl=200&dir=true",
    ),
    row(
        "a refresh of a directory by update",
        "PUT $/d dir=true",
        "PUT $/d?prevExist=true refresh=true&ttl=200",
        "GET $/d",
    ),
    row(
        "a refresh of a file with dir",
        "PUT $/f value=1",
        "PUT $/f refresh=true&ttl=200&dir=true",
        "GET $/f",
    ),
    row(
        "a refresh with create makes an empty node",
        "PUT $/f?prevExist=false refresh=true&ttl=200",
        "GET $/f",
    ),
    row(
        "a refresh with an empty value is a refresh",
        "PUT $/f value=1",
        "PUT $/f value=&refresh=true&ttl=200",
    ),
    row(
        "a refresh through a file is 104",
        "PUT $/f value=1",
        "PUT $/f/x refresh=true&ttl=200",
    ),
    row("a refresh of the root is 107", "PUT /v2/keys refresh=true&ttl=20"),
]

NO_VALUE = [
    row(
        "noValueOnSuccess leaves only the action",
        "PUT $/f?noValueOnSuccess=true value=1",
        "PUT $/f?noValueOnSuccess=true value=2",
        "PUT $/f?prevExist=true&noValueOnSuccess=true value=3",
        "PUT $/f?prevValue=3&noValueOnSuccess=true value=4",
        "PUT $/g?prevExist=false&noValueOnSuccess=true value=4",
        "POST $/q?noValueOnSuccess=true value=1",
    ),
    row(
        "noValueOnSuccess changes no error",
        "PUT $/f?prevValue=3&noValueOnSuccess=true value=4",
    ),
    row(
        "noValueOnSuccess changes no get and no delete",
        "PUT $/f value=1",
        "GET $/f?noValueOnSuccess=true",
        "GET $/f?noValueOnSuccess=true&quorum=true",
        "DELETE $/f?noValueOnSuccess=true",
        "PUT $/f value=1",
        "DELETE $/f?prevValue=1&noValueOnSuccess=true",
    ),
    row("noValueOnSuccess in the body", "PUT $/f value=1&noValueOnSuccess=1"),
    row("a false noValueOnSuccess shows all", "PUT $/f value=1&noValueOnSuccess=false"),
    row(
        "watchers see what noValueOnSuccess hides",
        "w> GET $/f?wait=true",
        "PUT $/f?noValueOnSuccess=true value=1",
        "w<",
    ),
]

NAMES = [
    row(
        "names may hold any byte",
        "PUT $/a%00b value=1",
        "PUT $/%3F%23%25 value=1",
        "PUT $/%FF%FE value=1",
        "GET $?sorted=true",
    ),
    row(
        "a name that is no UTF-8 is its own key",
        "PUT $/%FF value=1",
        "PUT $/%FE value=2",
        "GET $/%FF",
        "GET $/%FE",
        "GET $/%EF%BF%BD",
    ),
    row("names may be long", f"PUT $/{'n' * 2000} value=1", f"GET $/{'n' * 2000}"),
    row(
        "names may be deep",
        f"PUT ${'/d' * 500} value=1",
        f"GET ${'/d' * 500}",
        f"GET ${'/d' * 499}/x",
    ),
    row(
        "names may have blanks and signs",
        "PUT $/a%20b+c value=1",
        "GET $/a%20b+c",
        "GET $/a+b%2Bc",
    ),
    row("names are case sensitive", "PUT $/A value=1", "GET $/a"),
    row("a name of dots", "PUT $/... value=1", "GET $/..."),
    row(
        "a name that only begins with another",
        "PUT $/a value=1",
        "PUT $/ab/c value=1",
        "GET $?sorted=true",
    ),
    row(
        "a name that looks like an internal one",
        "PUT $/0/members/x value=1",
        "PUT $/1/2 value=2",
        "GET $?recursive=true&sorted=true",
    ),
]

ROWS = [
    *GET,
    *SET,
    *CREATE,
    *IN_ORDER,
    *UPDATE,
    *SWAP,
    *DELETE,
    *COMPARE_AND_DELETE,
    *REFRESH,
    *NO_VALUE,
    *NAMES,
]


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd(row, agree) -> None:
    agree(row)


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_as_etcd_at_a_follower(row, followers_agree) -> None:
    followers_agree(row)
