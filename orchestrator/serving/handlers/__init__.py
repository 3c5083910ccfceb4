"""One module per kind of work the writer does."""
