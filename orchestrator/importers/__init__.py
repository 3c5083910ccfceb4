"""Outside data, turned into the events and logged feedback everything else reads."""
