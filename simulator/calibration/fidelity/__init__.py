"""Simulated customers held against real ones."""
