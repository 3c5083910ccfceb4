"""Customers left to themselves: days on which nothing is decided."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from orchestrator.config.models import Goals
from orchestrator.profiles import EventRows
from policies.arrays import Float32Array, IntArray
from simulator.world.actions import EMAIL
from simulator.world.day import MORNING, Day, moment
from simulator.world.happenings import Totals
from simulator.world.scene import Scene


def live(
    scene: Scene,
    days: range,
    *,
    goals: Goals,
    weekdays: Float32Array,
    joined: IntArray | None = None,
    mailed: IntArray | None = None,
) -> Iterator[EventRows]:
    """Live through days without decisions; `scene` changes in place.

    Args:
        scene: the customers.
        days: since the start of the horizon, in order.
        goals: what outcomes are worth.
        weekdays: float32 (7,), relative number of trips, Monday first.
        joined: int64 (n,), the day of everybody's first purchase, before which nobody is a customer; None if all are
            customers from the first day.
        mailed: int64 (n,), the e-mail everybody gets on the first day, `hold` (0) for none; None for nobody.

    Yields:
        What happened on each day.
    """
    everybody = np.arange(len(scene.people))
    if joined is not None:
        scene.moods.alive[:] = False
    tally = Totals(len(everybody), len(days))
    for day in days:
        scene.day = day
        newcomers = everybody[:0] if joined is None else np.flatnonzero(joined == day)
        scene.moods.alive[newcomers] = True
        today = Day(scene, goals, weekdays, tally)
        opted_in = newcomers[scene.people.opted_in[newcomers]]
        today.events.add("subscribe", opted_in, at=moment(day, MORNING), channel=scene.table.channels[EMAIL])
        if mailed is not None and day == days[0]:
            rows = np.flatnonzero(mailed)
            today.contact(rows, mailed[rows])
        visits = today.visits(newcomers=newcomers)
        today.end(visits, np.zeros(len(visits.sessions.rows), np.int64), np.zeros(len(visits.in_store), np.int64))
        yield today.events.events()
