"""A number that many add to."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.errors import ClientError
from kvd.client.recipes.kept import unique_text
from kvd.client.recipes.register import Register, Unclear


class NotANumber(ClientError):
    """
    Something else is in the counter's key.

    .. versionadded:: 0.1
    """


class Counter:
    """
    A counter: one key, whose value is the number and who was the last to add to it.

    What is promised:

    * An addition that fires was made once, and what it fires with is the number just
      after it. So of two additions of the same amount no two fire with the same number,
      unless others subtract.
    * One that fails with :class:`NoAnswer` was not made, and will not be. One that fails
      with :class:`Unknown` was made once, or was not, or will be once: whoever cannot
      live with that gives each of his operations a name, and asks again with the same
      one. It fails so if nobody answers for ``patience_seconds``, or if more than
      ``remembered_max`` others were made while its answer was lost; never because of a
      lost answer alone.
    * The same operation asked for again, by whomever, is not made a second time as long
      as not more than ``remembered_max`` others were made since.

    That holds as long as nobody removes the key, or writes to it in another way while
    somebody adds. A plain number that is there already is where it begins.

    :param key: of the counter's own.
    :param remembered_max: additions whose names the key's value keeps, each in some
        33 bytes.
    :param patience_seconds: how long an addition, or a look, is tried.
    :param unique: makes texts that nobody else makes, without a space.
    :raises ValueError: fewer than one to be remembered.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        key: str,
        *,
        remembered_max: int = 32,
        patience_seconds: float = 10.0,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        if remembered_max < 1:
            raise ValueError("at least one addition has to be remembered")
        self._clock = client.clock
        self._register = Register(client, key)
        self._remembered_max = remembered_max
        self._patience_seconds = patience_seconds
        self._unique = unique

    def value(self) -> Deferred[int]:
        """
        The number, no older than the newest addition that anybody was told of.

        :raises NoAnswer: nobody answers.
        :raises NotANumber: there is something else.
        """
        return Deferred.fromCoroutine(self._value())

    def add(self, amount: int = 1, *, operation: str | None = None) -> Deferred[int]:
        """
        Add to it; a counter that is not there yet is 0.

        :param amount: may be negative.
        :param operation: a name that this addition has, and no other one, without a
            space: of an order, for instance. If it is remembered, nothing is added, and
            the number is what it is now.
        :raises NoAnswer: nothing was added.
        :raises Unknown: nobody can say.
        :raises NotANumber: there is something else; nothing was added.
        :raises ValueError: an operation that cannot be written down.
        """
        if operation is not None and (
            not operation or operation.split() != [operation]
        ):
            raise ValueError("the name of an operation has no spaces, and is not empty")
        return Deferred.fromCoroutine(self._add(amount, operation or self._unique()))

    async def _value(self) -> int:
        until = self._clock.seconds() + self._patience_seconds
        return _Count.read((await self._register.read(until)).value).number

    async def _add(self, amount: int, operation: str) -> int:
        until = self._clock.seconds() + self._patience_seconds
        while True:
            seen = await self._register.read(until)
            before = _Count.read(seen.value)
            if operation in before.operations:
                return before.number
            after = before.added(amount, operation, self._remembered_max)
            try:
                made = await self._register.change(
                    seen, after.text, until_seconds=until
                )
            except Unclear as doubt:
                try:
                    now = _Count.read((await self._register.read(until)).value)
                except ClientError as problem:
                    raise doubt from problem
                if operation in now.operations:
                    return after.number
                if not now.remembers_all_since(before):
                    raise
            else:
                if made is not None:
                    return after.number


@attrs.frozen
class _Count:
    """
    What the key's value says: ``number serial operation operation ...``.

    :ivar serial: how many additions were made.
    :ivar operations: the names of the latest, the newest last.
    """

    number: int = 0
    serial: int = 0
    operations: tuple[str, ...] = ()

    @classmethod
    def read(cls, value: str | None) -> _Count:
        if value is None:
            return cls()
        number, *rest = value.split() or [""]
        try:
            serial = int(rest[0]) if rest else 0
            return cls(int(number), serial, tuple(rest[1:]))
        except ValueError:
            raise NotANumber("the key's value is no number") from None

    @property
    def text(self) -> str:
        return " ".join((str(self.number), str(self.serial), *self.operations))

    def added(self, amount: int, operation: str, remembered_max: int) -> _Count:
        kept = (*self.operations, operation)[-remembered_max:]
        return _Count(self.number + amount, self.serial + 1, kept)

    def remembers_all_since(self, before: _Count) -> bool:
        return 0 <= self.serial - before.serial <= len(self.operations)
