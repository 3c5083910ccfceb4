from __future__ import annotations

import runpy
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "uci_progressive.py"


def test_crisp_answers_are_learned_nearly_as_fast_as_by_vws_best(data_dir: Path) -> None:
    """The smallest set of the benchmark, with the same default setting that holds on the noisy e-mail test."""
    benchmark = runpy.run_path(str(BENCHMARK))
    columns, features, label = benchmark["read_multiclass"](data_dir / "uci" / "splice.vw.gz")
    assert (len(label), label.max() + 1) == (3_190, 3)
    assert features.any(axis=0).all()  # every column kept says something
    assert benchmark["progressive_loss"](columns, features, label, seed=0) <= 1.25 * benchmark["VW_BEST"]["splice"]
