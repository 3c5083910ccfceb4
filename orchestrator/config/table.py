"""A retailer's configuration on one screen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.config.load import Retailer


def config_table(retailer: Retailer) -> Table:
    """What a retailer's files amount to: one row per channel, then the settings that matter most."""
    from rich.table import Table  # noqa: PLC0415 -- keeps the CLI's start fast

    table = Table("part", "what", "how", title=str(retailer.directory))
    actions = retailer.catalogue.actions
    statuses = Counter(action.status for action in actions)
    counted = ", ".join(f"{count} {status}" for status, count in statuses.items())
    table.add_row("catalogue", f"{len(actions)} actions ({counted})", ", ".join(retailer.catalogue.categories))
    for name, channel in retailer.channels.items():
        live = sum(action.status == "live" and action.channel == name for action in actions)
        how = [f"consent {channel.consent}", "contacts" if channel.contacts else "no contact"]
        how += [f"{channel.contact_cost:g} each", f"window {retailer.goals.windows[name] / 86400:g} d"]
        table.add_row(f"channel {name}", f"{live} live actions", ", ".join(how))
    worth = (
        f"{name} {w.fixed:+g}{f' {w.of_value:+g} of value' if w.of_value else ''}"
        for name, w in retailer.goals.outcomes.items()
    )
    table.add_row("goals", retailer.goals.currency, ", ".join(worth))
    attributes = retailer.profiles.attributes
    table.add_row("profiles", f"{len(attributes)} attributes", ", ".join(attributes))
    serving, training = retailer.serving, retailer.training
    table.add_row("serving", f"http://{serving.host}:{serving.port}", f"{serving.database}, {serving.exploration.kind}")
    rates = ", ".join(f"{rate:g}" for rate in training.learning_rates)
    table.add_row("training", training.model, f"reward {training.reward}, learning rates {rates}")
    return table
