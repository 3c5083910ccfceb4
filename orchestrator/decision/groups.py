"""Experiment groups: who gets the policy, and who lets us see what the policy is worth.

A customer's group is a function of a salt and the customer's id, so it is the same on every server and never stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

from orchestrator.config import Groups, Retailer
from orchestrator.config.models import GroupName
from orchestrator.errors import ConfigError
from policies.actions import ActionSet
from policies.arrays import BoolArray, Float32Array, Float64Array, IntArray
from policies.errors import PolicyFormatError
from policies.exploration.explorers import uniform
from policies.learning.baseline_files import load_baseline
from policies.learning.baselines import BusinessRules
from policies.policy import priced

GroupArray = NDArray[np.uint8]


class Group(IntEnum):
    """What decides for a customer.

    Attributes:
        POLICY: the champion.
        RANDOM: any eligible action with the same probability; the data every policy can be judged on.
        BUSINESS_RULES: the retailer's own rules on segments.
        CONTROL: always `hold`.
    """

    POLICY = 0
    RANDOM = 1
    BUSINESS_RULES = 2
    CONTROL = 3

    @property
    def label(self) -> GroupName:
        """As written in serving.yaml, the log and the API."""
        return cast(GroupName, self.name.lower())


class Assignment:
    """Puts customers into groups by a salted hash of their id.

    Each group draws an exponential arrival time from the hash, at a rate of its share; the first to arrive gets the
    customer. If shares change by d (the total variation between old and new ones, the least that must move), a
    customer moves with a probability of at most 2d / (1 + d), and of exactly d where the other groups keep their
    proportions.

    Source: Moulton and Jiang 2018, "Maximally consistent sampling and the Jaccard index of probability distributions".

    Args:
        groups: shares and salt.

    Attributes:
        shares: float64 (groups,).
        experiment: digest of salt and shares: with others, other customers are compared with each other.
    """

    def __init__(self, groups: Groups) -> None:
        self._key = blake2b(groups.salt.encode(), digest_size=32).digest()
        self.shares = np.array([groups.shares.get(group.label, 0.0) for group in Group])
        parts = json.dumps([groups.salt, self.shares.tolist()])
        self.experiment = blake2b(parts.encode(), digest_size=8).hexdigest()

    def of(self, customer_ids: Sequence[str]) -> GroupArray:
        """The group of each customer, uint8 (n,), `Group` codes."""
        used = np.flatnonzero(self.shares)
        if len(used) == 1:
            return np.full(len(customer_ids), used[0], dtype=np.uint8)
        digests = b"".join(
            blake2b(i.encode(), digest_size=8 * len(Group), key=self._key).digest() for i in customer_ids
        )
        words = np.frombuffer(digests, dtype="<u8").reshape(-1, len(Group))[:, used]
        # Never 0 and never 1: the middle of each of 2^53 equal parts.
        arrival = -np.log(((words >> np.uint64(11)) + 0.5) * 2.0**-53) / self.shares[used]
        group: GroupArray = used[arrival.argmin(axis=1)].astype(np.uint8)
        return group


def business_rules(retailer: Retailer) -> BusinessRules | None:
    """The rules of the group of that name; none where it has no share.

    Raises:
        ConfigError: there are none in the directory.
    """
    groups = retailer.serving.groups
    if groups.business_rules is None or not groups.shares.get(Group.BUSINESS_RULES.label):
        return None
    directory = retailer.directory / groups.business_rules
    field = f"{retailer.directory / 'serving.yaml'}: groups.business_rules = {str(groups.business_rules)!r}"
    if not directory.is_dir():
        fix = (
            "make the rules with `journey train --scenario NAME`, which puts them in data/policies/NAME/business_rules"
        )
        raise ConfigError([f"{field}: there is no such directory ({directory}); {fix}, or take the group's share away"])
    try:
        rules = load_baseline(directory)
    except PolicyFormatError as error:
        raise ConfigError([f"{field}: {error}"]) from error
    if not isinstance(rules, BusinessRules):
        raise ConfigError([f"{field}: {rules.name} is not business rules; give the directory `business_rules`"])
    return rules


@dataclass(frozen=True)
class Experiment:
    """Replaces the policy's distribution for customers of other groups.

    Attributes:
        rules: decide for `BUSINESS_RULES`, over the core's actions; none where nobody is in that group.
        columns: int64 (k,), positions of the rules' columns in the core's.
    """

    rules: BusinessRules | None
    columns: IntArray

    @property
    def fingerprint(self) -> str:
        """Of the rules, for the log; empty where there are none."""
        if self.rules is None:
            return ""
        rules = self.rules
        parts = [rules.columns, rules.used, rules.edges.tolist(), rules.values.tolist(), rules.actions.ids]
        return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    @classmethod
    def of(cls, rules: BusinessRules | None, *, actions: ActionSet, columns: tuple[str, ...]) -> Experiment:
        """An experiment over a core's actions and columns.

        Raises:
            ConfigError: the rules look at a column there is none of.
        """
        if rules is None:
            return cls(None, np.empty(0, dtype=np.int64))
        position = {name: i for i, name in enumerate(columns)}
        if unknown := [name for name in rules.columns if name not in position]:
            raise ConfigError(
                [
                    f"serving.yaml: groups.business_rules: rules over columns this configuration does not have "
                    f"({', '.join(unknown[:5])}); fit them with this configuration"
                ]
            )
        return cls(rules.with_actions(actions), np.array([position[name] for name in rules.columns], dtype=np.int64))

    def redistribute(
        self, distribution: Float64Array, *, group: GroupArray, features: Float32Array, eligible: BoolArray
    ) -> None:
        """Write the distributions of all groups but `POLICY`, in place.

        Args:
            distribution: the policy's, float64 (n, A).
            group: uint8 (n,).
            features: float32 (n, F), the core's columns.
            eligible: bool (n, A).

        Raises:
            ConfigError: somebody is in `BUSINESS_RULES`, and there are none.
        """
        random, ruled, control = (
            np.flatnonzero(group == g) for g in (Group.RANDOM, Group.BUSINESS_RULES, Group.CONTROL)
        )
        if len(random):
            distribution[random] = uniform(eligible[random])
        if len(ruled):
            if self.rules is None:
                raise ConfigError(
                    ["serving.yaml: groups.business_rules is missing; give the directory of fitted rules"]
                )
            scores = priced(self.rules, self.rules.scores(features[np.ix_(ruled, self.columns)]))
            distribution[ruled] = self.rules.distribution(scores, eligible[ruled])
        if len(control):
            distribution[control] = 0.0
            distribution[control, 0] = 1.0
