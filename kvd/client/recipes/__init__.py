"""
What a cluster is good for beyond keeping values: coordination.

.. versionadded:: 0.1
"""

from kvd.client.recipes.election import Election, Leader, Observer
from kvd.client.recipes.held import Held
from kvd.client.recipes.lock import Lock

__all__ = ["Election", "Held", "Leader", "Lock", "Observer"]
