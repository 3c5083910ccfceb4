"""One store with two published policies, made once; tests that change it work on a copy of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from policies.feedback import LoggedFeedback
from policies.learning.training import TrainingResult, TrainingSettings, train
from policies.registry.store import Store
from policies.review.publish import Published, publish


@dataclass(frozen=True)
class Shelf:
    """A store, what was put there, and what it was made of."""

    store: Store
    first: Published
    second: Published
    result: TrainingResult
    log: LoggedFeedback
    settings: TrainingSettings


@pytest.fixture(scope="session")
def shelf(two_kinds: Callable[..., LoggedFeedback], tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    # A space in the path: nothing may depend on its absence.
    store = Store(tmp_path_factory.mktemp("a store") / "mlruns")
    log, settings = two_kinds(n=8_000), TrainingSettings()
    result = train(log, settings, progress=lambda *_: None)
    first, second = (publish(result, log, settings, store=store, model="mail", name=n) for n in ("one", "two"))
    return Shelf(store=store, first=first, second=second, result=result, log=log, settings=settings)


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(tmp_path / "mlruns")
