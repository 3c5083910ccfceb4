"""Open Bandit Dataset (ZOZOTOWN, 2019): logs of a uniform and a Thompson policy, with their propensities.

DecisionSchema, as published: `<directory>/<random|bts>/<campaign>/<campaign>.csv[.gz]` beside an `item_context.csv`.
Source: Saito et al. 2021, "Open Bandit Dataset and Pipeline" (arXiv:2008.07146).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from policies.actions import ActionFeature, ActionSet
from policies.arrays import Float32Array, Float64Array, IntArray
from policies.errors import FeedbackError
from policies.feedback import LoggedFeedback

BEHAVIOURS = ("random", "bts")
POSITIONS = (1, 2, 3)
USER_FEATURES = tuple(f"user_feature_{i}" for i in range(4))
LOG_COLUMNS = ("timestamp", "item_id", "position", "click", "propensity_score", *USER_FEATURES)
ITEM_COLUMNS = ("item_id", "item_feature_0", "item_feature_1", "item_feature_2", "item_feature_3")


def import_obd(directory: Path, *, campaign: str = "all", behaviour: str = "random") -> LoggedFeedback:
    """Read one log, in the order of its time stamps.

    Every item is an action described by its item context. Feature columns are one-hot: `user_feature_0=<value>` and
    `position=1` to `position=3`. There are no customer ids in the data, so every impression is its own customer.
    The user-item affinity counts, nearly all zero, are left out.

    Args:
        directory: the folder that holds `random/` and `bts/`.
        campaign: "all", "men" or "women", as far as present.
        behaviour: "random" (uniform) or "bts" (Bernoulli Thompson sampling).

    Returns:
        Logged feedback with the reward `click`, 0 or 1.

    Raises:
        FeedbackError: a file is missing, damaged, empty or lacks a column, or holds a value that cannot be.
    """
    if behaviour not in BEHAVIOURS:
        raise FeedbackError(f"unknown behaviour {behaviour!r}; the data set has: {', '.join(BEHAVIOURS)}")
    folder = directory / behaviour / campaign
    if not folder.is_dir():
        present = sorted(path.name for path in (directory / behaviour).glob("*") if path.is_dir())
        raise FeedbackError(
            f"no campaign {campaign!r} at {folder}; found: {', '.join(present) or 'none'}. "
            f"Give the folder that holds {' and '.join(f'{b}/' for b in BEHAVIOURS)}"
        )
    log_path = folder / f"{campaign}.csv.gz"
    if not log_path.exists():
        log_path = folder / f"{campaign}.csv"
    rows = _read_csv(log_path, LOG_COLUMNS).sort_values("timestamp", kind="stable")
    items = _read_csv(folder / "item_context.csv", ITEM_COLUMNS).sort_values("item_id")
    _check_values(rows, items, log_path)
    columns, features = _one_hot(rows)
    n = len(rows)
    return LoggedFeedback(
        columns=columns,
        features=features,
        actions=_actions(items),
        eligible=np.ones((n, len(items)), dtype=bool),
        action=rows["item_id"].to_numpy(np.int64),
        propensity=rows["propensity_score"].to_numpy(np.float64),
        reward=rows["click"].to_numpy(np.float64),
        customer=np.array([f"{behaviour}-{campaign}-{i}" for i in range(n)], dtype=object),
        reward_name="click",
        source=f"Open Bandit Dataset, campaign {campaign}, {behaviour} policy, {n:,} impressions",
    )


def thompson_prior_distribution(
    prior_yaml: Path, campaign: str, *, n_samples: int = 100_000, seed: int
) -> Float64Array:
    """Action distribution of the production Thompson policy at its prior, by position, by simulation.

    Each sample draws every item's click rate from its Beta prior and shows the three best, best first.

    Args:
        prior_yaml: file with `alpha` and `beta` lists, length A, per campaign.
        campaign: which of them.
        n_samples: simulated lists; the error of a probability p is sqrt(p (1 - p) / n_samples).
        seed: the same seed gives the same distribution.

    Returns:
        float64 (A, 3): probability of item a in position 1, 2, 3; each column sums to 1.

    Raises:
        FeedbackError: the file is missing or not as described.

    Source: Saito et al. 2021 (arXiv:2008.07146), app. C.
    """
    alpha, beta = _read_prior(prior_yaml, campaign)
    generator = np.random.default_rng(seed)
    counts = np.zeros((len(alpha), len(POSITIONS)), dtype=np.int64)
    chunk = 10_000
    for start in range(0, n_samples, chunk):
        rates = generator.beta(alpha, beta, size=(min(chunk, n_samples - start), len(alpha)))
        shown = np.argsort(-rates, axis=1)[:, : len(POSITIONS)]
        for slot in range(len(POSITIONS)):
            counts[:, slot] += np.bincount(shown[:, slot], minlength=len(alpha))
    return counts / n_samples


def by_position(log: LoggedFeedback, distribution: Float64Array) -> Float64Array:
    """Spread a distribution by position, (A, 3), over a log's rows: float64 (n, A).

    Raises:
        FeedbackError: the log has no position columns.
    """
    missing = [f"position={p}" for p in POSITIONS if f"position={p}" not in log.columns]
    if missing:
        raise FeedbackError(f"the log lacks the columns {', '.join(missing)}; make it with `import_obd`")
    slots = [log.columns.index(f"position={p}") for p in POSITIONS]
    return log.features[:, slots].astype(np.float64) @ distribution.T


def _read_csv(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, usecols=lambda name: name in needed)
    except FileNotFoundError:
        raise FeedbackError(f"{path} is missing; the Open Bandit Dataset has it, copy it there") from None
    except pd.errors.EmptyDataError:
        raise FeedbackError(f"{path} is empty; copy it again") from None
    except (EOFError, gzip.BadGzipFile, OSError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise FeedbackError(f"{path} is damaged ({str(error).strip()}); copy it again") from error
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise FeedbackError(f"{path} lacks the columns {', '.join(missing)}; is it the Open Bandit Dataset?")
    if frame.empty:
        raise FeedbackError(f"{path} has a header but no rows; copy it again")
    return frame


def _check_values(rows: pd.DataFrame, items: pd.DataFrame, path: Path) -> None:
    A = len(items)
    if items["item_id"].tolist() != list(range(A)):
        raise FeedbackError(
            f"{path.parent / 'item_context.csv'}: item_id must number the items 0 to {A - 1}, each once"
        )
    for name in LOG_COLUMNS:
        if rows[name].isna().any():
            raise FeedbackError(f"{path}: {name} is missing in {int(rows[name].isna().sum())} rows; copy it again")
    for frame, name in ((rows, "propensity_score"), (items, "item_feature_0")):
        not_numbers = pd.to_numeric(frame[name], errors="coerce").isna()
        if not_numbers.any():
            found = frame[name][not_numbers].iloc[0]
            raise FeedbackError(f"{path.parent}: {name} must be a number, found {found!r}; copy the data again")
    allowed = {
        "item_id": (rows["item_id"].isin(items["item_id"]), f"one of the {A} items of item_context.csv"),
        "position": (rows["position"].isin(POSITIONS), "1, 2 or 3"),
        "click": (rows["click"].isin((0, 1)), "0 or 1"),
    }
    for name, (good, rule) in allowed.items():
        if not good.all():
            raise FeedbackError(f"{path}: {name} must be {rule}, found {rows[name][~good].iloc[0]!r}")


def _one_hot(rows: pd.DataFrame) -> tuple[tuple[str, ...], Float32Array]:
    names: list[str] = []
    blocks: list[Float32Array] = []
    for column in USER_FEATURES:
        values, codes = np.unique(rows[column].to_numpy(dtype=str), return_inverse=True)
        names += [f"{column}={value}" for value in values]
        blocks.append(_indicators(codes, len(values)))
    names += [f"position={p}" for p in POSITIONS]
    blocks.append(_indicators(rows["position"].to_numpy(np.int64) - 1, len(POSITIONS)))
    return tuple(names), np.hstack(blocks)


def _indicators(codes: IntArray, count: int) -> Float32Array:
    return np.eye(count, dtype=np.float32)[codes]


def _actions(items: pd.DataFrame) -> ActionSet:
    number = items["item_feature_0"].to_numpy(np.float64)
    categories = items[list(ITEM_COLUMNS[2:])].astype(str).to_dict("records")
    features = tuple(
        (
            ActionFeature("A", f"item={a}", 1.0),
            ActionFeature("A", "item_feature_0", float(number[a])),
            *(ActionFeature("A", f"{name}={value}", 1.0) for name, value in categories[a].items()),
        )
        for a in range(len(items))
    )
    ids = tuple(f"item.{item_id}" for item_id in items["item_id"])
    return ActionSet(ids=ids, features=features, pairs=tuple(() for _ in ids))


def _read_prior(path: Path, campaign: str) -> tuple[Float64Array, Float64Array]:
    try:
        priors = yaml.safe_load(path.read_text())
        prior = priors[campaign]
        alpha, beta = np.asarray(prior["alpha"], np.float64), np.asarray(prior["beta"], np.float64)
    except FileNotFoundError:
        raise FeedbackError(f"{path} is missing; the Open Bandit Dataset's package has it as prior_bts.yaml") from None
    except KeyError as error:
        raise FeedbackError(f"{path} has no {error}; it needs alpha and beta lists for campaign {campaign!r}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise FeedbackError(f"{path} is not a list of priors per campaign ({error}); copy it again") from error
    if alpha.ndim != 1 or alpha.shape != beta.shape or not (alpha > 0).all() or not (beta > 0).all():
        raise FeedbackError(f"{path}: alpha and beta of {campaign!r} must be lists of one length, all > 0")
    if len(alpha) < len(POSITIONS):
        raise FeedbackError(f"{path}: {campaign!r} has {len(alpha)} items, at least {len(POSITIONS)} are shown at once")
    return alpha, beta
