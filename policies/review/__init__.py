"""What a reviewer reads: a policy card and a self-contained report."""
