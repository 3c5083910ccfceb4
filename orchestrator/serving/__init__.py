"""Serving: requests are gathered, decided as one columnar batch, and committed as one transaction."""
