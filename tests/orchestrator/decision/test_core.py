"""The decision core: the same answer alone, in a batch, and again from the log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.config import OUTCOMES, Retailer
from orchestrator.config.catalogue import Action
from orchestrator.decision.core import BLOCK, DRAW_STREAM, DecisionCore, Decisions, id_words
from orchestrator.eligibility import (
    ContactCheck,
    ContactHistory,
    ContactRules,
    CustomerZones,
    EligibilityContext,
    OutcomeHistory,
    Targeting,
)
from orchestrator.eligibility.eligible_actions import Reason
from orchestrator.errors import ContextError
from orchestrator.load import load_retailer
from orchestrator.profiles import EVENT_TYPES, Events, Profiles, ProfileSchema
from policies.actions import ActionSet
from policies.errors import FeatureError
from policies.exploration.draws import draw, uniforms
from policies.exploration.explorers import Explorer
from policies.feedback import MONEY
from policies.learning.baselines import FixedPolicy, RandomPolicy
from policies.policy import priced
from policies.vw.feature_space import FeatureSpace
from policies.vw.files import load_policy, save_policy
from policies.vw.policy import VWPolicy, VWSettings

NOW = 1.78e9
N = 300  # more than two of the blocks scores are computed in
RETAIL = load_retailer(Path(__file__).parents[3] / "configs" / "retail", environment={})
CORE = DecisionCore(RETAIL, ProfileSchema.from_retailer(RETAIL))


def states(n: int = N) -> np.ndarray:
    """Customers with various histories; some subscribed to e-mail, some not."""
    random, profiles = np.random.default_rng(0), Profiles(CORE.schema)
    names = np.array([f"c{i}" for i in range(n)], dtype=object)
    for turn, kind in enumerate(("subscribe", "purchase", "view", "sent", "click", "unsubscribe")):
        some = np.flatnonzero(random.random(n) < 0.6 - 0.1 * (kind == "unsubscribe"))
        profiles.apply(
            Events.from_columns(
                customer_id=names[some],
                event_id=np.array([f"{kind}-{i}" for i in some], dtype=object),
                timestamp=NOW - 86400.0 * random.uniform(1, 60, len(some)),
                type=np.full(len(some), EVENT_TYPES.index(kind)),
                channel=np.full(len(some), turn % len(CORE.schema.channels) if kind == "sent" else 0),
                category=random.integers(0, len(CORE.schema.categories), len(some)),
                value=random.uniform(5, 90, len(some)),
            )
        )
    return profiles.states(names)


STATES = states()


def requests(n: int = N) -> dict[str, Any]:
    random = np.random.default_rng(1)
    contexts = [{}, {"device": "mobile"}, {"hour": 18}, {"device": "desktop", "hour": 3}]
    channels = [(), (), ("email",), ("site", "store")]
    return {
        "states": STATES[:n],
        "contexts": CORE.context.encode([contexts[i % 4] for i in range(n)]),
        "channels": CORE.asked([channels[i % 3] for i in range(n)]),
        "ids": random.integers(2**64, size=(n, 2), dtype=np.uint64),
    }


def anything(core: DecisionCore, n: int) -> dict[str, Any]:
    """Requests that say nothing and allow every channel."""
    return {"contexts": core.context.encode([{}] * n), "channels": core.asked([()] * n)}


def learned(
    core: DecisionCore = CORE, *, columns: tuple[str, ...] | None = None, reward: str = MONEY, **settings: Any
) -> VWPolicy:
    """A policy that learned something from made-up feedback over some of the core's columns."""
    explorer = settings.pop("explorer", Explorer(epsilon=0.05))
    space = FeatureSpace.of_customer(columns or core.columns)
    policy = VWPolicy(VWSettings(space=space, explorer=explorer, reward_name=reward, **settings), core.actions)
    random, n = np.random.default_rng(2), 400
    policy.learn_rows(
        random.random((n, len(policy.columns))).astype(np.float32),
        eligible=np.full(n, len(core.actions)),
        action=random.integers(0, len(core.actions), n),
        propensity=np.full(n, 1 / len(core.actions)),
        reward=random.normal(0.3, 1.0, n),
    )
    return policy


def decide(policy: Any, core: DecisionCore = CORE, **changes: Any) -> Decisions:
    return core.decide(policy, **{**requests(), "now": NOW, **changes})


def row(asked: dict[str, Any], i: int) -> dict[str, Any]:
    return {name: values[i : i + 1] for name, values in asked.items()}


ARRAYS = ("action", "propensity", "eligible", "reasons", "scores", "distribution", "features")


@pytest.mark.parametrize("kind", ["squarecb", "softmax", "epsilon_greedy", "greedy"])
def test_a_decision_does_not_depend_on_its_batch_bit_for_bit(kind: Any) -> None:
    policy, asked = learned(explorer=Explorer(kind=kind, epsilon=0.1)), requests()
    together = CORE.decide(policy, **asked, now=NOW)
    for i in (0, 1, 127, 128, 129, 255, 256, N - 1):
        alone = CORE.decide(policy, **row(asked, i), now=NOW)
        for name in ARRAYS:
            assert getattr(alone, name)[0].tobytes() == getattr(together, name)[i].tobytes(), (name, i)
    backwards = CORE.decide(policy, **{name: values[::-1] for name, values in asked.items()}, now=NOW)
    for name in ARRAYS:
        assert getattr(backwards, name)[::-1].tobytes() == getattr(together, name).tobytes(), name


def contact_check(n: int, *, core_of: Retailer) -> ContactCheck:
    """n customers with random contacts and outcomes in random zones."""
    random, m = np.random.default_rng(5), 3 * n
    rules, ago = ContactRules(core_of), random.uniform(0, 10 * 86400, 2 * m)
    history = ContactHistory.of(
        row=random.integers(0, n, m), action=random.integers(1, len(core_of.catalogue), m), decided=NOW - ago[:m]
    )
    outcomes = OutcomeHistory(random.integers(0, n, n), random.integers(0, len(OUTCOMES), n), NOW - ago[m : m + n])
    zones = CustomerZones.of(random.choice(["Europe/Berlin", "Asia/Tokyo", ""], n).tolist())
    return ContactCheck(rules, EligibilityContext(NOW, zones, history, outcomes))


def test_contact_rules_and_targeting_count_alike_alone_in_a_batch_and_across_blocks() -> None:
    def aimed(action: Action) -> Action:
        return replace(action, targeting="days_since.purchase < 30") if action.id == "store.service" else action

    actions = tuple(aimed(action) for action in RETAIL.catalogue.actions)
    retailer = replace(RETAIL, catalogue=replace(RETAIL.catalogue, actions=actions))
    core, policy, n = DecisionCore(retailer, CORE.schema), RandomPolicy(CORE.actions, CORE.columns), BLOCK + 70
    random = np.random.default_rng(6)
    asked = {
        "states": STATES[random.integers(0, N, n)],
        **anything(core, n),
        "ids": random.integers(2**64, size=(n, 2), dtype=np.uint64),
    }
    check = contact_check(n, core_of=retailer)
    made = core.decide(policy, **asked, now=NOW, contacts=check)
    assert {Reason.NOT_TARGETED, Reason.SUPPRESSED, Reason.CAP_REACHED} <= set(np.unique(made.reasons).tolist())
    assert made.eligible[:, 0].all()
    # What dates, channels and consent forbid is said first, and all the rest by contact rules alone.
    without = core.decide(policy, **asked, now=NOW)
    targeting = Targeting(retailer, core.schema)
    held = targeting.holds(features=made.features, states=asked["states"], now=NOW)
    rules = check.rules.reasons(replace(check.moment, targeted=held))
    np.testing.assert_array_equal(made.reasons, np.where(without.reasons > 0, without.reasons, rules))
    # Others may stand between the rows of the states.
    indirect = {**asked, "states": asked["states"][::-1], "rows": np.arange(n)[::-1]}
    np.testing.assert_array_equal(core.decide(policy, **indirect, now=NOW, contacts=check).reasons, made.reasons)
    for i in (0, 1, BLOCK - 1, BLOCK, n - 1):
        alone = ContactCheck(check.rules, check.moment.of_rows(i, i + 1))
        once = core.decide(policy, **row(asked, i), now=NOW, contacts=alone)
        for name in ARRAYS:
            assert getattr(once, name)[0].tobytes() == getattr(made, name)[i].tobytes(), (name, i)
    with pytest.raises(ContextError, match=f"contacts is about {n} customers, ids has 1; give one row each"):
        core.decide(policy, **row(asked, 0), now=NOW, contacts=check)


def test_a_decision_can_be_made_again_from_the_log_and_the_stored_policy(tmp_path: Path) -> None:
    policy, asked = learned(), requests()
    made = CORE.decide(policy, **asked, now=NOW)
    save_policy(policy, tmp_path / "policy")
    stored = load_policy(tmp_path / "policy")
    for i in range(0, N, 7):  # as an audit does: one row of the log at a time
        features, eligible = made.features[i : i + 1], made.eligible[i : i + 1]
        scores = priced(stored, stored.scores(features))
        distribution = stored.distribution(scores, eligible)
        action = draw(distribution, uniforms(asked["ids"][i : i + 1], stream=DRAW_STREAM))
        assert scores[0].tobytes() == made.scores[i].tobytes()
        assert distribution[0].tobytes() == made.distribution[i].tobytes()
        assert action[0] == made.action[i]
        assert distribution[0, action[0]] == made.propensity[i]


def test_the_served_log_is_enough_to_repeat_every_decision(ask: Any, champion: Any, tmp_path: Path) -> None:
    """Through HTTP, storage and back: only what is in the database, and the policy."""
    save_policy(learned(explorer=Explorer(epsilon=0.2)), tmp_path / "policy")
    champion.load, champion.current = load_policy, ("journey-policy/1", tmp_path / "policy")

    async def serve(served: Any) -> list[dict[str, Any]]:
        customers = [f"c{i}" for i in range(20)]
        await served.know(*customers)
        random = np.random.default_rng(0)
        await served.client.post(
            "/v1/events",
            json=[
                {
                    "event_id": f"{kind}-{c}-{turn}",
                    "customer_id": c,
                    "type": kind,
                    "category": str(random.choice(RETAIL.catalogue.categories)),
                    "value": float(random.uniform(1, 90)),
                }
                for c in customers
                for turn, kind in enumerate(("view", "view", "purchase"))
            ],
        )
        # At the same moment, so that some are scored in one batch.
        await asyncio.gather(*(served.decide(c, context={"hour": i}) for i, c in enumerate(customers)))
        return served.rows("decisions")

    core, policy = CORE, load_policy(tmp_path / "policy")
    rows = ask(serve)
    assert len(rows) == 20
    for logged in rows:
        features = np.frombuffer(logged["features"], dtype="<f4")[None]
        packed = np.frombuffer(logged["eligible"], dtype=np.uint8)
        eligible = np.unpackbits(packed, count=len(core.actions)).astype(bool)[None]
        scores = priced(policy, policy.scores(features))
        distribution = policy.distribution(scores, eligible)
        action = draw(distribution, uniforms(id_words([logged["decision_id"]]), stream=DRAW_STREAM))
        assert scores[0].tobytes() == logged["scores"]
        assert distribution[0].tobytes() == logged["distribution"]
        assert (action[0], distribution[0, action[0]]) == (logged["action"], logged["propensity"])
    # The test tests something: customers differ, and so does what is best for them.
    assert len({logged["features"] for logged in rows}) == 20
    assert len({logged["scores"] for logged in rows}) == 20
    assert len({logged["action"] for logged in rows}) > 1


def test_a_policy_of_few_columns_and_actions_scores_alone_as_in_a_batch() -> None:
    """A small product takes another path through the matrix library, and a selection of columns another layout."""
    retailer = load_retailer(Path(__file__).parents[3] / "configs" / "hillstrom", environment={})
    core = DecisionCore(retailer, ProfileSchema.from_retailer(retailer))
    assert len(core.actions) == 3
    random, n = np.random.default_rng(4), 300
    profiles, names = Profiles(core.schema), np.array([f"c{i}" for i in range(n)], dtype=object)
    for kind in ("subscribe", "purchase", "view"):
        profiles.apply(
            Events.from_columns(
                customer_id=names,
                event_id=np.array([f"{kind}-{i}" for i in range(n)], dtype=object),
                timestamp=NOW - 86400.0 * random.uniform(1, 60, n),
                type=kind,
                channel=0 if kind == "subscribe" else -1,
                category=random.integers(0, len(core.schema.categories), n),
                value=random.uniform(5, 90, n),
            )
        )
    asked = {
        "states": profiles.states(names),
        **anything(core, n),
        "ids": random.integers(2**64, size=(n, 2), dtype=np.uint64),
    }
    needed = {pair.column for pairs in core.actions.pairs for pair in pairs}
    few = tuple(c for i, c in enumerate(core.columns) if c in needed or i % 2)
    for columns in (few, few[::-1], core.columns, core.columns[::-1]):
        policy = core.bind(learned(core, columns=columns))
        assert policy.compiled
        together = core.decide(policy, **asked, now=NOW)
        assert len(np.unique(together.scores, axis=0)) > n // 2
        for i in range(n):
            alone = core.decide(policy, **row(asked, i), now=NOW)
            for name in ARRAYS:
                assert getattr(alone, name)[0].tobytes() == getattr(together, name)[i].tobytes(), (name, i)


def test_the_logged_probability_is_that_of_the_final_decision() -> None:
    made = decide(learned())
    rows = np.arange(N)
    np.testing.assert_array_equal(made.propensity, made.distribution[rows, made.action])
    np.testing.assert_allclose(made.distribution.sum(axis=1), 1.0)
    assert (made.distribution[~made.eligible] == 0).all()
    assert made.eligible[rows, made.action].all()
    assert made.eligible[:, 0].all()
    np.testing.assert_array_equal(made.eligible, made.reasons == Reason.ELIGIBLE)
    assert 0 < (~made.eligible).mean() < 1  # the test tests something


def test_actions_are_drawn_as_often_as_their_probability_says() -> None:
    policy, n = learned(), 20_000
    ids = np.random.default_rng(3).integers(2**64, size=(n, 2), dtype=np.uint64)
    made = CORE.decide(policy, states=np.repeat(STATES[:1], n, axis=0), **anything(CORE, n), ids=ids, now=NOW)
    p, counts = made.distribution[0], np.bincount(made.action, minlength=len(CORE.actions))
    assert counts[p == 0].sum() == 0
    z = (counts - n * p)[p > 0] / np.sqrt(n * p * (1 - p))[p > 0]
    assert np.abs(z).max() < 4.5


def test_the_draw_is_keyed_by_the_decision_id_alone_hyphens_or_not() -> None:
    policy = RandomPolicy(CORE.actions, CORE.columns)
    ids = requests()["ids"]
    plain = [f"{high:016x}{low:016x}" for high, low in ids.tolist()]
    hyphened = [f"{i[:8]}-{i[8:12]}-{i[12:16]}-{i[16:20]}-{i[20:]}" for i in plain]
    for names in (plain, hyphened):
        np.testing.assert_array_equal(decide(policy).action, decide(policy, ids=id_words(names)).action)
    assert (decide(policy).action != decide(policy, ids=ids[::-1]).action).any()
    assert id_words(["00000000000000010000000000000002"]).tolist() == [[1, 2]]


def test_money_pays_its_costs_and_other_rewards_do_not() -> None:
    assert CORE.actions.cost.max() > 1
    money, clicks = learned(reward=MONEY), learned(reward="click")
    for policy, cost in ((money, CORE.actions.cost), (clicks, np.zeros(len(CORE.actions), dtype=np.float32))):
        made = decide(policy)
        np.testing.assert_array_equal(made.scores, policy.scores(made.features) - cost)
    np.testing.assert_array_equal(money.scores(decide(money).features), clicks.scores(decide(clicks).features))


def test_a_policy_may_know_fewer_columns_in_its_own_order() -> None:
    # Without attributes and context; the traces its actions look up must be there.
    columns = tuple(c for c in reversed(CORE.columns) if "=" not in c)
    assert len(columns) < len(CORE.columns)
    policy = learned(columns=columns)
    made = decide(policy)
    assert made.features.shape == (N, len(CORE.columns))  # the log keeps every column
    position = [CORE.columns.index(c) for c in columns]
    np.testing.assert_array_equal(made.scores, priced(policy, policy.scores(made.features[:, position])))


def test_a_policy_with_columns_unknown_here_is_refused() -> None:
    stranger = RandomPolicy(CORE.actions, (*CORE.columns, "shoe_size", "iq"))
    with pytest.raises(FeatureError, match=r"'random' expects 2 columns .* \(shoe_size, iq\)"):
        CORE.check(stranger)
    foreign = VWPolicy(VWSettings(space=FeatureSpace.of_customer(("shoe_size",))), ActionSet.of("hold"))
    with pytest.raises(FeatureError, match="shoe_size"):
        CORE.bind(foreign)


def core_without(*gone: str) -> DecisionCore:
    """The core of the retailer before it had some actions."""
    actions = tuple(a for a in RETAIL.catalogue.actions if a.id not in gone)
    return DecisionCore(replace(RETAIL, catalogue=replace(RETAIL.catalogue, actions=actions)), CORE.schema)


def test_a_policy_serves_a_catalogue_that_grew_and_scores_the_old_actions_as_before() -> None:
    core = core_without("email.winter.home", "store.service")
    policy = learned(core)
    bound = CORE.bind(policy)
    assert bound.actions == CORE.actions
    assert CORE.bind(bound) is bound
    features = decide(bound).features
    old = [CORE.actions.index(a) for a in core.actions.ids]
    np.testing.assert_allclose(bound.scores(features)[:, old], policy.scores(features), atol=1e-5)
    # What was never tried borrows from its relatives instead of scoring zero.
    service = CORE.actions.index("store.service")
    assert np.abs(bound.scores(features)[:, service]).min() > 0


def test_a_fixed_policy_holds_where_its_action_may_not_be_taken() -> None:
    mail = FixedPolicy(CORE.actions, CORE.columns, "email.thank")
    made = decide(mail, channels=CORE.asked([()] * N))
    allowed = made.eligible[:, CORE.actions.index("email.thank")]
    assert 0 < allowed.sum() < N
    assert {CORE.actions.ids[a] for a in made.action[~allowed]} == {"hold"}
    assert {CORE.actions.ids[a] for a in made.action[allowed]} == {"email.thank"}
    assert (made.propensity == 1).all()


def test_an_unknown_channel_or_context_decides_nothing() -> None:
    with pytest.raises(ContextError, match="request 0: channel = 'post'"):
        CORE.asked([("post",)] * N)
    with pytest.raises(ContextError, match="did you mean 'device'"):
        CORE.context.encode([{"devise": "mobile"}] * N)


def test_deciding_for_some_rows_of_a_table_is_deciding_for_a_copy_of_them() -> None:
    policy = RandomPolicy(CORE.actions, CORE.columns)
    rows = np.random.default_rng(3).permutation(N)[:260]  # in any order
    asked = {name: values[:260] for name, values in requests().items()}
    of_table = CORE.decide(policy, **{**asked, "states": STATES}, rows=rows, now=NOW)
    of_copy = CORE.decide(policy, **{**asked, "states": STATES[rows]}, now=NOW)
    for name, values in vars(of_copy).items():
        np.testing.assert_array_equal(getattr(of_table, name), values)


def test_no_requests_are_no_decisions() -> None:
    made = CORE.decide(learned(), **requests(0), now=NOW)
    assert made.action.shape == made.propensity.shape == (0,)
    assert made.scores.shape == (0, len(CORE.actions))


def test_reasons_are_named_in_the_order_of_their_codes() -> None:
    assert CORE.reasons[Reason.ELIGIBLE] == ""
    assert [CORE.reasons[code] for code in Reason if code] == [code.name.lower() for code in Reason if code]


def test_the_database_keeps_the_order_of_columns(ask: Any) -> None:
    """A log read years later must know what each number was."""

    async def serve(served: Any) -> Any:
        await served.know("c")
        decision = await served.decide("c", context={"hour": 7})
        return decision, served.rows("decision_schemas")[0]["body"], served.rows("decisions")[0]

    _, body, logged = ask(serve)
    layout = json.loads(body)
    assert tuple(layout["columns"]) == CORE.columns
    assert tuple(a["id"] for a in layout["actions"]) == CORE.actions.ids
    assert len(np.frombuffer(logged["features"], "<f4")) == len(layout["columns"])
