"""What a run is made of, as JSON: enough to repeat it, and to refuse to continue another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from policies.fingerprint import fingerprint
from policies.policy import Policy
from simulator.rollout.blocks import Unit
from simulator.runs.code_version import code_digest
from simulator.scenarios import Scenario

FORMAT = 1
CODE = "code"  # names the digest of the sources in every spec
_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class RunSpec:
    """Everything the results of a block depend on, but for the block itself; the code that lives it included.

    Seeds are no part of it: more of them may be added to a run later.

    Attributes:
        content: plain JSON; equal for two runs exactly if their blocks may stand side by side.
    """

    content: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        policies: Mapping[str, Policy],
        *,
        customers: int,
        days: int,
        block_size: int,
        logs: bool,
    ) -> RunSpec:
        """The spec of a run; arguments as `simulator.runs.cluster.run`, `logs` for whether decisions are kept."""
        content = {
            "format": FORMAT,
            "version": version("journey-orchestrator"),
            CODE: code_digest(),
            "scenario": {"name": scenario.name, **scenario_content(scenario)},
            "policies": {name: fingerprint(policy) for name, policy in policies.items()},
            "customers": customers,
            "days": days,
            "block_size": block_size,
            "logs": logs,
        }
        # Through JSON and back, so that what is compared later is what JSON can hold.
        return cls(json.loads(json.dumps(content, default=str)))

    def digest(self, unit: Unit) -> str:
        """SHA-256 of the spec with one unit, in hexadecimal."""
        return _sha256({**self.content, "unit": asdict(unit)})

    def differences(self, other: Mapping[str, Any]) -> str:
        """What differs from another spec's content, the first few values by name; empty if nothing does."""
        mine, theirs = dict(_flat(self.content)), dict(_flat(other))
        names = [n for n in dict.fromkeys([*mine, *theirs]) if mine.get(n, "nothing") != theirs.get(n, "nothing")]
        told = [f"{n}: {_short(theirs, n)} there, {_short(mine, n)} here" for n in names[:_NAMED_AT_MOST]]
        more = len(names) - len(told)
        return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def scenario_content(scenario: Scenario) -> dict[str, Any]:
    """Everything of a scenario that rollouts depend on, as plain JSON; how policies are served or learned is not."""
    retailer = scenario.retailer
    content = {
        "file": scenario.file.model_dump(mode="json", exclude={"description"}),
        "world": scenario.world.model_dump(mode="json"),
        "categories": list(retailer.catalogue.categories),
        # Lists, because the order of actions and channels is that of their codes.
        "actions": [asdict(action) for action in retailer.catalogue.actions],
        "channels": [{"name": name, **c.model_dump(mode="json")} for name, c in retailer.channels.items()],
        "goals": retailer.goals.model_dump(mode="json"),
        "profiles": retailer.profiles.model_dump(mode="json"),
        **({"contacts": retailer.contacts.model_dump(mode="json")} if scenario.file.contact_rules else {}),
    }
    return dict(json.loads(json.dumps(content, default=str)))


def scenario_digest(scenario: Scenario) -> str:
    """SHA-256 of `scenario_content`, in hexadecimal."""
    return _sha256(scenario_content(scenario))


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _flat(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, (Mapping, list)) and content:
        for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, content


def _short(content: Mapping[str, Any], name: str) -> str:
    text = str(content.get(name, "nothing"))
    return text if len(text) <= 12 else f"{text[:12]}…"
