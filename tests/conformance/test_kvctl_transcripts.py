"""What etcdctl and kvctl print, at etcd and at kvd: four transcripts without a difference."""

from __future__ import annotations

import base64
import json
from http.client import HTTPConnection

import pytest

from kvd.testing.servers import Make, Server
from tests.conformance.fourfold import Four, Typed
from tests.conformance.oddserver import odd_server
from tests.conformance.programs import PROGRAMS, require_etcdctl
from tests.integration.secure import Folder, secured

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
    Typed("set /a --ttl 1000 ten"),
    Typed("-o json get /a"),
    Typed("-o extended set --ttl 0x100 /a hex"),
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
    Typed("mk /c 1 --ttl 1000"),
    Typed("-o json get /c"),
    Typed("mk --in-order /queue one"),
    Typed("mk --in-order /queue", stdin=b"two"),
    Typed("-o json mk --in-order /queue three --ttl 1000"),
    Typed("-o json mk /queue --in-order 5"),  # takes 5 along: the key is 5
    Typed("mk --in-order /a six", 4),
    Typed("-o json ls --sort /queue"),
    Typed("update /a seven"),
    Typed("update /a", 1),
    Typed("update /a", stdin=b"piped"),
    Typed("update", 1),
    Typed("update /none x", 4),
    Typed("update --ttl 1000 /a eight"),
    Typed("-o json update /a nine"),
    Typed("mkdir /d"),
    Typed("mkdir /d", 4),
    Typed("mkdir", 1),
    Typed("mkdir /d/e/f --ttl 1000"),
    Typed("-o json mkdir /d/g"),
    Typed("-o extended mkdir /d/h"),
    Typed("mkdir /a", 4),
    Typed("mkdir /a/b", 4),
    Typed("mkdir /", 4),
    Typed("setdir /d", 4),
    Typed("setdir /new"),
    Typed("-o json setdir /newer --ttl 1000"),
    Typed("setdir", 1),
    Typed("updatedir /d --ttl 1000"),
    Typed("-o json updatedir /d"),
    Typed("-o extended updatedir /d --ttl 2000"),
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
    Typed("watch --after-index {after0} -r /w"),
    Typed("watch /w/a --after-index {after1}"),
    Typed("watch -r --after-index {after2} /w"),  # passes by the directory
    Typed("-o extended watch --after-index {after0} /w/a"),
    Typed("-o json watch -r --after-index {after0} /w"),
    Typed("-o json watch --after-index={after3} /w/a"),
    Typed("-o yaml watch -r --after-index={after0} /w"),
    Typed("exec-watch", 1),
    Typed("exec-watch /w", 1),
    Typed("--debug watch --after-index {after0} /w/a"),
]

USAGE = [
    Typed("zz", 3),
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
    Typed("-o json --output json --x ls", 1),
    Typed("ls -r --recursive --x", 1),
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
    Typed("watch /foo/bar --forever --index 12", 1),  # as etcd's guide has it
    Typed("member zz", 3),
    Typed("member help zz", 3),
    Typed("member --x list", 1),
    Typed("member list --x", 1),
    Typed("auth zz", 3),
    Typed("role grant --path", 1),
]

HELP = [
    Typed(""),
    Typed("''"),
    Typed("help ''"),
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
    Typed("member"),
    Typed("member --help"),
    Typed("member -h add"),
    Typed("member help"),
    Typed("member h add"),
    Typed("member add --help"),
    Typed("help member"),
    Typed("role"),
    Typed("user passwd -h"),
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
    Typed("--debug mk --ttl 500 /m 1"),
    Typed("--debug mk --in-order /o 1"),
    Typed("--debug mkdir /p"),
    Typed("--debug setdir --ttl 500 /q"),
    Typed("--debug updatedir --ttl 500 /q"),
    Typed("--debug update /m 2"),
    Typed("--debug set --swap-with-value 2 --swap-with-index 1 /m 2", 4),
    Typed("--debug rm -r --dir --with-value x --with-index 5 /p", 4),
    Typed("--debug rmdir /p"),
    Typed("--debug --endpoints {dead} ls", 2),
]


ODD = [
    *(
        Typed(f"--no-sync --endpoints {{odd}}/{how} get /a", status)
        for how, status in {
            "500": 4,
            "502": 4,
            "503": 4,
            "599": 4,
            "404": 4,
            "401": 4,
            "403": 4,
            "418": 4,
            "200": 0,
            "201": 0,
            "204": 4,
            "empty": 4,
            "text": 4,
            "list": 4,
            "half": 4,
            "numbers": 4,
            "surrogate": 0,
            "raw": 0,
            "more": 0,
            "lost": 4,
            "circle": 4,
            "moved": 0,
            "closes": 4,
            "cut": 4,
            "chunked": 0,
            "torn": 4,
            "old": 0,
            "garbage": 4,
        }.items()
    ),
    Typed("--no-sync --endpoints {odd}/500,{odd}/500 get /a", 4),
    Typed("--no-sync --endpoints {odd}/500 set /a 1", 4),
    Typed("--no-sync --endpoints {odd}/503 mk /a 1", 4),
    Typed("--no-sync --endpoints {odd}/502 rm /a", 4),
    Typed("--no-sync --endpoints {odd}/500,{server} ls"),
    Typed("--endpoints {odd}/500 get /a", 4),
    Typed("--endpoints {odd}/404 get /a", 4),
    Typed("--endpoints {odd}/200 get /a", 4),
    Typed("--endpoints {odd}/text get /a", 4),
    Typed("--endpoints {odd}/closes get /a", 4),
    Typed("--timeout 50ms --no-sync --endpoints {odd}/never get /a", 4),
    Typed("--timeout 50ms --endpoints {odd}/never get /a", 4),
    Typed("--total-timeout 50ms --endpoints {odd}/never get /a", 2),
    Typed("--total-timeout 50ms --no-sync --endpoints {odd}/never set /a 1", 4),
    Typed("--total-timeout 50ms --no-sync --endpoints {odd}/silent get /a", 4),
    Typed("--timeout 50ms --no-sync --endpoints {odd}/never rm /a", 4),
]


ENVIRONMENT = [
    Typed("set /a 1", environ="ENDPOINTS={server}"),
    Typed("get /a", environ="ENDPOINT={server}"),
    Typed("get /a", environ="PEERS={dead},{server}"),
    Typed("--endpoints {server} get /a", environ="ENDPOINTS={dead}"),
    Typed("--endpoint {server} get /a", 2, environ="ENDPOINTS={dead}"),
    Typed("--peers {server} get /a", 2, environ="ENDPOINT={dead}"),
    Typed("--peers {server} get /a", environ="PEERS={dead}"),
    Typed("get /a", environ="USERNAME=root:pw"),
    Typed("get /a", stdin=b"pw", environ="USERNAME=root"),
    Typed("get /a", 1, environ="CERT_FILE=/none"),
    Typed("--key-file /other get /a", 1, environ="CERT_FILE=/none"),
    Typed("get /a", 1, environ="KEY_FILE=/none"),
    Typed("get /a", 1, environ="CA_FILE=/none"),
    Typed("get /a", environ="INSECURE_DISCOVERY=1"),
]

USERS = [
    Typed("get /a", 4),
    Typed("set /a 1", 4),
    Typed("ls", 4),
    Typed("watch /a", 4),
    Typed("-u root:pw set /a 1"),
    Typed("-u root:pw get /a"),
    Typed("--username root get /a", stdin=b"pw\nrest"),
    Typed("--username root get /a", stdin=b"pw\r\n"),
    Typed("-u root set /a", stdin=b"pw\nthe rest is\nthe value"),
    Typed("-u root set /a", 1, stdin=b"pw\n"),
    Typed("--username root get /a", 4),
    Typed("-u root:wrong get /a", 4),
    Typed("-u :pw get /a", 4),
    Typed("-u nobody:pw get /a", 4),
    Typed("-u 'ann::p w' set /ann/1 x"),
    Typed("-u 'ann::p w' get /ann/1", 4),
    Typed("-u 'ann::p w' set /a x", 4),
    Typed("get /a", environ="USERNAME=root:pw"),
    Typed("-u ann:no get /a", 4, environ="USERNAME=root:pw"),
    Typed("-u root:pw --debug get /a"),
]


# What etcd's own guide of the v2 API types (etcdctl/READMEv2.md and Documentation/v2),
# in its order; keys that it takes for granted are made before.
GUIDE = [
    Typed('set /foo/bar "Hello world"'),
    Typed('set /foo/bar "Hello world" --ttl 60'),
    Typed('set /foo/bar "Goodbye world" --swap-with-value "Hello world"'),
    Typed('set /foo/bar "Goodbye world" --swap-with-index {after3}'),
    Typed('mk /foo/new_bar "Hello world"'),
    Typed('mk --in-order /fooDir "Hello world"'),
    Typed("mkdir /fooDir", 4),
    Typed('update /foo/bar "Hola mundo"'),
    Typed("setdir /mydir"),
    Typed("get /foo/bar"),
    Typed("-o extended get /foo/bar"),
    Typed("set /adir/key1 a"),
    Typed("ls --sort"),
    Typed("ls /adir"),
    Typed("ls --recursive --sort"),
    Typed("ls -p --sort"),
    Typed("mkdir /path/to/dir"),
    Typed("rmdir /path/to/dir"),
    Typed("mkdir /path/to/dir"),
    Typed("rm /path/to/dir --dir"),
    Typed("mkdir /path/to/dir"),
    Typed("rm /path/to/dir --recursive"),
    Typed('rm /foo/bar --with-value "Hello world"', 4),
    Typed("rm /foo/bar --with-index 12", 4),
    Typed("rm /foo/bar"),
    Typed("watch /foo/bar --after-index {after0}"),
    Typed("set my-key to-a-value", environ="ENDPOINT={server}"),
    Typed("set my-key to-a-value", environ="ENDPOINT={dead},{server},{dead}"),
    Typed("--endpoint {server} my-key to-a-value", 3),
    Typed("--endpoint {dead},{server} set my-key to-a-value"),
    Typed("set my-key to-a-value", environ="USERNAME=root:password"),
    Typed("-C {server} member list"),
    Typed("-C {server},{dead} member list"),
    Typed("cluster-health"),
    Typed("member update {member} http://127.0.0.1:12380"),
    Typed("member remove a8266ecf031671f3", 1),
    Typed("user list"),
    Typed("user add myusername", stdin=b"password\n"),
    Typed("role list"),
    Typed("role add myrolename"),
    Typed("user grant myusername -roles myrolename"),
    Typed("role grant myrolename -path '/foo/*' -read"),
    Typed("role grant myrolename -path '/foo/bar' -write"),
    Typed("role grant myrolename -path '/pub/*' -readwrite"),
    Typed("role grant myrolename -path '/pub*' -readwrite"),
    Typed("role get myrolename"),
    Typed("user get myusername"),
    Typed("user passwd myusername", stdin=b"secret\n"),
    Typed("user add root", stdin=b"rootpw\n"),
    Typed("auth enable"),
    Typed("-u root:rootpw role get guest"),
    Typed("-u myusername:secret get foo/new_bar"),
    Typed("-u myusername get foo/new_bar", stdin=b"secret\n"),
    Typed("-u myusername:secret get my-key", 4),
    Typed("-u root:rootpw role revoke myrolename -path '/foo/bar' -write"),
    Typed("-u root:rootpw user revoke myusername -roles myrolename"),
    Typed("-u root:rootpw role remove myrolename"),
    Typed("-u root:rootpw user remove myusername"),
    Typed("-u root:rootpw auth disable"),
    Typed("user remove root"),
    Typed("role remove guest"),
]

_OURS = "--ca-file {ca} --cert-file {cert} --key-file {key}"
TLS = [
    Typed(f"{_OURS} set /a sealed"),
    Typed(f"{_OURS} get /a"),
    Typed(f"{_OURS} --no-sync get /a"),
    Typed(f"{_OURS} --debug get /a"),
    Typed(f"{_OURS} --endpoints {{server}},{{dead}} ls"),
    Typed("get /a", environ="CA_FILE={ca} CERT_FILE={cert} KEY_FILE={key}"),
    Typed("--ca-file {other}/ca.pem --cert-file {cert} --key-file {key} get /a", 4),
    Typed("--cert-file {cert} --key-file {key} get /a", 4),
    Typed("get /a", 4),
    Typed(f"{_OURS} --cert-file /none get /a", 1),
    Typed("--ca-file {ca} --cert-file {cert} --key-file /none get /a", 1),
]

# The server says so only after the handshake, and may be cut short by its own end.
UNWELCOME = [
    Typed("--ca-file {ca} get /a"),
    Typed(
        "--ca-file {ca} --cert-file {other}/client-bert.pem "
        "--key-file {other}/client-bert.key get /a",
    ),
]


@pytest.fixture(scope="module")
def started(oracle, tmp_path_factory):
    require_etcdctl()
    made = Four.lone(tmp_path_factory.mktemp("four"))
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


def test_strange_answers_are_judged_alike(four):
    with odd_server() as four.words["odd"]:
        four.agree(ODD)


def test_the_environment_is_read_alike(four):
    four.agree(ENVIRONMENT)


def test_what_etcds_guide_types_has_the_same_results(four):
    member = json.loads(one_of(four).ask("/v2/members")[2])["members"][0]["id"]
    four.words["member"] = member  # the same for all, as they all say the same
    four.agree(GUIDE)


def one_of(four: Four) -> Server:
    return four.servers["kvctl", Make.KVD]


def test_users_are_let_in_and_kept_out_alike(four):
    for server in four.servers.values():
        protect(server)
    try:
        four.agree(USERS)
    finally:
        for server in four.servers.values():
            assert asked(server, "DELETE", "/v2/auth/enable") == 200


def asked(server: Server, method: str, path: str, document: object = None) -> int:
    """The status of a request of root's."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    basic = base64.b64encode(b"root:pw").decode()
    body = None if document is None else json.dumps(document)
    try:
        connection.request(method, path, body, {"Authorization": f"Basic {basic}"})
        return connection.getresponse().status
    finally:
        connection.close()


def protect(server: Server) -> None:
    """Let root do anything, ann write below /ann, and everybody else nothing."""
    rights = {"kv": {"read": [], "write": ["/ann/*"]}}
    for path, document, status in (
        ("/v2/auth/users/root", {"user": "root", "password": "pw"}, 201),
        ("/v2/auth/roles/ann", {"role": "ann", "permissions": rights}, 201),
        (
            "/v2/auth/users/ann",
            {"user": "ann", "password": ":p w", "roles": ["ann"]},
            200,
        ),
        ("/v2/auth/enable", None, 200),
    ):
        assert asked(server, "PUT", path, document) == status
    assert asked(server, "DELETE", "/v2/auth/roles/guest") == 200


@pytest.fixture(scope="module")
def sealed(started, tmp_path_factory):
    """An etcd and a kvd that want certificates; both programs ask the same ones."""
    folder = tmp_path_factory.mktemp("sealed")
    files = Folder(folder / "certificates")
    other = Folder(folder / "other")
    servers = {make: secured(folder / make.value, files, 1, make)[0] for make in Make}
    made = Four(
        {(name, make): servers[make] for name in ("etcdctl", "kvctl") for make in Make}
    )
    made.words = {
        "ca": files.file("ca.pem"),
        "cert": files.file("client-anna.pem"),
        "key": files.file("client-anna.key"),
        "other": str(other.path),
    }
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize("make", Make, ids=lambda make: make.value)
def test_tls_is_spoken_and_its_troubles_are_told_alike(sealed, make):
    sealed.agree(TLS, makes=[make])
    for row in UNWELCOME:
        for name in PROGRAMS:
            status, out, err = sealed.said(name, make, row)
            assert status in {2, 4}
            assert not out
            assert err.startswith("Error:  client: etcd cluster is unavailable")
