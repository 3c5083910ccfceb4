"""The table of channels customers are reached by: how each is counted and told of, and what its messages do.

A channel of a retailer that is not here is decided about in the service only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policies.arrays import IntArray
from simulator.world.behaviour import email
from simulator.world.behaviour.email import MessageResponse
from simulator.world.scene import Scene


@dataclass(frozen=True, kw_only=True)
class WorldChannel:
    """One channel.

    Attributes:
        name: as in the retailer's channels.yaml; also the metric that counts its contacts.
        contacts: what they are called, several of them.
        counts: what the metric counts.
        outbound: whether customers are reached by it in the morning, wherever they are.
        receive: what happens to customers who get its messages, each one: (scene, customers (m,), actions (m,)); None
            if nothing is sent by it (a banner is seen on a visit, and an associate speaks).
    """

    name: str
    contacts: str
    counts: str
    outbound: bool = True
    receive: Callable[[Scene, IntArray, IntArray], MessageResponse] | None = None


WORLD_CHANNELS = (
    WorldChannel(name="email", contacts="e-mails", counts="e-mails sent", receive=email.receive),
    WorldChannel(name="site", contacts="banners", counts="banners shown", outbound=False),
    WorldChannel(name="store", contacts="alerts", counts="alerts to associates"),
)
CHANNELS = tuple(channel.name for channel in WORLD_CHANNELS)
