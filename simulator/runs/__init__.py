"""Many blocks on many cores or machines, kept on disk and resumed."""
