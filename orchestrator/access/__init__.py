"""Who may ask the service for what: keys, their scopes, and how often."""
