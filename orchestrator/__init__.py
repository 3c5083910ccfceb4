"""Deciding and serving: configuration, customer state, eligibility, decisions, HTTP API, CLI."""
