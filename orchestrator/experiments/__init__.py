"""What experiment groups are worth against each other."""
