"""A retailer's expanded catalogue, to be read in a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.database_urls import without_passwords

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.config.retailer import Retailer


def config_table(retailer: Retailer) -> Table:
    """One row per action after templates are expanded; the caption sums up the other files."""
    from rich.table import Table

    actions = retailer.catalogue.actions
    statuses = Counter(action.status for action in actions)
    counted = ", ".join(f"{count} {status}" for status, count in statuses.items())
    serving, training, contacts = retailer.serving, retailer.training, retailer.contacts
    rules = len(contacts.caps) + len(contacts.gaps) + len(contacts.quiet_hours) + len(contacts.suppressions)
    table = Table(
        title=f"{retailer.directory}: {len(actions)} actions ({counted})",
        caption=f"{len(retailer.channels)} channels, {len(retailer.goals.outcomes)} outcomes in "
        f"{retailer.goals.currency}, {len(retailer.profiles.attributes)} attributes, {rules} contact rules; serves on "
        f"http://{serving.host}:{serving.port} from {without_passwords(serving.database)}; trains {training.model} "
        f"({training.exploration.kind}, learning rates {', '.join(f'{r:g}' for r in training.learning_rates)})",
    )
    for heading in ("action", "channel", "intent", "subject", "discount", "minutes", "cost", "valid", "status"):
        table.add_column(heading, justify="right" if heading in {"discount", "minutes", "cost"} else "left")
    for action in actions:
        first, last = action.valid_from, action.valid_until
        table.add_row(
            action.id,
            action.channel or "-",
            action.intent or "-",
            action.subject,
            f"{action.discount:.0%}" if action.discount else "",
            f"{action.associate_minutes:g}" if action.associate_minutes else "",
            f"{action.cost:g}",
            f"{first or ''} to {last or ''}" if first or last else "always",
            action.status,
        )
    return table
