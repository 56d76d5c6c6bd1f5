"""``/v2/auth``: users, roles and the switch (V2-SPEC 11)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.errors import RequestError, Unavailable, invariant
from kvd.http import accountforms, answers
from kvd.http.bodies import TOO_LARGE
from kvd.http.documents import BadDocumentError
from kvd.http.exchange import Request, Response
from kvd.http.guard import DENIED, Guard
from kvd.http.params import add_fields
from kvd.http.passwords import Passwords
from kvd.http.render import encode
from kvd.http.store import AuthView, ClusterView, StoreCounters
from kvd.node.interfaces import Applied, Member
from kvd.v2.accounts import GUEST, ROOT, PutUser, Refused, Role, User
from kvd.v2.auth import Done
from kvd.v2.authcodec import (
    AuthRequest,
    Change,
    RemoveRole,
    RemoveUser,
    Switch,
    encode_auth_request,
)
from kvd.v2.commands import Asker

PREFIX = "/v2/auth"
BODY_BYTES_MAX = 1 << 20
_ITEM = ("GET", "PUT", "DELETE")
_LIST = ("GET",)


class AuthApi:
    """
    The auth API of one member.

    Every look that etcd takes at a user, a role or the switch is counted as a get.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        member: Member,
        auth: AuthView,
        cluster: ClusterView,
        guard: Guard,
        passwords: Passwords,
        stats: StoreCounters,
        json_depth_max: int,
    ) -> None:
        self._member = member
        self._auth = auth
        self._cluster = cluster
        self._guard = guard
        self._passwords = passwords
        self._stats = stats
        self._json_depth_max = json_depth_max
        self._cluster_id = f"X-Etcd-Cluster-Id: {member.cluster_id:x}\r\n".encode()

    def answer(self, request: Request) -> Response | Deferred[Response]:
        """For every method and path of these routes."""
        if not self._cluster.version:
            return answers.message(
                500, "Not capable of accessing auth feature during rolling upgrades."
            )
        kind, *names = request.path[len(PREFIX) + 1 :].removesuffix("/").split("/")
        if len(names) > 1:
            return answers.message(400, "Invalid path")
        method = request.method
        allowed = _ITEM if names or kind == "enable" else _LIST
        if method not in allowed:
            return answers.method_not_allowed(allowed)
        if kind == "enable":
            if method == "GET":
                return self._shown_switch()
            return self._guard.as_root(
                request, lambda by: self._turn(by, on=method == "PUT")
            )
        if not names:
            listing = self._users if kind == "users" else self._roles
            return self._guard.as_root(request, lambda _: listing(request))
        item = self._user if kind == "users" else self._role
        return self._guard.as_root(request, lambda by: item(by, names[0], request))

    # -- users --

    def _users(self, request: Request) -> Response:
        self._look(self._auth.written)
        if add_fields({}, request.query):
            return self._internal_error()
        shown = []
        for name in self._auth.user_names():
            user = self._look_user(name)
            roles = user.roles if user is not None else ()
            found = [self._look_role(role) for role in roles or ()]
            shown.append(accountforms.user_json(name, [role for role in found if role]))
        return self._json(f'{{"users":{accountforms.list_json(shown)}}}')

    def _user(
        self, by: Asker, name: str, request: Request
    ) -> Response | Deferred[Response]:
        if request.method == "GET":
            return self._shown_user(name, request)
        if request.method == "PUT":
            return self._put_user(by, name, request)
        self._look(self._auth.written)  # whether root may go
        return self._change(by, RemoveUser(name))

    def _shown_user(self, name: str, request: Request) -> Response:
        user = self._look_user(name)
        if user is None:
            return self._message(404, f"auth: User {name} does not exist.")
        if add_fields({}, request.query):
            return self._internal_error()
        roles = []
        for role_name in user.roles or ():
            role = self._look_role(role_name)
            if role is None:
                return self._message(404, f"auth: Role {role_name} does not exist.")
            roles.append(role)
        return self._json(accountforms.user_json(name, roles))

    def _put_user(
        self, by: Asker, name: str, request: Request
    ) -> Response | Deferred[Response]:
        refused = self._refused_body(request)
        if refused is not None:
            return refused
        try:
            form = accountforms.read_user(request.body, depth_max=self._json_depth_max)
        except BadDocumentError:
            return self._no_json()
        if form.name != name:
            return self._message(
                400, "User JSON name does not match the name in the URL"
            )
        updates = bool(form.grant or form.revoke)
        if form.roles and updates:
            return self._message(400, "User JSON contains both roles and grant/revoke")
        if not form.roles and self._look_user(name) is not None and not updates:
            self._look(True)  # etcd looks whether to update, then updates

        def put(password_hash: str) -> Deferred[Response]:
            change = PutUser(name, password_hash, form.roles, form.grant, form.revoke)
            return self._change(by, change)

        hashed = self._passwords.hash(form.password, request.client.address)
        return hashed.addCallbacks(put, self._failed)

    # -- roles --

    def _roles(self, request: Request) -> Response:
        self._look(self._auth.written)
        if add_fields({}, request.query):
            return self._internal_error()
        roles = [self._look_role(name) for name in self._auth.role_names()]
        shown = [accountforms.role_json(role) for role in roles if role is not None]
        return self._json(f'{{"roles":{accountforms.list_json(shown)}}}')

    def _role(
        self, by: Asker, name: str, request: Request
    ) -> Response | Deferred[Response]:
        if request.method == "GET":
            role = self._look_role(name)
            if role is None:
                return self._message(404, f"auth: Role {name} does not exist.")
            return self._json(accountforms.role_json(role))
        if request.method == "PUT":
            return self._put_role(by, name, request)
        return self._change(by, RemoveRole(name))

    def _put_role(
        self, by: Asker, name: str, request: Request
    ) -> Response | Deferred[Response]:
        refused = self._refused_body(request)
        if refused is not None:
            return refused
        try:
            role = accountforms.read_role(request.body, depth_max=self._json_depth_max)
        except BadDocumentError:
            return self._no_json()
        if role.name != name:
            return self._message(
                400, "Role JSON name does not match the name in the URL"
            )
        if not role.creates:
            if not role.permissions.empty:
                return self._message(
                    400, "Role JSON contains both permissions and grant/revoke"
                )
            self._look_role(name)
        return self._change(by, role)

    # -- the switch --

    def _shown_switch(self) -> Response:
        self._look(self._auth.written)
        enabled = "true" if self._auth.enabled else "false"
        return self._json(f'{{"enabled":{enabled}}}')

    def _turn(self, by: Asker, *, on: bool) -> Deferred[Response]:
        auth = self._auth
        for _ in range(2):  # the handler looks at it, then the store
            self._look(auth.written)
        if on and not auth.enabled and self._look_user(ROOT) is not None:
            self._look_role(GUEST)
        return self._change(by, Switch(on))

    # -- the log --

    def _change(self, by: Asker, change: Change) -> Deferred[Response]:
        body = encode_auth_request(AuthRequest(by, change))
        applied = self._member.propose("auth", body)
        return applied.addCallbacks(
            self._applied, self._failed, callbackArgs=(by, change)
        )

    def _applied(self, applied: Applied, by: Asker, change: Change) -> Response:
        value = applied.value
        if isinstance(change, Switch) and isinstance(value, Done):
            self._log.info(
                "authentication is {state}, says {user}",
                state="on" if change.on else "off",
                user=by.user or "a client",
            )
        match value:
            case Done(account=User() as user, created=created):
                # With roles it is created, too, but etcd says 200 then.
                with_roles = isinstance(change, PutUser) and change.roles
                status = 201 if created and not with_roles else 200
                shown = accountforms.changed_user_json(user)
            case Done(account=Role() as role, created=created):
                status = 201 if created else 200
                shown = accountforms.role_json(role)
            case Done():
                return Response(200, answers.JSON + self._cluster_id, b"")
            case Refused(status=401):
                return DENIED
            case Refused(status=status, message=text):
                return self._message(status, text)
            case _:
                invariant(isinstance(value, RequestError), "auth answers or refuses")
                return self._internal_error()
        return self._json(shown, status)

    def _failed(self, failure: Failure) -> Response:
        if isinstance(failure.value, Unavailable | RequestError):
            return self._internal_error()
        return failure  # type: ignore[return-value]  # a failure goes on as such

    # -- answers --

    def _refused_body(self, request: Request) -> Response | None:
        """What kept the body from coming, if anything."""
        if request.form_problem == TOO_LARGE:
            return self._message(413, "request body too large")
        return self._no_json() if request.form_problem else None

    def _no_json(self) -> Response:
        return self._message(400, "Invalid JSON in request body.")

    def _internal_error(self) -> Response:
        return self._message(500, "Internal Server Error")

    def _message(self, status: int, text: str) -> Response:
        return answers.message(status, text, self._cluster_id)

    def _json(self, document: str, status: int = 200) -> Response:
        headers = answers.JSON + self._cluster_id
        return Response(status, headers, encode(f"{document}\n"))

    # -- looks --

    def _look(self, found: bool) -> None:
        self._stats.count_get(ok=found)

    def _look_user(self, name: str) -> User | None:
        user = self._auth.user(name)
        self._look(user is not None)
        return user

    def _look_role(self, name: str) -> Role | None:
        role = self._auth.role(name)
        if name != ROOT:  # which etcd does not look for
            self._look(role is not None)
        return role
