"""A retailer's `training.yaml` as the settings of a training."""

from __future__ import annotations

from orchestrator.config.models import Training
from policies.exploration.explorers import Explorer
from policies.learning.training import TrainingSettings


def training_settings(training: Training, *, split: float | None = None, reward: str = "") -> TrainingSettings:
    """What to train with; `split` and `reward` given on the command line win."""
    return TrainingSettings(
        learning_rates=training.learning_rates,
        split=training.split if split is None else split,
        interactions=training.interactions,
        explorer=Explorer(**training.exploration.model_dump()),
        reward=reward,
        seed=training.seed,
    )
