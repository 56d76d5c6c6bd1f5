"""
What a cluster is good for beyond keeping values: coordination.

.. versionadded:: 0.1
"""

from kvd.client.recipes.election import Election, Leader, Observer
from kvd.client.recipes.held import Held
from kvd.client.recipes.instances import Instance, Instances
from kvd.client.recipes.lock import Lock
from kvd.client.recipes.registration import Registration, Replaced
from kvd.client.recipes.registry import ServiceRegistry

__all__ = [
    "Election",
    "Held",
    "Instance",
    "Instances",
    "Leader",
    "Lock",
    "Observer",
    "Registration",
    "Replaced",
    "ServiceRegistry",
]
