"""A process that cannot stop in time is ended from outside of itself."""

from __future__ import annotations

import signal
from typing import Protocol


class Guard(Protocol):
    """Ends the process when it is not told for too long that all is well."""

    def arm(self, seconds: float) -> None:
        """End the process after so long; instead of what was said before."""
        ...

    def disarm(self) -> None:
        """It need not be ended."""
        ...


class Alarm:
    """
    By the kernel's alarm clock.

    Its signal has its default action, which ends the process also where no Python
    code can run any more. It begins with no fork in between: one would not inherit it.
    """

    def __init__(self) -> None:
        self._heard = False

    def arm(self, seconds: float) -> None:
        """See ``Guard``."""
        if not self._heard:
            # A process inherits what its parent ignores or blocks.
            self._heard = True
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        """See ``Guard``."""
        signal.setitimer(signal.ITIMER_REAL, 0)
