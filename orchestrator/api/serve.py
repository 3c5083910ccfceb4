"""Running the service as a process."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from orchestrator.api.app import create_app
from orchestrator.api.log_lines import configure_logging
from orchestrator.api.middleware.local_only import is_loopback
from orchestrator.api.middleware.telemetry import collector
from orchestrator.api.stopping import DrainingServer
from orchestrator.errors import AccessError
from orchestrator.serving.service import Service, ServiceSettings

# Connections and requests at once; beyond, 503. What else slow clients could do, a proxy in front stops.
MOST_CONNECTIONS = 4096
# Between two requests on one connection.
IDLE_SECONDS = 30


def serve(settings: ServiceSettings, *, dev: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; says so, and finishes what it accepted.

    One process, in which one thread decides; several may share a database, each on a port of its own.

    Args:
        settings: `settings.retailer.serving` says where to listen.
        dev: let everybody in, without a key; only where nobody else can connect.

    Raises:
        AccessError: nobody would be let in, or everybody on the network.
        StorageError: the database cannot be used.
        OrchestratorError: traces are to be sent, but the packages for it are missing.
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
    provider = collector(serving.operations.otlp_endpoint)
    app = create_app(settings, dev=dev, tracer_provider=provider)
    tune_process()
    config = uvicorn.Config(
        app,
        host=serving.host,
        port=serving.port,
        loop="uvloop",
        http="httptools",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=serving.operations.shutdown_seconds,
    )

    def stopping() -> None:
        if service := getattr(app.state, "service", None):
            service.stop_soon()

    server = DrainingServer(config, stopping=stopping, drain_seconds=serving.operations.drain_seconds)
    with suppress(KeyboardInterrupt):  # which Ctrl-C raises in the end, when all is finished
        server.run()
    if provider is not None:
        provider.shutdown()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def tune_process() -> None:
    """Keep the garbage collector away from what was imported: it would walk through it several times a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
