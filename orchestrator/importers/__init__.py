"""Readers of public and retailer data sets, each giving a `LoggedFeedback`."""
