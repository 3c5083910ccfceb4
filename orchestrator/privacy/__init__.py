"""What is held about a customer: where, taken along, and erased."""
