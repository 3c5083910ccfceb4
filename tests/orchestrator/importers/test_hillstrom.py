from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.errors import DataImportError
from orchestrator.importers.hillstrom import import_hillstrom
from policies.feedback import LoggedFeedback

HEADER = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"
ROWS = (
    "10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0",
    "6,3) $200 - $350,329.08,1,1,Rural,1,Web,No E-Mail,1,0,0",
    "1,1) $0 - $100,45.34,0,1,Urban,0,Multichannel,Mens E-Mail,1,1,49.99",
)


@pytest.fixture(autouse=True)
def _configs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEY_CONFIGS", str(Path(__file__).parents[3] / "configs"))


def written(folder: Path, *lines: str) -> Path:
    file = folder / "hillstrom.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def column(log: LoggedFeedback, name: str) -> np.ndarray:
    return log.features[:, log.columns.index(name)]


def test_a_file_of_the_original_shape_becomes_a_log(tmp_path: Path) -> None:
    log = import_hillstrom(written(tmp_path, HEADER, *ROWS))
    assert log.actions.ids == ("hold", "email.mens", "email.womens")
    assert log.action.tolist() == [2, 0, 1]
    assert log.propensity.tolist() == [1 / 3] * 3
    assert log.eligible.all()
    assert log.reward_name == "visit"
    assert log.reward.tolist() == [0, 1, 1]
    assert log.outcomes["spend"].tolist() == [0, 0, 49.99]
    assert log.customer.tolist() == ["hillstrom-0", "hillstrom-1", "hillstrom-2"]


def test_what_the_file_says_of_a_customer_shows_in_the_features(tmp_path: Path) -> None:
    log = import_hillstrom(written(tmp_path, HEADER, *ROWS))
    assert (column(log, "buy.mens") > 0).tolist() == [True, True, False]
    assert (column(log, "buy.womens") > 0).tolist() == [False, True, True]
    assert column(log, "recency.purchase").argsort().tolist() == [0, 1, 2]
    assert column(log, "tenure")[1] < min(column(log, "tenure")[[0, 2]])
    assert column(log, "zip_code=suburban").tolist() == [1, 0, 0]
    assert column(log, "bought_by=web").tolist() == [0, 1, 0]
    decayed = 0.5 ** (np.array([10, 6, 1]) * (365.25 / 12) / 730) * [142.44, 329.08, 45.34]
    np.testing.assert_allclose(column(log, "spend"), np.log1p(decayed) / 4, rtol=1e-5)


def test_the_arm_and_what_followed_are_not_in_the_features(tmp_path: Path) -> None:
    swapped = [row.replace("Womens E-Mail,0,0,0", "Mens E-Mail,1,1,99") for row in ROWS]
    before, after = (import_hillstrom(written(tmp_path, HEADER, *rows)) for rows in (ROWS, swapped))
    assert np.array_equal(before.features, after.features)


def test_customers_keep_their_number_where_the_file_has_it(tmp_path: Path) -> None:
    rows = [f"{7 * i},{row}" for i, row in enumerate(ROWS)]
    log = import_hillstrom(written(tmp_path, f"row,{HEADER}", *rows))
    assert log.customer.tolist() == ["hillstrom-0", "hillstrom-7", "hillstrom-14"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        ([HEADER], "has a header and no rows"),
        ([HEADER.replace("womens", "women"), ROWS[0]], "lacks the columns womens .*did you mean 'women'"),
        (["a,b", "1,2"], "lacks the columns recency, history, spend, mens"),
        ([HEADER, ROWS[0].replace("142.44", "")], "history must be a finite number.*line 2: nan"),
        ([HEADER, ROWS[0], ROWS[1].replace("329.08", "much")], "history must be .*line 3: much"),
        ([HEADER, ROWS[0].replace("142.44", "inf")], "history must be a finite number"),
        ([HEADER, ROWS[0].replace("Womens E-Mail", "Kids E-Mail")], "segment must be one of No E-Mail.*Kids E-Mail"),
        ([HEADER, ROWS[0].replace("Surburban", "")], "zip_code must be one of .*line 2: nan"),
        ([HEADER, ROWS[2].replace("E-Mail,1,", "E-Mail,2,")], "visit must be 0 or 1.*line 2: 2"),
        ([f"row,{HEADER}", f"1,{ROWS[0]}", f"1,{ROWS[1]}"], "row must be a number of its own.*line 3: 1"),
    ],
)
def test_a_bad_file_is_refused_with_the_column_line_and_value(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataImportError, match=rf"hillstrom\.csv: .*{message}"):
        import_hillstrom(written(tmp_path, *lines))


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataImportError, match="no such file"):
        import_hillstrom(tmp_path / "none.csv")
    whole = gzip.compress("\n".join([HEADER, *ROWS * 200]).encode())
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "junk": b"\x00\xff" * 50,
        "flipped": whole[:30] + whole[31:],
    }.items():
        file = tmp_path / f"{name}.csv.gz"
        file.write_bytes(content)
        with pytest.raises(DataImportError, match="damaged or not a CSV"):
            import_hillstrom(file)


@pytest.mark.data
def test_the_real_test_is_reproduced(data_dir: Path) -> None:
    file = data_dir / "hillstrom" / "hillstrom_dev.csv.gz"
    log = import_hillstrom(file)
    assert len(log) == 31_658
    visits = {name: log.reward[log.action == i].mean() for i, name in enumerate(log.actions.ids)}
    assert visits == pytest.approx({"hold": 0.10749, "email.mens": 0.18456, "email.womens": 0.15274}, abs=5e-6)
    table = pd.read_csv(file)
    assert log.customer.tolist() == [f"hillstrom-{row}" for row in table["row"]]
    womens_only = ((table["mens"] == 0) & (table["womens"] == 1)).to_numpy()
    assert np.array_equal((column(log, "buy.mens") == 0) & (column(log, "buy.womens") > 0), womens_only)
