"""
The console script ``kvctl``, and ``python -m kvd.kvctl``.

To import the rest takes most of a command's time. Ctrl-C meanwhile, which a shell's loop
makes likely, has to end it without a traceback.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run the program, and exit with its status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kvd.kvctl import program  # noqa: PLC0415 -- see above

    program.main()


if __name__ == "__main__":
    main()
