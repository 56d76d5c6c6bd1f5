"""What etcdctl and kvctl print, at etcd and at kvd: four transcripts without a difference."""

from __future__ import annotations

import os

import pytest

from kvd.testing.servers import missing_tools
from tests.conformance.fourfold import Four, Typed

pytestmark = pytest.mark.oracle

KEYS = [
    Typed("ls"),
    Typed("ls /"),
    Typed("-o json ls /"),
    Typed("-o extended ls /"),
    Typed("get /", 1),
    Typed("get", 1),
    Typed("get /none", 4),
    Typed("get /none/of/these", 4),
    Typed("ls /none", 4),
    Typed("set /a 1"),
    Typed("set a 2"),
    Typed("set /a/ 3"),
    Typed("set //a/./b/../ 4"),
    Typed("get /a"),
    Typed("get a"),
    Typed("get --quorum /a"),
    Typed("get -q --sort /a"),
    Typed("-o extended get /a"),
    Typed("-o json get /a"),
    Typed("-o yaml get /a"),
    Typed("--output= get /a"),
    Typed("-o json get /none", 4),
    Typed("-o extended set /a 5"),
    Typed("-o json set /a 6"),
    Typed("set /a 7 8 9"),
    Typed("set", 1),
    Typed("set /a", 1),
    Typed("set /a", stdin=b"from standard input\n"),
    Typed("set /a ''"),
    Typed("get /a"),
    Typed("set /a -1"),
    Typed("set -- /a -x"),
    Typed("set /a -- -x --ttl 5"),
    Typed("set /a --ttl 100 ten"),
    Typed("-o json get /a"),
    Typed("-o extended set --ttl 0x10 /a hex"),
    Typed("set --ttl=-5 /a negative"),
    Typed("-o json get /a"),
    Typed("set /a 'with  spaces & <signs>; ?=#% + \"quotes\" \\ '"),
    Typed("-o json get /a"),
    Typed("set '/k ?&=#%+;\"<>' odd"),
    Typed("get '/k ?&=#%+;\"<>'"),
    Typed("set /ü/€ 'ä 𝄞'"),
    Typed("get /ü/€"),
    Typed("-o json ls -r /ü"),
    Typed("set /a", stdin=b"\xff\xfe bytes \x80"),
    Typed("get /a"),
    Typed("-o json get /a"),
    Typed("set /a", stdin=b"line\r\nline\ttab\x01\x08\x0c\x7f\n"),
    Typed("get /a"),
    Typed("-o json get /a"),
    Typed("set /a/b under-a-file", 4),
    Typed("set / root", 4),
    Typed("set /a one --swap-with-value wrong", 4),
    Typed("set /a two"),
    Typed("set /a three --swap-with-value two"),
    Typed("set /a four --swap-with-index 1", 4),
    Typed("set /a four --swap-with-index -1", 4),
    Typed("set /a four --swap-with-value x --swap-with-index 1", 4),
    Typed("set --swap-with-value three /none four", 4),
    Typed("-o json set --swap-with-value three /a four"),
    Typed("mk /a five", 4),
    Typed("mk /b 1"),
    Typed("mk /b", 1),
    Typed("mk", 1),
    Typed("mk /c 1 --ttl 100"),
    Typed("-o json get /c"),
    Typed("mk --in-order /queue one"),
    Typed("mk --in-order /queue", stdin=b"two"),
    Typed("-o json mk --in-order /queue three --ttl 100"),
    Typed("-o json mk /queue --in-order 5"),  # takes 5 along: the key is 5
    Typed("mk --in-order /a six", 4),
    Typed("-o json ls --sort /queue"),
    Typed("update /a seven"),
    Typed("update /a", 1),
    Typed("update /a", stdin=b"piped"),
    Typed("update", 1),
    Typed("update /none x", 4),
    Typed("update --ttl 100 /a eight"),
    Typed("-o json update /a nine"),
    Typed("mkdir /d"),
    Typed("mkdir /d", 4),
    Typed("mkdir", 1),
    Typed("mkdir /d/e/f --ttl 100"),
    Typed("-o json mkdir /d/g"),
    Typed("-o extended mkdir /d/h"),
    Typed("mkdir /a", 4),
    Typed("mkdir /a/b", 4),
    Typed("mkdir /", 4),
    Typed("setdir /d", 4),
    Typed("setdir /new"),
    Typed("-o json setdir /newer --ttl 100"),
    Typed("setdir", 1),
    Typed("updatedir /d --ttl 100"),
    Typed("-o json updatedir /d"),
    Typed("-o extended updatedir /d --ttl 200"),
    Typed("updatedir /none", 4),
    Typed("updatedir", 1),
    Typed("get /d", 1),
    Typed("set /d x", 4),
    Typed("update /d x", 4),
    Typed("set /d/_hidden 1"),
    Typed("set /d/x 1"),
    Typed("set /d/e/y 1"),
    Typed("ls --sort /"),
    Typed("ls --sort /d"),
    Typed("ls --sort -p /d"),
    Typed("ls --sort -r /d"),
    Typed("ls -r -p --sort --quorum /"),
    Typed("ls /d --sort -p -r"),
    Typed("ls /a"),
    Typed("ls -p /a"),
    Typed("ls /d/_hidden"),
    Typed("-o json ls --sort -r /d"),
    Typed("-o extended ls --sort -r /d"),
    Typed("rm", 1),
    Typed("rm /none", 4),
    Typed("rm /d", 4),
    Typed("rm --dir /d", 4),
    Typed("rm --dir /d/g"),
    Typed("rm --dir /b"),
    Typed("rm /a --with-value wrong", 4),
    Typed("rm /a --with-index 1", 4),
    Typed("rm /a --with-value nine"),
    Typed("set /a again"),
    Typed("-o extended rm /a"),
    Typed("set /a again"),
    Typed("-o json rm /a"),
    Typed("set /a again"),
    Typed("-o json rm /a --with-value again"),
    Typed("set /a again"),
    Typed("-o extended rm /a --with-value again"),
    Typed("rm / --recursive", 4),
    Typed("rmdir", 1),
    Typed("rmdir /d", 4),
    Typed("rmdir /d/h"),
    Typed("rmdir /c"),
    Typed("rmdir /none", 4),
    Typed("-o json rm --recursive /d"),
    Typed("rm -r /queue"),
    Typed("rm -r=true /new"),
    Typed("-o extended rmdir /newer"),
]

WATCHES = [
    Typed("set /w/a 1"),
    Typed("set /w/a 2"),
    Typed("mkdir /w/d"),
    Typed("rm /w/a"),
    Typed("watch", 1),
    Typed("watch --after-index {index} -r /w"),
    Typed("watch /w/a --after-index {after1}"),
    Typed("watch -r --after-index {after2} /w"),  # passes by the directory
    Typed("-o extended watch --after-index {index} /w/a"),
    Typed("-o json watch -r --after-index {index} /w"),
    Typed("-o json watch --after-index={after3} /w/a"),
    Typed("-o yaml watch -r --after-index={index} /w"),
    Typed("exec-watch", 1),
    Typed("exec-watch /w", 1),
    Typed("--debug watch --after-index {index} /w/a"),
]

USAGE = [
    Typed("zz", 3),
    Typed("import", 3),
    Typed("help zz", 3),
    Typed("h zz", 3),
    Typed("zz --help", 3),
    Typed("--x", 1),
    Typed("-", 3),
    Typed("-=", 1),
    Typed("--timeout 1 get /a", 1),
    Typed("--timeout", 1),
    Typed("--no-sync=maybe ls", 1),
    Typed("-o json --output json ls", 1),
    Typed("ls --x", 1),
    Typed("ls -rp", 1),
    Typed("ls -r --recursive", 1),
    Typed("set -x /a", 1),
    Typed("set --ttl ten /a b", 1),
    Typed("set --ttl", 1),
    Typed("set --ttl 99999999999999999999 /a b", 1),
    Typed("set --swap-with-index 1.5 /a b", 1),
    Typed("ls --sort=perhaps", 1),
    Typed("---ls", 1),
    Typed("ls ---sort", 1),
    Typed("rmdir -r /a", 1),
    Typed("watch --after-index '' /a", 1),
]

HELP = [
    Typed(""),
    Typed("help"),
    Typed("h"),
    Typed("--help"),
    Typed("-h"),
    Typed("-h zz"),
    Typed("help set"),
    Typed("set --help"),
    Typed("set -h /a b"),
    Typed("set /a b --help"),
    Typed("help help"),
    Typed("-- ls --help"),
]

ENDPOINTS = [
    Typed("--endpoints {server} set /a 1"),
    Typed("--endpoints={server} get /a"),
    Typed("--endpoint {server} get /a"),
    Typed("--peers {server} get /a"),
    Typed("-C {server} get /a"),
    Typed("--endpoints {server}/ get /a"),
    Typed("--no-sync --endpoints {server}/ get /a"),
    Typed("--no-sync --endpoints {server} get /a"),
    Typed("--endpoints {dead},{server} get /a"),
    Typed("--no-sync --endpoints {dead},{server},{dead} get /a"),
    Typed("--endpoints {server} --peers {dead} get /a"),
    Typed("--endpoints {dead} get /a", 2),
    Typed("--endpoints {dead} get", 2),
    Typed("--no-sync --endpoints {dead} get", 1),
    Typed("--no-sync --endpoints {dead} get /a", 4),
    Typed("--no-sync --endpoints {dead},{dead} set /a 2", 4),
    Typed("--no-sync --endpoints {dead} mk /a 2", 4),
    Typed("--no-sync --endpoints {dead} rm /a", 4),
    Typed("--no-sync --endpoints {dead} mk --in-order /a 2", 4),
    Typed("--no-sync --endpoints {dead} watch /a", 4),
    Typed("--endpoints {dead},{dead} ls", 2),
    Typed("--endpoints 127.0.0.1:1 get /a", 1),
    Typed("--endpoints localhost:1 get /a", 4),
    Typed("--endpoints :1 get /a", 1),
    Typed("--endpoints http:// get /a", 4),
    Typed("--endpoints ftp://127.0.0.1:1 get /a", 4),
    Typed("--endpoints 'http://a b' get /a", 1),
    Typed("--endpoints http://127.0.0.1:x get /a", 1),
    Typed("--endpoints {server}, get /a"),
    Typed("--endpoints {server}/else get /a", 4),
    Typed("--no-sync --endpoints {server}/else get /a", 4),
    Typed("--endpoints {server} --total-timeout 0 get /a", 2),
    Typed("--no-sync --endpoints {server} --total-timeout 0 get /a", 4),
    Typed("--endpoints {server} --timeout 0 get /a"),
    Typed("--endpoints {server} --cert-file /none get /a", 1),
    Typed("--endpoints {server} --key-file /none get /a", 1),
    Typed("--endpoints {server} --ca-file /none get /a", 1),
    Typed("--endpoints {server} --cert-file /none --key-file /none get /a", 1),
    Typed("--endpoints {server} --username root:pw get /a"),
    Typed("--endpoints {server} -u root get /a", stdin=b"pw\n"),
    Typed("--endpoints {server} -u root get /a"),
]

DEBUG = [
    Typed("--debug set '/a b' 'x&y \"z\" ä'"),
    Typed("--debug --no-sync get --sort '/a b'"),
    Typed("--debug ls -r -q"),
    Typed("--debug mk --ttl 5 /m 1"),
    Typed("--debug mk --in-order /o 1"),
    Typed("--debug mkdir /p"),
    Typed("--debug setdir --ttl 5 /q"),
    Typed("--debug updatedir --ttl 5 /q"),
    Typed("--debug update /m 2"),
    Typed("--debug set --swap-with-value 2 --swap-with-index 1 /m 2", 4),
    Typed("--debug rm -r --dir --with-value x --with-index 5 /p", 4),
    Typed("--debug rmdir /p"),
    Typed("--debug --endpoints {dead} ls", 2),
]


@pytest.fixture(scope="module")
def started(oracle, tmp_path_factory):
    missing = missing_tools("etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip("no etcdctl (Debian: etcd-client)")
    assert not missing
    made = Four(tmp_path_factory.mktemp("four"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def four(started):
    """With nothing in them."""
    started.begin()
    return started


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def test_commands_on_keys_print_the_same(four):
    four.agree(KEYS)


def test_changes_that_were_are_printed_the_same(four):
    four.agree(WATCHES)


def test_usage_errors_begin_with_the_same_line(four):
    four.agree(USAGE, first_line)


def test_help_is_given_where_etcdctl_gives_it(four):
    four.agree(HELP, lambda text: str(bool(text)))


def test_endpoints_are_taken_and_refused_alike(four):
    four.agree(ENDPOINTS)


def test_curl_lines_are_the_same(four):
    four.agree(DEBUG)
