"""Contact rules: caps, gaps, clocks, conditions and silences, each told with its reason and its end."""
