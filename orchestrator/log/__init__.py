"""What is written and read back: facts, decisions, contacts, identities, stock and administrators' acts."""
