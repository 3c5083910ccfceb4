"""The world's numbers fitted to real customers."""
