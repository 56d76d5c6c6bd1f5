"""Reading through failures."""

from __future__ import annotations

import math

from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, NoAnswer, Unknown
from kvd.client.recipes.kept import AGAIN_SECONDS
from kvd.client.values import Response


async def look(
    client: Client,
    key: str,
    *,
    recursive: bool = False,
    until_seconds: float = math.inf,
) -> Response:
    """
    What is there, no older than the newest change that anybody was told of.

    :param until_seconds: of the client's clock; tried again until then.
    :raises KeyNotFound: nothing.
    :raises NoAnswer: nobody answered until then.
    """
    while True:
        try:
            return await client.get(key, recursive=recursive, quorum=True)
        except BadAnswer:
            raise
        except (NoAnswer, Unknown):
            if client.clock.seconds() >= until_seconds:
                raise
            await deferLater(client.clock, AGAIN_SECONDS)
