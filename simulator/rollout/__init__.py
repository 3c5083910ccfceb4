"""Blocks of customers lived through under a policy, and the log of it."""
