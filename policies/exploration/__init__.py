"""From scores to a distribution, and from a distribution to a draw."""
