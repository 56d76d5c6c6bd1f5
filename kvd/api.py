"""
What programs that embed a member may rely on.

With :mod:`kvd.embedding`, :mod:`kvd.client` and its recipes. Everything else in this
package may change between releases.
"""

from kvd.config import Config
from kvd.errors import (
    ConfigError,
    InvariantViolated,
    KvdError,
    StorageError,
)
from kvd.monotonic import use_monotonic_clock
from kvd.options.load import Loaded, load
from kvd.process import Embedded, OwnProcess
from kvd.proxy.service import ProxyService
from kvd.service import KvdService

__all__ = [
    "Config",
    "ConfigError",
    "Embedded",
    "InvariantViolated",
    "KvdError",
    "KvdService",
    "Loaded",
    "OwnProcess",
    "ProxyService",
    "StorageError",
    "load",
    "use_monotonic_clock",
]
