"""How many plausible bugs the tests catch: forty mutants of the parts where a bug costs most, each tried by its tests.

A mutant is one changed line in a copy of the program. It is killed if the tests that are about that part fail. Results
are kept in a file of JSON lines, so that an interrupted run goes on.

    python -m benchmarks.mutants                              # all; some half an hour
    python -m benchmarks.mutants --only cap-at-limit          # one
    python -m benchmarks.mutants --tree ../before --map map.json   # another build; map.json names its files and tests
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WANTED = 36
COPIED = (
    "orchestrator",
    "policies",
    "simulator",
    "configs",
    "tests",
    "benchmarks",
    "docs",
    "README.md",
    "pyproject.toml",
)

EXPLORERS, SLOTS, DRAWS = (f"policies/exploration/{name}.py" for name in ("explorers", "slots", "draws"))
CAPS, COUNTING = "orchestrator/eligibility/rules/caps.py", "orchestrator/eligibility/rules/counting.py"
SUPPRESSION, ELIGIBLE = "orchestrator/eligibility/rules/suppression.py", "orchestrator/eligibility/eligible_actions.py"
CLOCKS, FACTS = "orchestrator/eligibility/rules/clock_rules.py", "orchestrator/log/facts.py"
RECORDING, IDENTITY = (f"orchestrator/serving/handlers/{name}.py" for name in ("recording", "identity"))
ESTIMATORS, ROUNDS = "policies/evaluation/estimators.py", "policies/evaluation/rounds.py"
LIFT, LOG = "orchestrator/experiments/lift.py", "orchestrator/log/decision_log.py"
OF_EXPLORATION = ("tests/policies/exploration",)
OF_ELIGIBILITY = ("tests/orchestrator/eligibility",)
OF_LEDGER = ("tests/orchestrator/serving/test_contact_policy.py", "tests/orchestrator/log")
OF_MERGING = (
    "tests/orchestrator/serving/test_identity.py",
    "tests/orchestrator/serving/test_raw_owners.py",
    "tests/orchestrator/log/test_identities.py",
)
OF_ESTIMATORS = ("tests/policies/evaluation",)
OF_JOINERS = (
    "tests/orchestrator/api/test_facts_routes.py",
    "tests/orchestrator/experiments/test_lift.py",
    "tests/orchestrator/api/test_slots_route.py",
)


class Mutant(NamedTuple):
    """One bug: in `file`, `old` (which stands there once) becomes `new`; `tests` are about it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    # Exploration.
    Mutant("squarecb-counts-one-less", EXPLORERS, "p += _count(eligible)", "p += _count(eligible) - 1", OF_EXPLORATION),
    Mutant("squarecb-gamma-twice", EXPLORERS, "        p *= gamma\n", "        p *= gamma * gamma\n", OF_EXPLORATION),
    Mutant("softmax-of-all", EXPLORERS, "0.0)) * eligible", "0.0))", OF_EXPLORATION),
    Mutant(
        "epsilon-whole-to-others",
        EXPLORERS,
        "floor = epsilon * (1.0 / _count(eligible))",
        "floor = epsilon * (1.0 / (_count(eligible) + 1))",
        OF_EXPLORATION,
    ),
    Mutant("floor-too-large", EXPLORERS, "size=1.0 - epsilon)", "size=1.0)", OF_EXPLORATION),
    Mutant("hold-takes-all", EXPLORERS, "held *= 1.0 - share", "held *= share", OF_EXPLORATION),
    Mutant("slots-keep-drawn", SLOTS, "0.0, left)", "left, left)", OF_EXPLORATION),
    Mutant("slots-not-normalised", SLOTS, "else left.sum(axis=1))", "else 1.0)", OF_EXPLORATION),
    Mutant("slots-go-on-after-hold", SLOTS, "goes_on = (drawn != HOLD) & ", "goes_on = ", OF_EXPLORATION),
    Mutant("slots-one-too-many", SLOTS, "count[rows] > slot + 1", "count[rows] >= slot + 1", OF_EXPLORATION),
    # Eligibility.
    Mutant(
        "cap-at-limit",
        CAPS,
        "self.counted(moment)[0] >= self.limit",
        "self.counted(moment)[0] > self.limit",
        OF_ELIGIBILITY,
    ),
    Mutant(
        "cap-idle-too-early",
        CAPS,
        "moment.most_contacts < self.limit",
        "moment.most_contacts <= self.limit",
        OF_ELIGIBILITY,
    ),
    Mutant(
        "cap-of-all-actions",
        CAPS,
        "return which[self.scope[moment.history.action[which]]]",
        "return which",
        OF_ELIGIBILITY,
    ),
    Mutant(
        "window-includes-its-end", COUNTING, "self.moment + window > now", "self.moment + window >= now", OF_ELIGIBILITY
    ),
    Mutant(
        "reservation-as-long-as-window",
        COUNTING,
        "self.reserved + reserved_for > now",
        "self.reserved + window > now",
        OF_ELIGIBILITY,
    ),
    Mutant(
        "cancelled-still-reserved",
        COUNTING,
        "reserved[cancelled | ~np.isnan(moment)]",
        "reserved[~np.isnan(moment)]",
        OF_ELIGIBILITY,
    ),
    Mutant(
        "withdrawn-although-seen",
        COUNTING,
        "cancelled & np.isnan(history.sent) & np.isnan(history.seen)",
        "cancelled & np.isnan(history.sent)",
        OF_ELIGIBILITY,
    ),
    Mutant("free-one-contact-late", COUNTING, "start[enough] + limit - 1]", "start[enough]]", OF_ELIGIBILITY),
    Mutant(
        "suppressed-after-anything",
        SUPPRESSION,
        "np.flatnonzero(self.after[outcomes.type])",
        "np.arange(len(outcomes.type))",
        OF_ELIGIBILITY,
    ),
    Mutant("suppressed-since-the-first", SUPPRESSION, "np.maximum.at(", "np.minimum.at(", OF_ELIGIBILITY),
    # The ledger of contacts.
    Mutant(
        "report-latest-instead-of-earliest",
        FACTS,
        "(c[column] <= at, c[column])",
        "(c[column] >= at, c[column])",
        OF_LEDGER,
    ),
    Mutant("last-at-goes-back", FACTS, "(c.last_at >= at, c.last_at)", "(c.last_at < at, c.last_at)", OF_LEDGER),
    Mutant("failed-moves-last-at", FACTS, 'if kind != "failed":', "if kind:", OF_LEDGER),
    Mutant("contacts-before-the-window", FACTS, "now - wanted.contacts]", "now]", OF_LEDGER),
    Mutant(
        "report-of-any-slot",
        RECORDING,
        ' and row["slot"] == decided[row["decision_id"]].contact',
        "",
        OF_LEDGER + OF_JOINERS,
    ),
    Mutant(
        "contact-of-the-last-slot",
        LOG,
        "for slot, action in enumerate(self.actions, start=1) if action.counted), 1)",
        "for slot, action in enumerate(self.actions) if action.counted), 1)",
        OF_LEDGER + OF_JOINERS,
    ),
    # Merging.
    Mutant("older-link-wins", IDENTITY, "link.at <= before.linked_at", "link.at >= before.linked_at", OF_MERGING),
    Mutant(
        "alias-not-taken-from-owner",
        IDENTITY,
        "self._aliases[before.customer_id].discard(link.alias_id)",
        "pass",
        OF_MERGING,
    ),
    Mutant(
        "final-is-one-step", IDENTITY, "while customer_id in self.merged:", "if customer_id in self.merged:", OF_MERGING
    ),
    Mutant("raw-before-its-link", IDENTITY, ".links <= links:", ".links < links:", OF_MERGING),
    Mutant(
        "aliases-stay-behind",
        IDENTITY,
        "for alias in sorted(self._aliases.pop(link.alias_id, ())):",
        "for alias in ():",
        OF_MERGING,
    ),
    # Estimators.
    Mutant(
        "snips-of-its-own-mean",
        ESTIMATORS,
        "contributions /= rounds.weight.mean()",
        "contributions /= rounds.weight.max()",
        OF_ESTIMATORS,
    ),
    Mutant(
        "dr-without-weight",
        ESTIMATORS,
        "rounds.weight * (rounds.reward - rounds.of_logged_action(q_hat))",
        "(rounds.reward - rounds.of_logged_action(q_hat))",
        OF_ESTIMATORS,
    ),
    Mutant(
        "dr-adds-the-model",
        ESTIMATORS,
        "return _model_value(rounds, q_hat) + correction",
        "return _model_value(rounds, q_hat) - correction",
        OF_ESTIMATORS,
    ),
    Mutant("interval-not-by-customer", ESTIMATORS, "cluster=rounds.cluster)", "cluster=None)", OF_ESTIMATORS),
    Mutant("snips-of-nothing", ESTIMATORS, "if total <= 0:", "if total < 0:", OF_ESTIMATORS),
    # Joining outcomes to decisions.
    Mutant("slot-beyond-the-last", RECORDING, "o.slot > len(", "o.slot - 1 > len(", OF_JOINERS),
    Mutant(
        "outcome-counted-twice", RECORDING, "new.append(outcome.outcome_id not in seen)", "new.append(True)", OF_JOINERS
    ),
    Mutant(
        "facts-of-the-first-moment",
        LIFT,
        "begins[place] < at < begins[place] + window",
        "begins[place] <= at",
        OF_JOINERS,
    ),
    Mutant("cost-of-later-decisions", LIFT, "if decision.decided_at < first[place] + window:", "if True:", OF_JOINERS),
)


def main() -> None:
    """Try the mutants, print what became of each, and fail if too few are killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME", action="append", help="a mutant; may be given several times")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the build to try; default: this one")
    parser.add_argument("--map", type=Path, help="JSON: this build's path or text -> the other's")
    parser.add_argument("--results", type=Path, default=ROOT / "data" / "mutants.jsonl", help="kept, and gone on with")
    given = parser.parse_args()
    names = {mutant.name for mutant in MUTANTS}
    if unknown := set(given.only or ()) - names:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}; known: {', '.join(sorted(names))}")
    elsewhere = json.loads(given.map.read_text()) if given.map else {}
    done = _results(given.results)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    for mutant in MUTANTS:
        if mutant.name in done or (given.only and mutant.name not in given.only):
            continue
        found = _try(mutant, given.tree.resolve(), elsewhere)
        done[mutant.name] = found
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": mutant.name, "found": found}) + "\n")
        print(f"{found:9} {mutant.name}", flush=True)
    counts = Counter(done.values())
    print(f"{counts['killed']} of {len(done)} killed; aim: {WANTED} of {len(MUTANTS)}")
    if not given.only and counts["killed"] < WANTED:
        sys.exit(1)


def _results(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {line["mutant"]: line["found"] for line in map(json.loads, lines)}


def _try(mutant: Mutant, tree: Path, elsewhere: dict[str, str]) -> str:
    """`killed` if the tests fail with the mutant, `survived` if not, `no place` if the line is not there once."""
    with tempfile.TemporaryDirectory(prefix="journey-mutant-") as name:
        copy = Path(name)
        for part in COPIED:
            if (tree / part).is_dir():
                shutil.copytree(tree / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (tree / part).exists():
                shutil.copy(tree / part, copy / part)
        file = copy / elsewhere.get(mutant.file, mutant.file)
        old, new = elsewhere.get(mutant.old, mutant.old), elsewhere.get(mutant.new, mutant.new)
        text = file.read_text(encoding="utf-8")
        if text.count(old) != 1:
            return "no place"
        file.write_text(text.replace(old, new), encoding="utf-8")
        tests = [elsewhere.get(test, test) for test in mutant.tests]
        python = tree / ".venv" / "bin" / "python"
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [python if python.exists() else sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        ended = subprocess.run([*command, *tests], cwd=copy, env=environment, capture_output=True, check=False)
        return {0: "survived", 1: "killed"}.get(ended.returncode, f"error {ended.returncode}")


if __name__ == "__main__":
    main()
