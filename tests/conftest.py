"""Fixtures shared by every test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

# A busy machine is no bug: examples have no time limit.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# The arrays of these tests are small: more threads only wait for each other. Read when NumPy is first imported, which
# is why the fixtures below import what they need themselves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from policies.feedback import LoggedFeedback
    from policies.learning.training import TrainingResult
    from tests.postgresql_server import PostgreSQLServer

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
CONFIGS = Path(__file__).parents[1] / "configs"
# MLflow's own use of other packages; every other warning is an error (pyproject.toml).
WARNINGS_OF_MLFLOW = ("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",)


def pytest_configure(config: pytest.Config) -> None:
    for line in WARNINGS_OF_MLFLOW:
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files that take long first: at the end, no worker waits for one.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "postgresql" in (
            *getattr(item, "fixturenames", ()),
            params.get("database_url"),
            params.get("empty_database_url"),
        ):
            item.add_marker(pytest.mark.postgresql)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data folder: `JOURNEY_DATA`, or `../shared/data` beside the project."""
    folder = Path(os.environ.get("JOURNEY_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        _missing(f"real data not found at {folder}; set JOURNEY_DATA to its folder")
    return folder


def _missing(reason: str) -> NoReturn:
    """What a test needs is not on this machine: fine on a desk, not in continuous integration."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server for the whole session."""
    from tests.postgresql_server import NoPostgreSQLError, postgresql_server

    with ExitStack() as stack:
        try:
            running = stack.enter_context(postgresql_server())
        except NoPostgreSQLError as error:
            _missing(str(error))
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of the test's own; a test that uses it runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'journey.db'}"
        return
    server = request.getfixturevalue("postgresql")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own with its tables, copied from one; a test that uses it runs on both kinds."""
    if request.param == "sqlite":
        file = tmp_path / "journey.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server = request.getfixturevalue("postgresql")
    name = server.create(template=request.getfixturevalue("postgresql_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has its tables, and nothing else."""
    from orchestrator.storage.database import open_database

    file = tmp_path_factory.mktemp("template") / "journey.db"
    open_database(f"sqlite:///{file}").dispose()
    return file


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgreSQLServer) -> str:
    """Name of a database that has its tables, and nothing else."""
    from orchestrator.storage.database import open_database

    name = postgresql.create()
    open_database(postgresql.url(name)).dispose()
    return name


@pytest.fixture(scope="session")
def mail_test(data_dir: Path) -> LoggedFeedback:
    """The randomised e-mail test as `journey import hillstrom` makes it; reward `visit`."""
    from orchestrator.importers.hillstrom import import_hillstrom

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOURNEY_CONFIGS", str(CONFIGS))
        return import_hillstrom(data_dir / "hillstrom" / "hillstrom_dev.csv.gz")


@pytest.fixture(scope="session")
def trained(mail_test: LoggedFeedback) -> TrainingResult:
    """The default training on the whole e-mail test."""
    from policies.learning.training import TrainingSettings, train

    return train(mail_test, TrainingSettings(), progress=lambda *_: None)


@pytest.fixture(scope="session")
def two_kinds() -> Callable[..., LoggedFeedback]:
    """`two_kinds(n=..., gap=...)` makes a log in which half the customers answer only to action a, half only to b."""
    import numpy as np

    from policies.actions import ActionSet
    from policies.feedback import LoggedFeedback

    def make(*, n: int = 6_000, seed: int = 0, gap: float = 0.3, noise: float = 0.0) -> LoggedFeedback:
        random = np.random.default_rng(seed)
        kind, action = random.integers(0, 2, n), random.integers(0, 3, n)
        fits = (action == 0) & (kind == 0) | (action == 1) & (kind == 1)
        reward = np.where(random.random(n) < noise, random.random(n) < 0.5, random.random(n) < 0.1 + gap * fits)
        return LoggedFeedback(
            columns=("kind", "irrelevant"),
            features=np.column_stack([kind, random.random(n)]).astype(np.float32),
            actions=ActionSet.of("a", "b", "c"),
            eligible=np.ones((n, 3), dtype=bool),
            action=action,
            propensity=np.full(n, 1 / 3),
            reward=reward.astype(np.float64),
            customer=np.array([f"c{i}" for i in range(n)], dtype=object),
            outcomes={"clicks": reward + 1.0},
            source="two kinds of customers, made up",
        )

    return make
