"""Asking a cluster who its members are, without being one of them."""

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from kvd.cluster.facts import ClusterFacts, decode_facts
from kvd.errors import PeerError, RequestError
from kvd.peer.commands import FACTS_BYTES_MAX, Members
from kvd.peer.dialling import Connect, dialled
from kvd.peer.protocol import BoxConnection, Values
from kvd.peer.settings import OLDEST_VERSION, PROTOCOL_VERSION, PeerSettings

ASK_SECONDS: Final = 3.0
"""For one URL: to connect, and for the whole answer."""


async def ask_members(
    connect: Connect,
    clock: IReactorTime,
    urls: Iterable[str],
    *,
    seconds: float = ASK_SECONDS,
) -> ClusterFacts:
    """
    The facts of the first of these peer URLs that knows any; each is asked in turn.

    Whoever asks takes part in nothing by it. Cancelling gives up at once.

    :param connect: an endpoint for a URL, for example
        ``partial(kvd.ports.endpoint, reactor)``.
    :param seconds: for each URL.
    :raises PeerError: none did; with what came of each.
    """
    said = []
    for url in urls:
        try:
            return await dialled(
                connect,
                url,
                made=lambda: _Asking(clock=clock, settings=PeerSettings()),
                outcome=lambda connection: connection.facts,
                clock=clock,
                seconds=seconds,
            )
        except PeerError as problem:
            said.append(f"{url}: {problem}")
    raise PeerError("; ".join(said) or "there is nobody to ask")


class _Asking(BoxConnection):
    """
    Asks for piece after piece of the document, and hangs up.

    :ivar facts: fires once; fails with :class:`PeerError`.
    """

    def __init__(self, *, clock: IReactorTime, settings: PeerSettings) -> None:
        super().__init__(clock=clock, settings=settings)
        self._document = bytearray()
        self.facts: Deferred[ClusterFacts] = Deferred(lambda _: self.drop("given up"))

    def connectionMade(self) -> None:
        self._ask()

    def _ask(self) -> None:
        self.request(
            Members,
            newest=PROTOCOL_VERSION,
            oldest=OLDEST_VERSION,
            start=len(self._document),
        ).addCallbacks(self._answered, lambda _: None)

    def _answered(self, values: Values) -> None:
        try:
            self._take(values)
        except PeerError as problem:
            self._end(problem)

    def _take(self, values: Values) -> None:
        version, size, piece = values["version"], values["size"], values["piece"]
        if not OLDEST_VERSION <= version <= PROTOCOL_VERSION:
            raise PeerError(f"it speaks protocol version {version}")
        if size > FACTS_BYTES_MAX:
            raise PeerError(f"a list of members of {size} bytes")
        self._document += piece
        if not piece or len(self._document) > size:
            raise PeerError("a list of members that does not fit together")
        if len(self._document) < size:
            self._ask()
            return
        try:
            facts = decode_facts(bytes(self._document))
        except RequestError:
            raise PeerError("a list of members that cannot be read") from None
        if not facts.members:
            raise PeerError("it does not know the members (yet)")
        self._end(facts)

    def _end(self, outcome: ClusterFacts | PeerError) -> None:
        if isinstance(outcome, PeerError):
            self.facts.errback(outcome)
        else:
            self.facts.callback(outcome)
        self.drop("it has answered")

    def command_received(self, name: bytes, box: amp.AmpBox) -> None:  # noqa: ARG002 -- the other sides use it
        raise PeerError("a command that one who asks does not take")

    def gone(self, why: str) -> None:
        if not self.facts.called:
            self.facts.errback(PeerError(why))
