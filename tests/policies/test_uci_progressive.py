from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.uci_progressive import LIMIT, VW_BEST, progressive_loss, read_multiclass


@pytest.mark.parametrize("name", ["splice"])
def test_crisp_answers_are_learned_nearly_as_fast_as_by_vws_best(data_dir: Path, name: str) -> None:
    """The smallest set of the benchmark: the same default setting that holds on the noisy e-mail test."""
    columns, features, label = read_multiclass(data_dir / "uci" / f"{name}.vw.gz")
    assert (len(label), label.max() + 1) == (3_190, 3)
    assert features.any(axis=0).all()  # every column kept says something
    assert progressive_loss(columns, features, label, seed=0) <= LIMIT * VW_BEST[name]
