"""Running the service as a process."""

from __future__ import annotations

import gc
import logging
import re

import structlog
import uvicorn

from orchestrator.api.app import create_app
from orchestrator.api.connections import BoundedProtocol
from orchestrator.api.local_only import is_loopback
from orchestrator.database_urls import without_passwords
from orchestrator.errors import AccessError
from orchestrator.service.service import Service, ServiceSettings


def serve(settings: ServiceSettings, *, dev: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; requests already accepted are finished first.

    One process, in which one thread decides; several may share a database, each on a port of its own.

    Args:
        settings: `settings.retailer.serving` says where to listen.
        dev: let everybody in, without a key; only where nobody else can connect.

    Raises:
        AccessError: nobody would be let in, or everybody on the network.
        StorageError: the database cannot be used.
    """
    serving = settings.retailer.serving
    if dev and not is_loopback(serving.host):
        raise AccessError(
            f"--dev lets everybody in, and host {serving.host} can be reached from elsewhere; set host: 127.0.0.1 in "
            "serving.yaml, or make a key with `journey keys create` and leave --dev out"
        )
    # The application opens it too, but an error there comes out of uvicorn as a traceback and exit code 3.
    if not (Service(settings).has_usable_key() or dev):
        raise AccessError(
            "the database holds no usable key, so nobody could ask; make one with `journey keys create NAME --scopes "
            "decide,events,outcomes` and the same --config and --database, or try it out with `journey serve --dev`"
        )
    configure_logging()
    app = create_app(settings, dev=dev)
    tune_process()
    uvicorn.run(
        app,
        host=serving.host,
        port=serving.port,
        loop="uvloop",
        http=BoundedProtocol,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=30,
    )


def _hide_secrets(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: _harmless(value) if isinstance(value, str) else value for name, value in entry.items()}


def _harmless(text: str) -> str:
    """Without passwords, and without the rows that PostgreSQL quotes in what it says of a failed write."""
    return without_passwords(re.sub(r"^DETAIL:.*$", "DETAIL: ***", text, flags=re.MULTILINE))


def tune_process() -> None:
    """Keep the garbage collector away from what was imported: it would walk through it several times a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def configure_logging() -> None:
    """One JSON document per line on standard error, for this program's lines and its libraries' alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
