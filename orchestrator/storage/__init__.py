"""The durable log: customers' profiles, events, decisions and outcomes, by SQLAlchemy Core."""
