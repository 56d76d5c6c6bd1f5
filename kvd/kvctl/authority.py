"""``kvctl auth``: the switch that makes users and roles count."""

from __future__ import annotations

from typing import Final

from kvd.kvctl import accounts, documents
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import BAD_ARGUMENTS, ClusterError, Failed

_SWITCH: Final = "/v2/auth/enable"


def _enable(context: Context) -> int:
    return _turn(context, "PUT", "Authentication Enabled")


def _disable(context: Context) -> int:
    return _turn(context, "DELETE", "Authentication Disabled")


def _turn(context: Context, method: str, done: str) -> int:
    if context.args:
        raise Failed(BAD_ARGUMENTS, "No arguments accepted")
    try:
        answer = accounts.cluster_of(context).ask(method, _SWITCH)
        documents.check_accepted(answer, (200, 201))
    except ClusterError as error:
        raise documents.refused(error) from None
    context.say(done)
    return 0


COMMANDS: Final = (
    Command(
        "auth",
        "whether users and roles count",
        subcommands=(
            Command(
                "enable", "from now on they do; there must be a user root", _enable
            ),
            Command("disable", "everybody may do everything again", _disable),
        ),
    ),
)
