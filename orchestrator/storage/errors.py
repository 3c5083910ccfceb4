"""Errors of storage.

StorageError
└── SchemaError    the database was made by another version of this program
"""

from orchestrator.errors import OrchestratorError


class StorageError(OrchestratorError):
    """The database cannot be used; the message says which, why, and the fix."""


class SchemaError(StorageError):
    """The database was made by another version of this program."""
