"""Scores of ensembles in a study: which networks they read, and that their values are the scores of their arrays."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators import Inputs, ensemble_score, score
from harness.estimators.ensemble_stages import TERMS
from harness.estimators.osborn import disagreement, source_terms
from harness.graph import Stage
from harness.methods.base import Trial
from harness.registry import ESTIMATORS
from harness.tasks.base import TaskSet
from tests.training.places import run_batch, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)
POOL = TaskSet(tuple(cloud(name) for name in "abcd"))
NAMES = ("ms_leep", "e_leep", "iou_eep", "soft_iou_eep")


def described(name: str, *members: str, **more: Any) -> Stage:
    of = more.pop("of", {})
    trial = Trial(**{
        "source": TaskSet(tuple(cloud(one) for one in members)), "target": cloud("x"), "backbone": NET, "seed": 2,
        "source_seed": 1, **of,
    })  # fmt: skip
    return ESTIMATORS.get(name)(trial, source_steps=4, **more)


def probabilities(stages: tuple[Stage, ...], results: dict[str, Any]) -> list[np.ndarray]:
    return [softmax(results[one.key].tensors["logits"].double().numpy(), axis=1) for one in stages]


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_the_score_of_the_members_predictions(name: str) -> None:
    stage = described(name, "a", "b", "c")
    results = run_stages([stage])
    members = stage.arguments["members"]
    wanted = ensemble_score(name, probabilities(members, results), cloud("x").split("train").labels)
    (row,) = results[stage.key].rows
    assert row.value == wanted and (row.metric, row.split, row.n_eval) == ("score", "train", 24)
    assert run_batch([stage], results) == [results[stage.key]]


def test_ms_leep_is_the_mean_of_the_single_leeps() -> None:
    whole = described("ms_leep", "a", "b")
    alone = [described("leep", "a", of={"source": cloud(one)}) for one in "ab"]
    results = run_stages([whole, *alone])
    assert [one.arguments["predictions"].key for one in alone] == [one.key for one in whole.arguments["members"]]
    assert results[whole.key].rows[0].value == pytest.approx(
        np.mean([results[one.key].rows[0].value for one in alone]), rel=1e-12
    )


def test_osborn_is_the_negated_sum_of_terms_standardised_over_the_pool() -> None:
    stage = described("osborn", "b", "d", pool=POOL)
    results = run_stages([stage])
    labels = cloud("x").split("train").labels
    own, classes = [], []
    for described_terms, predictions in zip(
        stage.arguments["terms"], stage.arguments["cohesion"].arguments["predictions"], strict=True
    ):
        target, source = (described_terms.arguments[name] for name in ("features", "source_features"))
        inputs = Inputs(
            features=results[target.key].tensors["features"], labels=labels,
            source_features=results[source.key].tensors["features"],
            source_labels=results[source.key].tensors["labels"],
        )  # fmt: skip
        own.append(source_terms(inputs, 1000, 2))
        classes.append(results[predictions.key].tensors["logits"].argmax(1).numpy())
    domain, task = (np.array(term) for term in zip(*own, strict=True))
    pairs = {(i, j): disagreement(classes[i], classes[j]) for i, j in itertools.combinations(range(4), 2)}
    every = np.array(list(pairs.values()))

    def standard(values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / values.std()

    wanted = {
        "domain_term": -standard(domain)[[1, 3]].sum(),
        "task_term": -standard(task)[[1, 3]].sum(),
        "cohesion_term": -standard(every)[list(pairs).index((1, 3))],
    }
    found = {row.metric: row.value for row in results[stage.key].rows}
    assert set(found) == set(TERMS)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert found["score"] == pytest.approx(sum(wanted.values()), rel=1e-9)


def test_all_ensembles_of_a_pool_share_its_terms() -> None:
    one, other = described("osborn", "a", "b", pool=POOL), described("osborn", "c", "d", pool=POOL)
    assert one.key != other.key
    assert [term.key for term in one.arguments["terms"]] == [term.key for term in other.arguments["terms"]]
    assert one.arguments["cohesion"].key == other.arguments["cohesion"].key


def test_a_network_of_the_targets_own_data_leaves_the_pool() -> None:
    def cut(name: str, of: str) -> Any:
        return replace(cloud(name), attributes={"of": of})

    pool = TaskSet((cut("a, less", "a"), cut("b, less", "b"), cut("c, less", "c")))
    stage = ESTIMATORS.get("osborn")(
        Trial(source=TaskSet(pool.tasks[1:]), target=cut("a, least", "a"), backbone=NET), source_steps=4, pool=pool
    )
    assert len(stage.arguments["terms"]) == 2 and stage.arguments["members"] == (0, 1)
    with pytest.raises(HarnessError, match="not in the pool"):
        described("osborn", "a", "e", pool=POOL)


def test_shots_choose_the_examples_and_only_then_the_seed_counts() -> None:
    assert described("e_leep", "a", "b").key == described("e_leep", "a", "b", of={"seed": 7}).key
    few = described("e_leep", "a", "b", shots=2)
    assert few.key != described("e_leep", "a", "b", shots=2, of={"seed": 7}).key
    assert run_stages([few])[few.key].rows[0].n_eval == 6
    with pytest.raises(HarnessError, match="set of tasks"):
        described("e_leep", "a", of={"source": None})


def test_a_single_network_is_scored_as_in_a_call() -> None:
    stage = described("e_leep", "a")
    results = run_stages([stage])
    (member,) = probabilities(stage.arguments["members"], results)
    labels = cloud("x").split("train").labels
    assert results[stage.key].rows[0].value == pytest.approx(score("leep", source_probabilities=member, labels=labels))
