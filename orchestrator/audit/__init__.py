"""Checking the log: decisions repeated bit for bit, and profiles rebuilt from events."""
