"""Who serves where: registered while it lives, and found by whoever needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kvd.client.client import Client
from kvd.client.recipes.instances import Instance, Instances, name_of
from kvd.client.recipes.kept import Times, unique_text
from kvd.client.recipes.registration import Registration


class ServiceRegistry:
    """
    A directory for each service, in which each instance that serves has a key.

    What is promised:

    * Who registers and lives is in the list. If its key is lost (nobody could be reached
      for ``ttl`` seconds, or somebody removed it) it is told so, and registered again as
      soon as that can be done. It is told ``margin_seconds`` before others can miss it,
      as long as the members' clocks differ by less than that and nobody removes its key;
      then at the next refresh, after a third of ``ttl`` at the latest.
    * Who dies leaves the list ``ttl`` seconds after its last refresh, as soon as a leader
      is there to see to it; who stops leaves it at once.
    * Of two with one id the one that registered later is in the list, and the other one
      is told that it was replaced and does not come back. What an older one had written
      and what arrives late never replaces a newer one.
    * Every list converges: it is the directory as of one index after another, whichever
      members answer. It says how old it is when it cannot be kept up to date.

    ::

        registry = ServiceRegistry(client, "/services")
        registration = await registry.register("web", "web-1", "http://10.0.0.1:8080")
        instances = registry.instances("web")
        await instances.start()  # instances.now

    :param path: a directory of the registry's own.
    :param ttl: seconds; a third of it passes between two refreshes.
    :param margin_seconds: None: a tenth of ``ttl``.
    :param instances_max: of one service; a longer list is not followed.
    :param unique: makes texts that nobody else makes.
    :raises ValueError: times that leave nothing to hold.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str = "/services",
        *,
        ttl: int = 30,
        margin_seconds: float | None = None,
        instances_max: int = 10_000,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        self._client = client
        self._path = path.rstrip("/")
        self._times = Times.of(ttl, margin_seconds)
        self._instances_max = instances_max
        self._unique = unique

    @property
    def clock(self) -> IReactorTime:
        """The time that it goes by."""
        return self._client.clock

    def register(
        self,
        service: str,
        instance_id: str,
        address: str,
        metadata: Mapping[str, str] | None = None,
    ) -> Deferred[Registration]:
        """
        Be found; fires when it is registered, through failures of members too.

        Cancelling gives it up.

        :param address: host and port, or a URL.
        :raises ValueError: what cannot be a key or an address.
        :raises ClientError: what waiting does not help against: a :class:`KeysError`,
            :class:`TooMany`, :class:`Closed`.
        """
        registration = Registration(
            self._client,
            f"{self._folder(service)}/{instance_id}",
            Instance(instance_id, address, metadata or {}),
            session=self._unique(),
            times=self._times,
        )

        async def enter() -> Registration:
            await registration.enter()
            return registration

        return Deferred.fromCoroutine(enter())

    def instances(
        self,
        service: str,
        changed: Callable[[tuple[Instance, ...]], object] | None = None,
    ) -> Instances:
        """
        Who serves; begins when it is started.

        :param changed: called with each list that differs from the one before.
        """
        return Instances(
            self._client,
            self._folder(service),
            instances_max=self._instances_max,
            changed=changed,
        )

    def _folder(self, service: str) -> str:
        return f"{self._path}/{name_of(service)}"
