"""How a command ends that does not succeed, in etcdctl's words and exit statuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvd.errors import KvdError

BAD_ARGUMENTS: Final = 1
BAD_CONNECTION: Final = 2
SERVER_ERROR: Final = 4
NOT_HEALTHY: Final = 5


class Failed(KvdError):
    """
    Ends the command.

    :ivar status: the process's exit status.
    :ivar text: for standard error, a line end follows; may have several lines.
    :ivar hint: what may be done about it; only a terminal sees it, since etcdctl says
        nothing of the kind.
    """

    def __init__(self, status: int, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.hint = hint


class UsageProblem(KvdError):
    """Flags that cannot be read; worded as Go's flag package does."""


class TwoForms(UsageProblem):
    """A flag was given by two of its names."""


class ClusterError(KvdError):
    """
    No endpoint gave an answer that can be used.

    :ivar connection: whether none was even reached: etcdctl gives up while it syncs
        only for that.
    :ivar detail: what each endpoint said, a line each; empty for the errors below.
    """

    detail = ""

    def __init__(self, text: str, *, connection: bool) -> None:
        super().__init__(text)
        self.connection = connection


class EndpointFailed(ClusterError):
    """
    What came of a request to one endpoint.

    :ivar endpoint: its URL.
    """

    def __init__(self, endpoint: str, text: str, *, connection: bool = False) -> None:
        super().__init__(text, connection=connection)
        self.endpoint = endpoint


class NoEndpoints(ClusterError):
    """There is nobody to ask."""

    def __init__(self) -> None:
        super().__init__("client: no endpoints available", connection=False)


class DeadlineExceeded(ClusterError):
    """The command's time is over."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded", connection=True)


class AllFailed(ClusterError):
    """
    Every endpoint was tried.

    :ivar failures: in the order of the tries.
    """

    def __init__(self, failures: Sequence[EndpointFailed]) -> None:
        said = [f"error #{number}: {each}\n" for number, each in enumerate(failures)]
        super().__init__(
            "client: etcd cluster is unavailable or misconfigured"
            + "".join(f"; {line}" for line in said),
            connection=all(each.connection for each in failures),
        )
        self.failures = tuple(failures)
        self.detail = "".join(said)


class BadAnswer(ClusterError):
    """An answer that no v2 server gives."""

    def __init__(self, text: str) -> None:
        super().__init__(text, connection=False)


NOT_JSON: Final = (
    "client: response is invalid json. "
    "The endpoint is probably not valid etcd cluster endpoint"
)
EMPTY_BODY: Final = "client: response body is empty"


class KeysRefused(KvdError):
    """
    The server will not do this with that key.

    :ivar code: etcd's error code.
    """

    def __init__(self, code: int, message: str, cause: str, index: int) -> None:
        super().__init__(f"{code}: {message} ({cause}) [{index}]")
        self.code = code
        self.message = message
        self.cause = cause
        self.index = index


def failed(status: int, error: KvdError | str) -> Failed:
    """``Error:`` and the text, and what each endpoint said, as etcdctl prints both."""
    text = f"Error:  {error}"
    if not isinstance(error, AllFailed):
        return Failed(status, text)
    from kvd.kvctl.hints import of_failures  # noqa: PLC0415 -- seldom

    return Failed(status, f"{text}\n{error.detail}", of_failures(error.failures))
