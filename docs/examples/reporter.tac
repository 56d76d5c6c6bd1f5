"""
Something of which one must run, and no second one beside it: it writes a line each second.

    twistd -n kvd-when-leader --election /elections/reporter -- reporter.tac

Run it as often as you like, on as many machines; one of them writes. The token says in
whose turn a line was written: whoever reads can refuse one that is smaller than another
that it has seen, which makes sure also of a process that was stopped and continued.
"""

import os

from twisted.application.internet import TimerService
from twisted.application.service import Application
from twisted.python.filepath import FilePath

TOKEN = os.environ["KVD_LEADER_TOKEN"]
REPORT = FilePath(os.environ.get("REPORT", "report"))


class Reporter(TimerService):
    """Says when it begins and ends, and that it is there in between."""

    def startService(self):
        self.write("begins")
        super().startService()

    def stopService(self):
        stopped = super().stopService()
        return stopped.addBoth(lambda _: self.write("ends"))

    def write(self, word):
        with REPORT.open("a") as file:
            file.write(f"{TOKEN} {os.getpid()} {word}\n".encode())


application = Application("reporter")
reporter = Reporter(1, lambda: reporter.write("works"))
reporter.setServiceParent(application)
