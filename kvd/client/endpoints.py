"""Where the members of a cluster are reached, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from kvd.client.limits import Limits


def endpoint_of(url: str) -> str:
    """
    A URL as it is compared; without a scheme it is http, as for etcdctl.

    :raises ValueError: it leads nowhere that HTTP can be spoken to.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    parts = urlsplit(text)
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in {"http", "https"} or not parts.hostname or beyond:
        raise ValueError(f"{url!r} is not of the form http[s]://host:port")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname.encode("idna").decode("ascii")
    except ValueError:
        raise ValueError(f"{url!r} has a host or a port that cannot be") from None
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}:{port}"


class Endpoints:
    """
    Those that were given and those that were discovered, the last that answered first.

    A client stays with a member, so that it reads what it wrote. What was given is never
    forgotten: members may say of themselves what leads nowhere from here.

    :raises ValueError: none, too many, or one that is not a URL.
    """

    def __init__(self, given: Sequence[str], limits: Limits) -> None:
        self._given = tuple(dict.fromkeys(map(endpoint_of, given)))
        self._max = limits.endpoints_max
        if not self._given:
            raise ValueError("a client needs an endpoint")
        if len(self._given) > self._max:
            raise ValueError(f"more than {self._max} endpoints")
        self._order = list(self._given)
        self._secure = all(each.startswith("https:") for each in self._given)

    @property
    def in_order(self) -> tuple[str, ...]:
        """All of them, in the order in which they are tried."""
        return tuple(self._order)

    def answered(self, endpoint: str) -> None:
        """To be tried first from now on."""
        if endpoint in self._order and self._order[0] != endpoint:
            self._order.remove(endpoint)
            self._order.insert(0, endpoint)

    def failed(self, endpoint: str) -> None:
        """To be tried last from now on."""
        if endpoint in self._order and self._order[-1] != endpoint:
            self._order.remove(endpoint)
            self._order.append(endpoint)

    def discovered(self, urls: Iterable[str]) -> None:
        """
        Take these beside the given ones, instead of all that were discovered before.

        One without TLS is left out if all that were given have it: nothing secret may
        go where somebody says that it should.
        """
        found: dict[str, None] = {}
        for url in urls:
            try:
                endpoint = endpoint_of(url)
            except ValueError:
                continue
            if endpoint.startswith("https:") or not self._secure:
                found[endpoint] = None
        known = dict.fromkeys((*found, *self._given))
        kept = [each for each in self._order if each in known]
        room = self._max - len({*kept, *self._given})
        new = [each for each in known if each not in kept]
        late = [each for each in new if each in self._given]
        self._order = kept + [each for each in new if each not in late][:room] + late
