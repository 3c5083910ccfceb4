"""Errors of the policies package.

PolicyError
├── FeedbackError        logged feedback that cannot be used, with the column and row at fault
├── FeatureError         features, columns or actions that do not fit a policy
├── ContractError        an object that does not behave as a policy must, with the call at fault
├── PolicyFormatError    a policy directory that is damaged, unknown or disagrees with Vowpal Wabbit
├── EvaluationError      an off-policy question the log cannot answer
└── RegistryError        the MLflow store or a registered model is missing or unreadable
"""


class PolicyError(Exception):
    """Anything this package refuses to do; the message says what was wrong, where, and the fix."""


class FeedbackError(PolicyError):
    """Logged feedback cannot be used."""


class FeatureError(PolicyError):
    """Features, columns or actions do not fit the policy."""


class ContractError(PolicyError):
    """An object does not behave as a policy must."""


class PolicyFormatError(PolicyError):
    """A policy directory is damaged, of an unknown format, or disagrees with Vowpal Wabbit."""


class EvaluationError(PolicyError):
    """The log cannot answer the off-policy question asked."""


class RegistryError(PolicyError):
    """The MLflow store or a registered model is missing or unreadable."""
