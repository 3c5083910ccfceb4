"""Policies compared on the same simulated customers."""
