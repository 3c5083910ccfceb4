"""Reading request bodies and writing answers."""
