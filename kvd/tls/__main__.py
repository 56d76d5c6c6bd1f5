"""``python -m kvd.tls FOLDER``: see :mod:`kvd.tls.generate`."""

import sys

from kvd.tls.generate import main

sys.exit(main())
