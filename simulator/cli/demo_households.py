"""The demo's last step: ten real households, decided by the API at a sensible hour, each with the reason."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orchestrator.config import Retailer
from orchestrator.profiles import EVENT_TYPES, Events
from simulator.comparison.numbers import number

HOUSEHOLDS = 10
HOUR = 18  # when people may be written to and stores are open, also on Sundays
HOLD = "hold"
_AHEAD_AT_MOST = 14  # hours that any clock is ahead of UTC
_NAMES = {"email": "e-mail", "site": "site", "store": "store"}
_NOT_ABOUT_THE_CUSTOMER = {"channel_not_asked", "not_live", "not_yet_valid", "no_longer_valid"}
_MEANS = (
    "money: what the policy expects the contact to add to this customer's margin within {days} days, after its cost, "
    "compared with\nsilence, less a standard error of what it is not sure of; silence (hold) is 0.00 by definition. "
    "chance: with which the action was drawn."
)


def zone_where_it_is(hour: int, *, now: float) -> str:
    """A time zone whose clocks show this hour.

    Args:
        hour: 0 to 23.
        now: seconds since 1970.

    Returns:
        Such as `Etc/GMT-3`, where it is three hours later than in UTC.
    """
    ahead = (hour - time.gmtime(now).tm_hour) % 24
    if ahead > _AHEAD_AT_MOST:
        ahead -= 24
    return f"Etc/GMT{-ahead:+d}"


def ask_households(
    api: str, events: Events, retailer: Retailer, *, version: str, days: int, console: Console, seed: int
) -> None:
    """Send the histories of some households, ask for a decision about each, and say why it is what it is.

    Args:
        api: address of a running server.
        events: of all households.
        retailer: the server's.
        version: of the policy that serves.
        days: over which it was taught what a contact adds.
        console: to print on.
        seed: chooses the households.
    """
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    counts = np.bincount(events.customer, minlength=len(events.customers))
    chosen = random.choice(np.flatnonzero(counts > 50), HOUSEHOLDS, replace=False)
    table = Table(title=f"Ten real households, decided by the API just now with {version}")
    for heading in ("household", "what we know", "asked for", "next best action", "money", "chance", "why"):
        whole, counted = heading not in {"what we know", "why"}, heading in {"chance", "money"}
        table.add_column(
            heading,
            justify="right" if counted else "left",
            no_wrap=whole,
            overflow="fold",
            max_width=None if whole else 34,
        )
    silent = 0
    for customer in chosen.tolist():
        household = str(events.customers[customer])
        records = _records(events.take(np.flatnonzero(events.customer == customer)), retailer)
        # Complete Journey does not say who may be mailed; in the demo, everybody asked for it.
        records.append(
            {"event_id": f"{household}-subscribed", "customer_id": household, "type": "subscribe", "channel": "email",
             "timestamp": records[0]["timestamp"]}
        )  # fmt: skip
        for start in range(0, len(records), 1000):
            _post(f"{api}/v1/events", records[start : start + 1000])
        channels = ["email", "site", "store"] if customer % 2 == 0 else ["email", "store"]
        context = {"hour": HOUR} | ({"device": "mobile"} if "site" in channels else {})
        asked = {"customer_id": household, "channels": channels, "context": context}
        # Before the decision, whose own contact would already count afterwards.
        explained = _post(f"{api}/v1/explain", asked)
        decision = _post(f"{api}/v1/decisions", asked)
        action = decision["action"]["id"]
        silent += action == HOLD
        score = next(found["score"] for found in explained["actions"] if found["id"] == action)
        table.add_row(
            household.removeprefix("household-"),
            _known(records),
            ", ".join(_NAMES[channel] for channel in channels),
            action,
            number(score, decimals=2, sign=True) if action != HOLD else "0.00",
            f"{decision['propensity']:.3f}",
            reason_in_words(explained["actions"], chosen=action),
        )
    console.print(_MEANS.format(days=days), soft_wrap=True, highlight=False)
    console.print(table)
    console.print(
        f"Left alone for now: {silent} of {HOUSEHOLDS}. Saying nothing is a decision too, made wherever no contact "
        "is expected to pay.",
        soft_wrap=True,
        highlight=False,
    )


def reason_in_words(actions: Sequence[Mapping[str, Any]], *, chosen: str) -> str:
    """Why an action is the next one, and what kept others from being it.

    Args:
        actions: the whole catalogue as `POST /v1/explain` lists it.
        chosen: id of the action drawn.
    """
    allowed = sorted((a for a in actions if a["eligible"] and a["id"] != HOLD), key=lambda a: -a["score"])
    if not allowed:
        said = "no contact is allowed now"
    elif chosen == allowed[0]["id"]:
        said = f"best of {len(allowed)} allowed" + (f"; next {_worth(allowed[1])}" if allowed[1:] else "")
    elif chosen == HOLD and allowed[0]["score"] <= 0:
        said = f"none of {len(allowed)} allowed is expected to pay; best {_worth(allowed[0])}"
    else:
        said = f"by chance, to go on learning; best was {_worth(allowed[0])}"
    return "; ".join([said, *_refused(actions)])


def _worth(action: Mapping[str, Any]) -> str:
    return f"{action['id']} {number(action['score'], decimals=2, sign=True)}"


def _refused(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was asked for and is not allowed, counted by the first reason of each."""
    needs = [a["needs"] for a in actions if not a["eligible"]]
    asked = [need for need in needs if need and not {n["reason"] for n in need} & _NOT_ABOUT_THE_CUSTOMER]
    counted = Counter((first["reason"].replace("_", " "), first["rule"]) for first, *_ in asked)
    named = [f"{count} {reason}{f' ({rule})' if rule else ''}" for (reason, rule), count in counted.most_common()]
    return [f"not allowed: {', '.join(named)}"] if named else []


def _known(records: Sequence[Mapping[str, Any]]) -> str:
    spent: dict[str, float] = {}
    for record in records:
        if record["type"] == "purchase":
            category = record.get("category", "other")
            spent[category] = spent.get(category, 0.0) + record["value"]
    top = sorted(spent, key=lambda c: -spent[c])[:2]
    return f"{len(records):,} events, {sum(spent.values()):,.0f} on {', '.join(top)}"


def _records(events: Events, retailer: Retailer) -> list[dict[str, Any]]:
    """Events as the API takes them."""
    channels, categories = list(retailer.channels), retailer.catalogue.categories
    records = []
    for i in range(len(events)):
        record: dict[str, Any] = {
            "event_id": str(events.event_id[i]),
            "customer_id": str(events.customers[events.customer[i]]),
            "type": EVENT_TYPES[events.type[i]],
            "timestamp": datetime.fromtimestamp(float(events.timestamp[i]), UTC).isoformat(),
        }
        if record["type"] == "profile":
            continue
        if events.channel[i] >= 0:
            record["channel"] = channels[events.channel[i]]
        if events.category[i] >= 0:
            record["category"] = categories[events.category[i]]
        for name, values in (("value", events.value), ("quantity", events.quantity), ("discount", events.discount)):
            if values[i] or (name == "value" and record["type"] == "purchase"):
                record[name] = float(values[i])
        records.append(record)
    return records


def _post(url: str, body: Any) -> Any:
    headers = {"Content-Type": "application/json"}
    return _answer(urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers))  # noqa: S310


def _answer(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{request.full_url} answered {error.code}: {error.read().decode()}") from error
