"""Vowpal Wabbit: feature space, examples, dsjson, and the policy with its compiled form."""
