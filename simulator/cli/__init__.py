"""The simulator's commands of `journey`."""
