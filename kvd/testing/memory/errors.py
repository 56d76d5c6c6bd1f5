"""What a test is told when its virtual time leads nowhere."""

from __future__ import annotations


class StillWaiting(AssertionError):
    """
    What was to happen did not, for as long as it was waited for.

    The text says what is under way, what is broken, and who has asked for time.

    .. versionadded:: 0.1
    """


class TooManyTurns(AssertionError):
    """
    Something happens again and again and time does not pass: an endless loop.

    The text says which calls they were.

    .. versionadded:: 0.1
    """


class LeftoverWarning(UserWarning):
    """
    Something that the program under test did not end, or a fault that it never met.

    .. versionadded:: 0.1
    """
