"""Learning: feature space, Vowpal Wabbit policies, exploration, off-policy evaluation, registry."""
