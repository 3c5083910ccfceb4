"""The tables. Raw facts (events, raw events, decisions, outcomes, identities, stock) are only ever added to.

But for one column: `customer_id` is whose a fact is, and changes when two customers turn out to be one (`identities`
says which ids they had). The rest can be rebuilt.

That is what is known of customers (`customers`, `stated`), what a rebuild has made of it so far (`rebuilt_customers`)
and what became of contacts (`contacts`).

Times are seconds since 1970 UTC. Arrays are little-endian bytes, `features` float32, others as named.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The newest migration in `migrations/versions`.
SCHEMA_VERSION = 1

# A row by the names of its columns.
Row = dict[str, Any]

metadata = MetaData()

# Kept by Alembic.
schema_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True, comment="the newest migration made, as four digits"),
)

# SQLite counts rows by itself only under the name INTEGER.
_counted = BigInteger().with_variant(Integer, "sqlite")

customers = Table(
    "customers",
    metadata,
    Column("customer_id", String, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="float64 (S,), columns as in `layout`"),
    Column("layout", String, nullable=False, comment="digest of the profile columns of `state`"),
    Column("updated_at", Double, nullable=False),
)

# A row is there only as long as it is what the customer's events make of the profile: see `write_states`.
rebuilt_customers = Table(
    "rebuilt_customers",
    metadata,
    Column("customer_id", String, primary_key=True),
    Column("state", LargeBinary, nullable=False, comment="as in `customers`, for another configuration"),
    Column("layout", String, nullable=False, comment="of that configuration"),
    Column("events", Integer, nullable=False, comment="how many it was made of"),
    Column("unknown", Integer, nullable=False, comment="how many of them name what that configuration does not know"),
    Column("texts", Text, comment="JSON: [name, text, when stated] of each that `stated` lacks; none if it lacks none"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", _counted, primary_key=True, comment="order in which events reached the profiles"),
    Column("event_id", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("timestamp", Double, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("body", Text, nullable=False, comment="the event as JSON, without the customer id"),
    Index("events_of_customer", "customer_id", "type", "timestamp"),
)

stated = Table(
    "stated",
    metadata,
    Column("customer_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False, comment="the latest text stated"),
    Column("stated_at", Double, nullable=False),
)

decision_schemas = Table(
    "decision_schemas",
    metadata,
    Column("schema_id", String, primary_key=True, comment="digest of `body`"),
    Column("body", Text, nullable=False, comment="JSON: action ids and feature columns, in array order"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", String, primary_key=True),
    Column("customer_id", String, nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("schema_id", String, ForeignKey("decision_schemas.schema_id"), nullable=False),
    Column("action", Integer, nullable=False, comment="index into the layout's actions"),
    Column("propensity", Double, nullable=False, comment="distribution[action]"),
    Column("request", Text, nullable=False, comment="the request as JSON, without the customer id"),
    Column("features", LargeBinary, nullable=False, comment="float32 (F,)"),
    Column("eligible", LargeBinary, nullable=False, comment="(A,) packed bits"),
    Column("reasons", LargeBinary, nullable=False, comment="uint8 (A,), 0 where eligible"),
    Column("scores", LargeBinary, nullable=False, comment="float32 (A,)"),
    Column("distribution", LargeBinary, nullable=False, comment="float64 (A,), of the first slot"),
    Column("group_name", String, nullable=False, comment="what decided"),
    Column("experiment", String, nullable=False, comment="digest of salt and shares"),
    Column("rules", String, comment="fingerprint of the rules that decided, where they did"),
    Column("events_until", BigInteger, nullable=False, comment="sequence of the last event in the log then, or 0"),
    Column("stock_until", BigInteger, nullable=False, comment="sequence of the last row of `stock` then, or 0"),
    Column(
        "slots", Text, comment="JSON, where several were asked for: [action, propensity given those before it] each"
    ),
    Column("joint_propensity", Double, comment="of the whole selection, where several were asked for"),
    Index("decisions_of_customer", "customer_id", "decided_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String, primary_key=True, comment="who asked, a space, what was sent; of a batch `who/line`"),
    Column("fingerprint", String, nullable=False, comment="digest of the request the key was first used with"),
    Column("decision_id", String, ForeignKey("decisions.decision_id"), nullable=False),
    Index("idempotency_of_decision", "decision_id"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("sequence", _counted, primary_key=True),
    Column("outcome_id", String, nullable=False, unique=True),
    Column("decision_id", String, ForeignKey("decisions.decision_id"), nullable=False),
    Column("customer_id", String, nullable=False, comment="the decision's"),
    Column("type", String, nullable=False),
    Column("slot", Integer, nullable=False, comment="which result it is about, from 1"),
    Column("value", Double, nullable=False, comment="money"),
    Column("timestamp", Double, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("body", Text, nullable=False, comment="the outcome as JSON"),
    Index("outcomes_of_decision", "decision_id"),
    Index("outcomes_of_customer", "customer_id", "type", "timestamp"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("decision_id", String, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("customer_id", String, nullable=False),
    Column("action", String, nullable=False, comment="id; the catalogue changes"),
    Column("channel", String, nullable=False),
    Column("intent", String, nullable=False),
    Column("slot", Integer, nullable=False, comment="which result it is, from 1"),
    Column("decided_at", Double, nullable=False),
    Column("sent_at", Double, comment="the earliest reported"),
    Column("seen_at", Double, comment="the earliest reported"),
    Column("cancelled_at", Double, comment="the earliest reported"),
    Column("last_at", Double, nullable=False, comment="the latest of decided, sent and seen"),
    Index("contacts_of_customer", "customer_id", "last_at"),
)

stock = Table(
    "stock",
    metadata,
    Column("sequence", _counted, primary_key=True, comment="order in which facts were kept, one transaction at a time"),
    Column("stock_id", String, nullable=False, unique=True),
    Column("category", String, nullable=False),
    Column("in_stock", Boolean, nullable=False),
    Column("timestamp", Double, nullable=False, comment="from when on; of a category's facts the newest one holds"),
    Column("received_at", Double, nullable=False),
    Index("stock_of_category", "category", "timestamp", "sequence"),
)

raw_events = Table(
    "raw_events",
    metadata,
    Column("sequence", _counted, primary_key=True),
    Column("source", String, nullable=False, comment="kind of the system it came from"),
    Column("message_id", String, nullable=False, comment="its id there"),
    Column("customer_id", String, comment="whose it is, if it says whom it is about"),
    Column("user_id", String, comment="an id it names, as it was sent"),
    Column("anonymous_id", String, comment="likewise"),
    Column("previous_id", String, comment="likewise"),
    Column("name", String, nullable=False, comment="of what it tells, as named there"),
    Column("reason", Text, nullable=False, comment="why it, or a part of it, was not understood"),
    Column("received_at", Double, nullable=False),
    Column("payload", Text, nullable=False, comment="the message as JSON"),
    UniqueConstraint("source", "message_id"),
    Index("raw_events_by_name", "source", "name"),
    Index("raw_events_of_customer", "customer_id"),
    Index("raw_events_of_user", "user_id"),
    Index("raw_events_of_anonymous", "anonymous_id"),
    Index("raw_events_of_previous", "previous_id"),
)

identities = Table(
    "identities",
    metadata,
    Column("sequence", _counted, primary_key=True, comment="of several rows of an id, the last one holds"),
    Column("alias_id", String, nullable=False),
    Column("customer_id", String, nullable=False, comment="whose it is from then on; this one's own id"),
    Column("linked_at", Double, nullable=False, comment="time of the message that said so"),
    Column("received_at", Double, nullable=False),
    Index("identities_of_alias", "alias_id", "sequence"),
    Index("identities_of_customer", "customer_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("scopes", String, nullable=False, comment="separated by commas"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the secret"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double, comment="rounded down to the hour"),
    Column("rate_limit", Integer, comment="requests per `rate_window`"),
    Column("rate_window", Double, comment="seconds"),
)

# Only ever added to: the database itself refuses everything else.
audit_log = Table(
    "audit_log",
    metadata,
    Column("sequence", _counted, primary_key=True),
    Column("at", Double, nullable=False),
    Column("who", String, nullable=False, comment="id of a key, or `cli:` and a user of the operating system"),
    Column("what", String, nullable=False),
    Column("target", String, nullable=False, comment="what it was done to; of a customer, keyed digests of ids"),
)

# What is left of the decisions of customers who were erased.
decision_statistics = Table(
    "decision_statistics",
    metadata,
    Column("day", String, primary_key=True, comment="UTC, like 2026-11-20"),
    Column("action", String, primary_key=True, comment="id"),
    Column("policy_version", String, primary_key=True),
    Column("experiment_group", String, primary_key=True, comment="empty where the decision was of none"),
    Column("decisions", Integer, nullable=False, comment="how many"),
)

database_secrets = Table(
    "database_secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
