"""
A web application that answers each visitor so often and no more, however many of its
instances run: the instances are members of one cluster, and count together.

    python rate_limit.py --name one --web 8081 --data one.kvd \\
        --client http://127.0.0.1:12379 \\
        --cluster one=http://127.0.0.1:12380,two=http://127.0.0.1:22380,...

A visitor has ``--limit`` places. Each answer takes one of them for ``--seconds``: it is a
key with a time to live, which can be created only while it is not there. So nobody gets
more answers than that in any such time, whichever instances he asks, and nobody counts.
"""

from __future__ import annotations

import argparse
import math

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from kvd.api import Config, Embedded, KvdService, use_monotonic_clock
from kvd.client import ClientError, KeyExists, KeyNotFound
from kvd.embedding import local_client


class Limit:
    """
    How often somebody may do something.

    :param client: of the member in this process.
    """

    def __init__(self, client, *, times, seconds):
        self._client = client
        self._times = times
        self._seconds = seconds

    async def wait_seconds(self, who):
        """
        Take a place; 0: there was one. Else the time until one is free.

        :raises ClientError: nobody knows. A place may be taken all the same.
        """
        taken = await self._taken(who)
        for place in range(self._times):
            if str(place) in taken:
                continue
            try:
                await self._client.create(
                    f"/limit/{who}/{place}", "", ttl=self._seconds
                )
            except KeyExists:  # another instance was faster
                continue
            return 0
        return min(filter(None, taken.values()), default=self._seconds)

    async def _taken(self, who):
        """Places and the seconds that are left to them, as far as this member knows."""
        try:
            found = await self._client.get(f"/limit/{who}")
        except KeyNotFound:
            return {}
        return {each.name: each.ttl for each in found.node.nodes}


class Application(Resource):
    """Greets, but only so often."""

    isLeaf = True
    _log = Logger()

    def __init__(self, limit):
        super().__init__()
        self._limit = limit

    def render_GET(self, request):
        answering = Deferred.fromCoroutine(self._answer(request))
        answering.addErrback(lambda failure: self._log.failure("answering", failure))
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        return NOT_DONE_YET

    async def _answer(self, request):
        try:
            seconds = await self._limit.wait_seconds(request.getClientAddress().host)
        except ClientError as problem:
            request.setResponseCode(503)
            text = f"try again: {problem}\n"
        else:
            request.setResponseCode(429 if seconds else 200)
            if seconds:
                request.setHeader("Retry-After", str(math.ceil(seconds)))
            text = f"not for {seconds} s\n" if seconds else "hello\n"
        request.write(text.encode())
        request.finish()


def member_of(options):
    """This instance's member of the cluster."""
    cluster = dict(each.split("=", 1) for each in options.cluster.split(","))
    own = (cluster[options.name],)
    return KvdService(
        reactor=reactor,
        config=Config(
            name=options.name,
            data_dir=options.data,
            listen_peer_urls=own,
            initial_advertise_peer_urls=own,
            listen_client_urls=(options.client,),
            advertise_client_urls=(options.client,),
            initial_cluster=tuple((name, (url,)) for name, url in cluster.items()),
        ),
        # A member that cannot go on takes the application with it.
        process=Embedded(lambda _status: reactor.callWhenRunning(reactor.stop)),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--name", required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--web", type=int, required=True)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()

    with open(f"{options.name}.log", "w", encoding="utf-8") as log:
        globalLogBeginner.beginLoggingTo([textFileLogObserver(log)])
        use_monotonic_clock(reactor)
        program = MultiService()
        member = member_of(options)
        member.setServiceParent(program)
        limit = Limit(
            local_client(member), times=options.limit, seconds=options.seconds
        )
        site = Site(Application(limit))
        # Whoever asks before the member serves waits until it does.
        reactor.listenTCP(options.web, site, interface="127.0.0.1")
        reactor.callWhenRunning(program.startService)
        reactor.addSystemEventTrigger("before", "shutdown", program.stopService)
        reactor.run()


if __name__ == "__main__":
    main()
