"""`journey serve`, `ui`: things that run until told to stop."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DEFAULT_STORE, ModelOption, StoreOption, other_models
from policies.registry.store import CHAMPION, DEFAULT_MODEL, Store

ConfigOption = Annotated[Path, typer.Option("--config", help="Directory of the retailer's configuration.")]


def serve_command(
    config: ConfigOption = Path("configs/retail"),
    store: StoreOption = DEFAULT_STORE,
    model: ModelOption = DEFAULT_MODEL,
    port: Annotated[int | None, typer.Option(help="Port; default: serving.yaml's.")] = None,
    database: Annotated[str | None, typer.Option(help="Database URL; default: serving.yaml's.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Ask for no key; only on a loopback host.")] = False,
) -> None:
    """Serve decisions over HTTP with the registry's champion; follows a new champion within seconds.

    Who asks needs a key (`journey keys create`). The API documents itself at /docs. SIGTERM or Ctrl-C finishes
    accepted requests first.

    Example: journey serve --config configs/hillstrom --port 8080
    """
    from orchestrator.api.serve import serve
    from orchestrator.errors import OrchestratorError
    from orchestrator.load import load_retailer
    from orchestrator.serving.policy_watcher import NoChampionError
    from orchestrator.serving.service import ServiceSettings
    from policies.vw.files import load_policy

    given = {"JOURNEY__SERVING__PORT": port, "JOURNEY__SERVING__DATABASE": database}
    options = {name: str(value) for name, value in given.items() if value is not None}
    retailer = load_retailer(config, environment={**os.environ, **options})

    serving = retailer.serving
    with socket.socket() as probe:
        if probe.connect_ex((serving.host, serving.port)) == 0:
            raise OrchestratorError(f"port {serving.port} of {serving.host} is taken; choose another with --port")

    def champion() -> tuple[str, Path]:
        found = Store(store).alias(model, CHAMPION)
        if found is None:
            raise NoChampionError(model, hint=_without_champion(Store(store), model=model))
        return found.label, found.directory

    serve(ServiceSettings(retailer=retailer, champion=champion, load_policy=load_policy), dev=dev)


def ui_command(
    store: StoreOption = DEFAULT_STORE,
    model: ModelOption = DEFAULT_MODEL,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI on this project's store, with links to what a reviewer looks at.

    Example: journey ui --port 5000
    """
    from policies.registry.ui import MlflowUI

    stop_on_sigterm()
    with MlflowUI(store, port=port, model=model) as ui:
        for name, link in ui.links.items():
            typer.echo(f"{name:9} {link}")
        typer.echo("Ctrl-C stops it.")
        ui.wait()


def _without_champion(store: Store, *, model: str) -> str:
    """What to do where the model followed has no champion."""
    make = f"train a version of {model} (see `journey train --help`), or promote one (`journey promote`)"
    other = other_models(store, model=model)
    return f"{make}; {other}" if other else make


def stop_on_sigterm() -> None:
    """A polite kill ends the servers started here too, as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
