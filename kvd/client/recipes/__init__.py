"""
What a cluster is good for beyond keeping values: coordination.

.. versionadded:: 0.1
"""

from kvd.client.recipes.agent import NoInstance, ServiceAgent
from kvd.client.recipes.balancing import LeastUsed, Load, Outliers, Picker, RoundRobin
from kvd.client.recipes.barrier import Barrier
from kvd.client.recipes.claims import Claim
from kvd.client.recipes.configuration import Absent, Changed, ConfigWatcher, Settings
from kvd.client.recipes.counter import Counter, NotANumber
from kvd.client.recipes.double_barrier import DoubleBarrier, Entered
from kvd.client.recipes.election import Election, Leader, Observer
from kvd.client.recipes.held import Held
from kvd.client.recipes.instances import Instance, Instances
from kvd.client.recipes.items import Full, Item, Overtaken
from kvd.client.recipes.lock import Lock
from kvd.client.recipes.messages import Message, Missed
from kvd.client.recipes.queue import Queue
from kvd.client.recipes.register import Unclear
from kvd.client.recipes.registration import Registration, Replaced
from kvd.client.recipes.registry import ServiceRegistry
from kvd.client.recipes.subscription import (
    DurableSubscription,
    Heard,
    PositionLost,
    Subscription,
)
from kvd.client.recipes.topic import Topic

__all__ = [
    "Absent",
    "Barrier",
    "Changed",
    "Claim",
    "ConfigWatcher",
    "Counter",
    "DoubleBarrier",
    "DurableSubscription",
    "Election",
    "Entered",
    "Full",
    "Heard",
    "Held",
    "Instance",
    "Instances",
    "Item",
    "Leader",
    "LeastUsed",
    "Load",
    "Lock",
    "Message",
    "Missed",
    "NoInstance",
    "NotANumber",
    "Observer",
    "Outliers",
    "Overtaken",
    "Picker",
    "PositionLost",
    "Queue",
    "Registration",
    "Replaced",
    "RoundRobin",
    "ServiceAgent",
    "ServiceRegistry",
    "Settings",
    "Subscription",
    "Topic",
    "Unclear",
]
