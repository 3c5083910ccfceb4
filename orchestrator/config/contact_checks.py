"""What must agree between `contacts.yaml` and the other files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.config.catalogue import Catalogue
from orchestrator.config.contact_policy import Cap, ContactPolicy, MinGap, Suppression
from orchestrator.config.models import Channel
from orchestrator.errors import suggestion


def contact_problems(
    path: Path, policy: ContactPolicy, *, channels: Mapping[str, Channel] | None, catalogue: Catalogue | None
) -> Iterator[str]:
    """Sentences about names that are given twice, or are known to no other file.

    Args:
        path: of contacts.yaml.
        policy: what stands there.
        channels: by name; none where they are not known, and then not checked.
        catalogue: the actions; none where they are not known.
    """
    scoped = _scoped(policy)
    names = [*(rule.name for _, rule in scoped), *(rule.name for rule in policy.quiet_hours)]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{path}: {count} rules are named {name!r}; an explanation would not tell which, so rename one"
    if channels is None:
        return
    named = [(place, rule.channels) for place, rule in scoped]
    named += [(f"quiet_hours[{i}] ({rule.name})", rule.channels) for i, rule in enumerate(policy.quiet_hours)]
    named += [("store_hours", policy.store_hours.channels)]
    for place, of_rule in named:
        yield from _unknown(f"{path}: {place}.channels", "channel", of_rule, channels)
    if catalogue is not None:
        for place, rule in scoped:
            yield from _scope_problems(f"{path}: {place}", rule, channels, catalogue)


def _scoped(policy: ContactPolicy) -> list[tuple[str, Cap | MinGap | Suppression]]:
    found: list[tuple[str, Cap | MinGap | Suppression]] = []
    found += [(f"caps[{i}] ({rule.name})", rule) for i, rule in enumerate(policy.caps)]
    found += [(f"gaps[{i}] ({rule.name})", rule) for i, rule in enumerate(policy.gaps)]
    found += [(f"suppressions[{i}] ({rule.name})", rule) for i, rule in enumerate(policy.suppressions)]
    return found


def _scope_problems(
    place: str, rule: Cap | MinGap | Suppression, channels: Mapping[str, Channel], catalogue: Catalogue
) -> Iterator[str]:
    said = [action for action in catalogue.actions if action.channel]
    patterns = [p for p in rule.actions if not any(fnmatchcase(action.id, p) for action in said)]
    for pattern in patterns:
        hint = suggestion(pattern, [action.id for action in said])
        yield f"{place}.actions: {pattern!r} fits no action; {hint}"
    known = all(channel in channels for channel in rule.channels)
    if known and not patterns and not any(rule.covers(action, channels) for action in said):
        yield f"{place}: no action fits its channels, intents and actions together; drop one of them"


def _unknown(place: str, kind: str, names: tuple[str, ...], known: Collection[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{place}: {name!r}: no such {kind}; {suggestion(name, known)}"
