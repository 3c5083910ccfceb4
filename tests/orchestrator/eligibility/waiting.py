"""When actions may be said, from what each rule by itself says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.eligibility import ContactRules, EligibilityContext

# Longer than any rule of a week's hours can keep its neighbours waiting.
DAYS = 15.0


def next_allowed(rules: ContactRules, moment: EligibilityContext) -> np.ndarray:
    """The first moment at which no rule blocks an action, if nothing else happens; nan if there is none, (n, A)."""
    columns = {action: column for action, column in rules.codes.items() if column < rules.reasons(moment).shape[1]}
    found = np.full((len(moment), len(columns)), float(moment.now))
    for row in range(len(moment)):
        waiting = set(columns)
        while waiting:
            still: dict[str, float] = {}
            for at in {found[row, columns[action]] for action in waiting}:
                mine = {action for action in waiting if found[row, columns[action]] == at}
                for blocked in rules.explain(replace(moment, now=at), row):
                    if blocked.action in mine:
                        free = np.nan if blocked.next_allowed is None else blocked.next_allowed
                        still[blocked.action] = np.maximum(still.get(blocked.action, at), free)
            for action, at in still.items():
                found[row, columns[action]] = at if at <= moment.now + DAYS * 86_400 else np.nan
            waiting = {action for action, at in still.items() if at <= moment.now + DAYS * 86_400}
    return found
