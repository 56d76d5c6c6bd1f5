"""``python -m kvd.kvctl``, where the console script is not on the path."""

from __future__ import annotations

from kvd.kvctl.program import main

if __name__ == "__main__":
    main()
