"""Learning: feature space, Vowpal Wabbit policies, exploration, off-policy evaluation, registry.

Everything a user of the package needs is here; what stands deeper may change. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policies.actions import ActionFeature as ActionFeature
    from policies.actions import ActionSet as ActionSet
    from policies.actions import PairFeature as PairFeature
    from policies.errors import ContractError as ContractError
    from policies.errors import EvaluationError as EvaluationError
    from policies.errors import FeatureError as FeatureError
    from policies.errors import FeedbackError as FeedbackError
    from policies.errors import PolicyError as PolicyError
    from policies.errors import PolicyFormatError as PolicyFormatError
    from policies.errors import RegistryError as RegistryError
    from policies.evaluation.estimators import DM as DM
    from policies.evaluation.estimators import DR as DR
    from policies.evaluation.estimators import IPS as IPS
    from policies.evaluation.estimators import SNIPS as SNIPS
    from policies.evaluation.estimators import Estimate as Estimate
    from policies.evaluation.league import LeagueTable as LeagueTable
    from policies.evaluation.league import league_table as league_table
    from policies.evaluation.rounds import Rounds as Rounds
    from policies.feedback import LoggedFeedback as LoggedFeedback
    from policies.learning.baselines import BusinessRules as BusinessRules
    from policies.learning.baselines import FixedPolicy as FixedPolicy
    from policies.learning.baselines import RandomPolicy as RandomPolicy
    from policies.learning.replay import Replay as Replay
    from policies.learning.replay import replay as replay
    from policies.learning.training import TrainingResult as TrainingResult
    from policies.learning.training import TrainingSettings as TrainingSettings
    from policies.learning.training import train as train
    from policies.policy import Policy as Policy
    from policies.policy_check import check_policy as check_policy
    from policies.registry.store import Store as Store
    from policies.vw.files import load_policy as load_policy
    from policies.vw.files import save_policy as save_policy
    from policies.vw.policy import VWPolicy as VWPolicy
    from policies.vw.policy import VWSettings as VWSettings

_PLACES = {
    "policies.actions": (
        "ActionFeature",
        "ActionSet",
        "PairFeature",
    ),
    "policies.errors": (
        "ContractError",
        "EvaluationError",
        "FeatureError",
        "FeedbackError",
        "PolicyError",
        "PolicyFormatError",
        "RegistryError",
    ),
    "policies.evaluation.estimators": (
        "DM",
        "DR",
        "Estimate",
        "IPS",
        "SNIPS",
    ),
    "policies.evaluation.league": (
        "LeagueTable",
        "league_table",
    ),
    "policies.evaluation.rounds": ("Rounds",),
    "policies.feedback": ("LoggedFeedback",),
    "policies.learning.baselines": (
        "BusinessRules",
        "FixedPolicy",
        "RandomPolicy",
    ),
    "policies.learning.replay": (
        "Replay",
        "replay",
    ),
    "policies.learning.training": (
        "TrainingResult",
        "TrainingSettings",
        "train",
    ),
    "policies.policy": ("Policy",),
    "policies.policy_check": ("check_policy",),
    "policies.registry.store": ("Store",),
    "policies.vw.files": (
        "load_policy",
        "save_policy",
    ),
    "policies.vw.policy": (
        "VWPolicy",
        "VWSettings",
    ),
}
__all__ = [
    "DM",
    "DR",
    "IPS",
    "SNIPS",
    "ActionFeature",
    "ActionSet",
    "BusinessRules",
    "ContractError",
    "Estimate",
    "EvaluationError",
    "FeatureError",
    "FeedbackError",
    "FixedPolicy",
    "LeagueTable",
    "LoggedFeedback",
    "PairFeature",
    "Policy",
    "PolicyError",
    "PolicyFormatError",
    "RandomPolicy",
    "RegistryError",
    "Replay",
    "Rounds",
    "Store",
    "TrainingResult",
    "TrainingSettings",
    "VWPolicy",
    "VWSettings",
    "check_policy",
    "league_table",
    "load_policy",
    "replay",
    "save_policy",
    "train",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
