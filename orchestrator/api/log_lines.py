"""What the process logs: one JSON document per line on standard error, or text on a terminal, and never a customer."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import TextIO

import structlog

from orchestrator.database_urls import without_passwords
from orchestrator.errors import ConfigError
from orchestrator.storage.errors import StorageError
from policies.errors import PolicyError

# Errors whose messages are about files and configuration. Messages of any other may hold what a request held.
_ABOUT_FILES = (ConfigError, PolicyError, StorageError, OSError)

ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None]

log = structlog.get_logger(__name__)


def configure_logging(stream: TextIO | None = None) -> None:
    """Send this program's lines and its libraries' through one chain.

    Args:
        stream: where to; standard error if none is given.
    """
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exceptions_without_values,
        _hide_secrets,
    ]
    plain = stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    threading.excepthook = _on_thread


def exceptions_without_values(
    logger: object,  # noqa: ARG001 - a processor of structlog
    method: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    """Say where an exception came from, and its message only where that cannot hold what a request held.

    Messages of databases and validators quote values, and local variables are values.
    """
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = _told(error)
    return event


def _hide_secrets(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: _harmless(value) if isinstance(value, str) else value for name, value in entry.items()}


def _harmless(text: str) -> str:
    """Without passwords, and without the rows that PostgreSQL quotes in what it says of a failed write."""
    return without_passwords(re.sub(r"^DETAIL:.*$", "DETAIL: ***", text, flags=re.MULTILINE))


def _told(error: BaseException) -> str:
    """A traceback, causes first, without messages that are not ours."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [_told(before), ""] if before is not None else []
    lines += [f"{f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    lines.append(f"{name}: {error}" if isinstance(error, _ABOUT_FILES) else name)
    return "\n".join(lines)


def _on_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        name = failed.thread.name if failed.thread else None
        log.error("thread ended by an error", thread=name, exc_info=failed.exc_value)
