"""
A member inside another program: its client, and its API under the program's own site.

What is named here may be relied on; the modules below may change between releases.

.. versionadded:: 0.1
"""

from kvd.embedding.inprocess import InProcess
from kvd.embedding.local import local_client
from kvd.embedding.mounted import resource

__all__ = ["InProcess", "local_client", "resource"]
