"""The auth machine: etcd's rules of users, roles and the switch (V2-SPEC 11)."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.errors import RequestError, StorageError
from kvd.state import at_once
from kvd.v2.accounts import PutRole, PutUser, Refused, Role, User
from kvd.v2.auth import Auth, Done, Verdict
from kvd.v2.authcodec import (
    AuthRequest,
    RemoveRole,
    RemoveUser,
    Switch,
    decode_auth_request,
    encode_auth_request,
)
from kvd.v2.commands import Asker
from kvd.v2.permissions import Permissions

GUEST = Asker()


class Subject:
    """An auth machine whose requests are methods."""

    def __init__(self) -> None:
        self.auth = Auth()

    def do(self, change, by: Asker | None = None):
        if by is None:
            by = Asker("root", self.auth.index) if self.auth.enabled else GUEST
        body = encode_auth_request(AuthRequest(by, change))
        return self.auth.apply(index=1, time_ns=0, body=body)

    def user(self, name: str, password_hash: str = "", **fields):
        return self.do(PutUser(name, password_hash, **fields))

    def role(self, name: str, *permissions, **fields):
        return self.do(PutRole(name, Permissions(*permissions), **fields))

    def turn(self, on: bool):
        return self.do(Switch(on))

    def refused(self, value, status: int, message: str) -> None:
        assert value == Refused(status, message)

    def restarted(self) -> Auth:
        section = self.auth.snapshot()
        again = Auth()
        at_once(again.restoring(version=section.version, chunks=list(section.chunks)))
        return again


@pytest.fixture
def subject() -> Subject:
    return Subject()


# -- users --


def test_a_user_is_created_then_changed_and_what_is_stored_is_shown(subject):
    created = subject.user("ann", "h1")
    assert created == Done(User("ann", "h1", None, 1), created=True)
    # Nothing asked for, but null becomes [], which etcd takes for a change.
    assert subject.user("ann") == Done(User("ann", "h1", (), 1))
    nothing = "auth: User not updated. Use grant/revoke/password to update the user."
    subject.refused(subject.user("ann"), 400, nothing)
    assert subject.user("ann", "h2") == Done(User("ann", "h2", (), 3))
    granted = subject.user("ann", grant=("b", "a"))
    assert granted == Done(User("ann", "h2", ("a", "b"), 3))
    both = subject.user("ann", "h3", grant=("c",), revoke=("a", "c"))
    assert both == Done(User("ann", "h3", ("b",), 5))
    assert subject.auth.user("ann") == both.account
    assert subject.auth.index == 5


def test_a_user_with_roles_is_created_as_given_or_not_at_all(subject):
    roles = ("b", "a", "b")
    assert subject.user("ann", "h", roles=roles).account.roles == roles
    exists = "auth: User ann already exists."
    subject.refused(subject.user("ann", "h", roles=("c",)), 409, exists)
    empty = "auth: Cannot create user ann with an empty password"
    subject.refused(subject.user("ann", roles=("c",)), 400, empty)
    empty = "auth: Cannot create user bob with an empty password"
    subject.refused(subject.user("bob"), 400, empty)


def test_grants_come_before_revokes_and_each_is_checked(subject):
    missing = "auth: User ann does not exist."
    subject.refused(subject.user("ann", "h", grant=("a",)), 404, missing)
    subject.user("ann", "h", roles=("a",))
    twice = "auth: Granting duplicate role a for user ann"
    subject.refused(subject.user("ann", grant=("a",), revoke=("a",)), 409, twice)
    never = "auth: Revoking ungranted role b for user ann"
    subject.refused(subject.user("ann", revoke=("b",)), 409, never)
    again = subject.user("ann", grant=("b",), revoke=("b",))
    assert isinstance(again, Refused)  # and nothing has changed
    assert subject.auth.index == 1


def test_user_root_has_role_root_whatever_is_stored(subject):
    assert subject.user("root", "h").account.roles == ("root",)
    assert subject.user("root", revoke=("root",)) == Done(User("root", "h", (), 1))
    assert subject.auth.user("root").roles == ("root",)
    subject.refused(
        subject.user("root", grant=("root",)),
        409,
        "auth: Granting duplicate role root for user root",
    )
    assert subject.user("root", grant=("a",)).account.roles == ("a", "root")


def test_a_user_is_removed_but_root_only_while_the_switch_is_off(subject):
    subject.user("root", "h")
    subject.user("ann", "h")
    subject.turn(True)
    subject.refused(
        subject.do(RemoveUser("root")),
        403,
        "auth: Cannot delete root user while auth is enabled.",
    )
    assert subject.do(RemoveUser("ann")) == Done()
    # Without a full stop, unlike elsewhere.
    subject.refused(subject.do(RemoveUser("ann")), 404, "auth: User ann does not exist")
    subject.turn(False)
    assert subject.do(RemoveUser("root")) == Done()
    assert subject.auth.user("root") is None


def test_names_are_listed_in_the_order_of_their_bytes_without_hidden_ones(subject):
    for name in ("b", "_hidden", "\U0001f600", "\uffee", "a", "Z"):
        subject.user(name, "h")
        subject.role(name)
    names = ["Z", "a", "b", "\uffee", "\U0001f600"]
    assert subject.auth.user_names() == names
    assert subject.auth.role_names() == sorted([*names, "root"], key=str.encode)
    assert subject.auth.user("_hidden") is not None


# -- roles --


def test_a_role_is_stored_as_it_was_posted(subject):
    empty = Permissions((), None)
    posted = subject.role("r", ("/b", "/a", "/b"), None, grant=empty, revoke=empty)
    role = Role("r", Permissions(("/b", "/a", "/b"), None), empty, empty)
    assert posted == Done(role, created=True)
    assert subject.auth.role("r") == role
    subject.refused(subject.role("r"), 409, "auth: Role r already exists.")


def test_grants_and_revokes_of_patterns_are_sorted_and_checked(subject):
    more = Permissions(("/b",), ("/w",))
    subject.refused(subject.role("r", grant=more), 404, "auth: Role r does not exist.")
    subject.role("r", ("/z", "/a", "/a"))
    granted = subject.role("r", grant=more)
    assert granted == Done(Role("r", Permissions(("/a", "/b", "/z"), ("/w",))))
    for kind, pattern, permissions in (
        ("read", "/b", Permissions(("/c", "/b"), None)),
        ("write", "/w", Permissions(None, ("/w",))),
    ):
        twice = f"auth: Granting duplicate {kind} permission {pattern}"
        subject.refused(subject.role("r", grant=permissions), 409, twice)
    # A pattern that is not there is skipped, and then nothing has changed.
    nothing = "auth: Role not updated. Use grant/revoke to update the role."
    absent = Permissions(("/never",), None)
    subject.refused(subject.role("r", revoke=absent), 400, nothing)
    left = subject.role("r", revoke=Permissions(("/b", "/z"), ("/w",)))
    assert left == Done(Role("r", Permissions(("/a",), ())))
    assert subject.auth.role("r") == left.account


def test_a_grant_or_revoke_in_vain_still_tidies_the_lists_once(subject):
    subject.role("r")
    absent = Permissions(("/never",), None)
    assert subject.role("r", revoke=absent).account.permissions == Permissions((), ())
    assert isinstance(subject.role("r", revoke=absent), Refused)


def test_role_root_is_built_in_and_cannot_be_touched(subject):
    message = "auth: Cannot modify role root: is root role."
    subject.refused(subject.role("root", ("/a",)), 403, message)
    grant = Permissions(("/a",), None)
    subject.refused(subject.role("root", grant=grant), 403, message)
    subject.refused(subject.do(RemoveRole("root")), 403, message)
    assert subject.auth.role("root").permissions == Permissions(("/*",), ("/*",))
    assert subject.auth.index == 0


def test_a_role_is_removed_and_users_keep_its_name(subject):
    subject.role("r")
    subject.user("ann", "h", roles=("r",))
    assert subject.do(RemoveRole("r")) == Done()
    subject.refused(subject.do(RemoveRole("r")), 404, "auth: Role r doesn't exist.")
    assert subject.auth.user("ann").roles == ("r",)


# -- the switch --


def test_the_switch_needs_a_root_user_and_makes_a_guest_role_once(subject):
    subject.refused(
        subject.turn(True), 409, "auth: No root user available, please create one"
    )
    subject.refused(subject.turn(False), 409, "auth: already disabled")
    subject.user("root", "h")
    assert subject.turn(True) == Done(created=True)
    assert subject.auth.enabled
    assert subject.auth.role("guest").permissions == Permissions(("/*",), ("/*",))
    subject.refused(subject.turn(True), 409, "auth: already enabled")
    assert subject.turn(False) == Done()
    assert subject.turn(True) == Done()
    assert subject.do(RemoveRole("guest")) == Done()


def test_while_it_is_on_only_root_changes_anything(subject):
    subject.user("root", "h")
    subject.user("ann", "h", roles=("r",))
    subject.user("ops", "h", roles=("root",))
    subject.turn(True)
    now = subject.auth.index
    changes = (
        PutUser("x", "h"),
        PutRole("x"),
        RemoveUser("ann"),
        RemoveRole("guest"),
        Switch(False),
    )
    for by in (GUEST, Asker("ann", now), Asker("nobody", now), Asker("", 0)):
        for change in changes:
            subject.refused(subject.do(change, by), 401, "Insufficient credentials")
    assert subject.auth.index == now
    assert isinstance(subject.do(PutUser("x", "h"), Asker("ops", now)), Done)


# -- permissions --


@pytest.mark.parametrize(
    ("pattern", "path", "plain", "recursive"),
    [
        ("/a", "/a", True, False),
        ("/a", "/a/", False, False),
        ("/a/", "/a/", True, False),
        ("/a*", "/a", True, True),
        ("/a*", "/ab/c", True, True),
        ("/a/*", "/a", False, False),
        ("/a/*", "/a/", True, True),
        ("/*", "", False, False),
        ("/*", "/", True, True),
        ("*", "", True, True),
        ("", "", False, False),
        ("", "/a", False, False),
        ("/é*", "/é", True, True),
    ],
)
def test_a_pattern_is_a_path_or_the_beginning_of_paths(
    subject, pattern, path, plain, recursive
):
    permissions = Permissions((pattern,), None)
    assert permissions.allow(path, write=False, recursive=False) is plain
    assert permissions.allow(path, write=False, recursive=True) is recursive
    assert not permissions.allow(path, write=True, recursive=False)


def test_any_role_of_a_user_may_allow_and_each_look_is_counted(subject):
    subject.user("root", "h")
    subject.user("ann", "h", roles=("gone", "a", "b", "c"))
    subject.user("ops", "h", roles=("gone", "root"))
    subject.role("a", ("/a/*",), None)
    subject.role("b", ("/b",), ("/b",))
    subject.role("guest", ("/open",), None)
    subject.turn(True)
    auth = subject.auth

    def judge(user: str, path: str, *, write: bool = False, recursive: bool = False):
        by = Asker(user, auth.index)
        return auth.judge(by, path, write=write, recursive=recursive)

    assert judge("ann", "/a/k") == Verdict(True, 1, 1)
    assert judge("ann", "/b") == Verdict(True, 2, 1)
    assert judge("ann", "/b", write=True) == Verdict(True, 2, 1)
    assert judge("ann", "/b", recursive=True) == Verdict(False, 2, 2)
    assert judge("ops", "/z", write=True, recursive=True) == Verdict(True, 0, 1)
    assert judge("nobody", "/open") == Verdict(False, 0, 0)
    # A guest's recursive request is judged by the plain rule, as in etcd.
    assert judge("", "/open", recursive=True) == Verdict(True, 1, 0)
    assert judge("", "/open", write=True) == Verdict(False, 1, 0)
    subject.do(RemoveRole("guest"))
    assert judge("", "/open") == Verdict(False, 0, 1)
    subject.user("none", "h")
    assert judge("none", "/open") == Verdict(False, 0, 0)


# -- bytes --


texts = st.text(max_size=5)
lists = st.none() | st.lists(texts, max_size=3).map(tuple)
patterns = st.builds(Permissions, lists, lists)
tuples = st.lists(texts, max_size=3).map(tuple)
changes = (
    st.builds(PutUser, texts, texts, lists, tuples, tuples)
    | st.builds(PutRole, texts, patterns, st.none() | patterns, st.none() | patterns)
    | st.builds(RemoveUser, texts)
    | st.builds(RemoveRole, texts)
    | st.builds(Switch, st.booleans())
)


@given(changes, texts, st.integers(0, 2**64))
@settings(max_examples=100, deadline=None)
def test_a_request_is_decoded_to_what_was_encoded(change, user, index):
    request = AuthRequest(Asker(user, index), change)
    assert decode_auth_request(encode_auth_request(request)) == request


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"by":["",0]}',
        b'{"by":["",-1],"op":"switch","on":true}',
        b'{"by":["",0],"op":"switch","on":1}',
        b'{"by":["",0],"op":"dance"}',
        b'{"by":["",0],"op":"put user","name":"a"}',
        b'{"by":["",0],"op":"put user","name":"a","hash":"","roles":"a"}',
        b'{"by":["",0],"op":"put user","name":"a","hash":"","roles":[1]}',
        b'{"by":["",0],"op":"put role","name":"a","grant":[1]}',
        b'{"by":["",0],"op":"put role","name":"a","grant":[[],2]}',
    ],
)
def test_garbage_is_refused_and_changes_nothing(subject, body):
    before = subject.auth.digest()
    assert isinstance(subject.auth.apply(index=1, time_ns=0, body=body), RequestError)
    assert subject.auth.digest() == before


def test_a_snapshot_brings_back_everything_in_bounded_chunks(subject):
    subject.user("root", "h")
    subject.role("r", ("/*",), None, grant=Permissions((), None))
    for number in range(300):
        subject.user(f"u{number}", "h" * 60, roles=tuple("r" * 20))
    subject.turn(True)
    chunks = list(subject.auth.snapshot().chunks)
    assert len(chunks) > 1
    assert all(len(chunk) < 40_000 for chunk in chunks)
    again = subject.restarted()
    assert again.digest() == subject.auth.digest()
    assert (again.index, again.enabled, again.written) == (304, True, True)
    assert again.user("u7") == subject.auth.user("u7")
    assert again.role("r") == subject.auth.role("r")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"enabled":true,"index":1,"written":true}\n{"user":"a"}',
        b'{"enabled":true,"index":1,"written":true}\n{"role":1}',
        b'{"enabled":true,"index":1,"written":true}\n7',
    ],
)
def test_a_snapshot_that_cannot_be_read_is_refused(subject, data):
    with pytest.raises(StorageError):
        at_once(subject.auth.restoring(version=1, chunks=[data]))
    with pytest.raises(StorageError):
        at_once(subject.auth.restoring(version=2, chunks=[]))


class StampsTheTime(Auth):
    """The planted bug: something of this member's own gets into what is replicated."""

    def apply(self, *, index, time_ns, body):
        done = super().apply(index=index, time_ns=time_ns, body=body)
        if isinstance(done, Done) and isinstance(done.account, User):
            user = attrs.evolve(done.account, since=time_ns)
            self._users[user.name] = user
        return done


def same_log_same_users(requests: list[AuthRequest], make) -> None:
    first, second = make(), make()
    for number, request in enumerate(requests):
        body = encode_auth_request(request)
        told = [
            each.apply(index=1, time_ns=number * clock, body=body)
            for clock, each in ((1, first), (7, second))
        ]
        assert told[0] == told[1]
        # What one of them is asked in between must not matter.
        second.judge(request.by, "/a", write=True, recursive=True)
        second.user_names()
        list(second.snapshot().chunks)
        second.take_writes()
    assert first.digest() == second.digest()


def test_apply_has_no_nondeterminism_in_users_and_roles():
    """K03."""
    change = st.lists(st.builds(AuthRequest, st.just(Asker("root", 9)), changes))

    @given(change)
    @settings(max_examples=50, deadline=None)
    def same(requests):
        same_log_same_users(requests, Auth)

    same()
    some = [AuthRequest(GUEST, PutUser(name, "h")) for name in ("a", "b")]
    with pytest.raises(AssertionError):
        same_log_same_users(some, StampsTheTime)


def test_names_that_are_no_text_are_names_all_the_same(subject):
    """K04."""
    for name in ("\ud800", "\udc80", "\0", "n" * 100_000, "", "\u2028"):
        subject.user(name, "h", roles=(name,))
        subject.role(name, (name,), (name,))
    again = subject.restarted()
    assert again.digest() == subject.auth.digest()
    assert again.user_names() == subject.auth.user_names()


def test_two_members_differ_in_their_digest_as_soon_as_a_user_differs(subject):
    other = Subject()
    assert subject.auth.digest() == other.auth.digest()
    subject.user("ann", "h1")
    other.user("ann", "h2")
    assert subject.auth.digest() != other.auth.digest()


def test_no_hash_of_a_password_is_in_a_repr(subject):
    subject.user("ann", "$2a$secret")
    shown = repr((subject.auth.user("ann"), PutUser("ann", "$2a$secret")))
    assert "secret" not in shown


def test_the_rest_of_a_machine_is_nothing(subject):
    subject.auth.internal_writes([])
    subject.auth.publish()
    assert subject.auth.due(time_ns=1) == ()
