"""
What a cluster is good for beyond keeping values: coordination.

.. versionadded:: 0.1
"""

from kvd.client.recipes.lock import Lock
from kvd.client.recipes.tickets import Held

__all__ = ["Held", "Lock"]
