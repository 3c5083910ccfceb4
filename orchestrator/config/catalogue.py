"""The actions a retailer can take, expanded from templates, and their features for a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from orchestrator.config.models import ActionTemplate, CatalogFile, Channel
from orchestrator.errors import ConfigError
from policies.actions import ActionFeature, ActionSet, PairFeature

ANY = "any"


@dataclass(frozen=True)
class Action:
    """One catalogue item.

    Attributes:
        id: unique name, e.g. `email.inspire.pantry`.
        channel: name of its channel; empty for `hold`.
        intent: why it speaks; empty for `hold`.
        subject: the category it is about, or `any`.
        discount: share of the price, in [0, 1].
        template: content template, empty for none.
        associate_minutes: time of an associate.
        cost: money per contact.
        valid_from: first day it may be used, none for always.
        valid_until: last day it may be used, none for always.
        status: draft, live, paused or archived; only live actions are used.
        targeting: expression that must hold for a customer, empty for everyone.
        requires: content fields its template prints.
    """

    id: str
    channel: str
    intent: str
    subject: str = ANY
    discount: float = 0.0
    template: str = ""
    associate_minutes: float = 0.0
    cost: float = 0.0
    valid_from: date | None = None
    valid_until: date | None = None
    status: str = "live"
    targeting: str = ""
    requires: tuple[str, ...] = ()


HOLD = Action(id="hold", channel="", intent="")


@dataclass(frozen=True)
class Catalogue:
    """Every action, `hold` first; column a of every (n, A) array is `actions[a]`."""

    categories: tuple[str, ...]
    actions: tuple[Action, ...]

    @classmethod
    def expand(cls, file: CatalogFile, channels: dict[str, Channel]) -> Catalogue:
        """Make one action per template and category; costs not stated are the channel's."""
        actions = [
            action for template in file.actions for action in expand_template(template, file.categories, channels)
        ]
        return cls(categories=file.categories, actions=(HOLD, *actions))

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def ids(self) -> tuple[str, ...]:
        """Action ids in column order."""
        return tuple(action.id for action in self.actions)

    def action_set(self, columns: Sequence[str]) -> ActionSet:
        """The actions as a policy sees them, given the names of the customer features.

        Features in namespace `A`: id, channel, intent, subject, discount (share) and effort (tens of
        associate minutes), so that a new action borrows from its relatives. Look-ups in namespace `P`:
        this customer's traces of the action's own category and channel. `hold` has only its id.

        Raises:
            ConfigError: a column that an action looks up is missing (they are another retailer's).
        """
        pairs = tuple(tuple(_pairs(action)) for action in self.actions)
        missing = sorted({p.column for of_action in pairs for p in of_action} - set(columns))
        if missing:
            raise ConfigError(
                [f"the profile schema has no column {column!r}; build it from the same retailer" for column in missing]
            )
        return ActionSet(
            ids=self.ids,
            features=tuple(tuple(_features(a)) for a in self.actions),
            pairs=pairs,
            costs=tuple(a.cost for a in self.actions),
        )


def expand_template(
    template: ActionTemplate, categories: tuple[str, ...], channels: Mapping[str, Channel]
) -> Iterator[Action]:
    """One action per category of a template with `{category}` in its id, else one."""
    per_category = "{category}" in template.id
    for category in (template.categories or categories) if per_category else (ANY,):
        subject = template.subject or category
        yield Action(
            id=template.id.replace("{category}", category),
            channel=template.channel,
            intent=template.intent,
            subject=subject.replace("{category}", category),
            discount=template.treatment.discount,
            template=template.treatment.template,
            associate_minutes=template.treatment.associate_minutes,
            cost=channels[template.channel].contact_cost if template.cost is None else template.cost,
            valid_from=template.valid_from,
            valid_until=template.valid_until,
            status=template.status,
            targeting=(template.targeting or "").replace("{category}", category),
            requires=template.requires,
        )


def _features(action: Action) -> Iterator[ActionFeature]:
    yield ActionFeature("A", f"action={action.id}", 1.0)
    if action.id == HOLD.id:
        return
    yield ActionFeature("A", f"channel={action.channel}", 1.0)
    yield ActionFeature("A", f"intent={action.intent}", 1.0)
    yield ActionFeature("A", f"subject={action.subject}", 1.0)
    if action.discount:
        yield ActionFeature("A", "discount", action.discount)
    if action.associate_minutes:
        yield ActionFeature("A", "effort", action.associate_minutes / 10)


def _pairs(action: Action) -> Iterator[PairFeature]:
    if action.id == HOLD.id:
        return
    if action.subject != ANY:
        for trace in ("buy", "view", "cart", "want"):
            yield PairFeature("P", f"affinity.{trace}", f"{trace}.{action.subject}")
    for trace in ("fatigue", "response_rate", "recency_response", "pressure", "burden"):
        yield PairFeature("P", f"channel.{trace}", f"{action.channel}.{trace}")
    yield PairFeature("P", "customer.value", "value")
