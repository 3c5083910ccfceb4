"""The Thompson-sampling prior of the Open Bandit Dataset, valued from the uniform log of campaign `all`."""

import os
from pathlib import Path

from orchestrator.importers.obd import by_position, import_obd, thompson_prior_distribution
from policies.evaluation.estimators import ESTIMATORS
from policies.evaluation.reward_model import cross_fit
from policies.evaluation.rounds import Rounds
from policies.evaluation.support import diagnose

PUBLISHED = "published by the data's authors: IPS .004553, 95 % [.001531, .009254]"


def main() -> None:
    folder = Path(os.environ.get("JOURNEY_DATA", "../shared/data")) / "obd"
    log = import_obd(folder, campaign="all", behaviour="random")
    prior = thompson_prior_distribution(folder / "prior_bts.yaml", "all", n_samples=100_000, seed=12345)
    rounds = Rounds.of(log, by_position(log, prior), q_hat=cross_fit(log))
    support = diagnose(rounds)
    print(f"{len(log):,} uniform decisions; {PUBLISHED}")
    for estimator in ESTIMATORS:
        e = estimator.estimate(rounds, seed=12345)
        print(f"  {e.estimator:5} {e.value:.6f}  [{e.lower:.6f}, {e.upper:.6f}]")
    weight = rounds.weight
    print(f"  weights: mean {weight.mean():.3f}, largest {weight.max():.1f}; reliable: {support.reliable}")


if __name__ == "__main__":
    main()
