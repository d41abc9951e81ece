"""How alike tasks are: closed forms, what identical and unlike tasks give, and what a study crosses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.backbones.base import Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators.task_similarity import (
    alignment,
    label_text,
    name_similarity,
    picture_similarity,
    visual_alignment,
    visual_mean,
)
from harness.graph import Features
from harness.methods.base import Trial
from harness.tasks.base import TaskSet
from tests.training.places import Place
from tests.training.prompt_toys import squares, tiny

RNG = np.random.default_rng(0)
A, B = (RNG.normal(size=(n, 6)) + shift for n, shift in ((30, 0.0), (20, 1.0)))


def features(array: np.ndarray, *flags: str) -> Features:
    return Features({"features": torch.tensor(array)}, {"flags": list(flags)})


def of_pictures(source: np.ndarray, target: np.ndarray, measure: str) -> float:
    (row,) = picture_similarity(
        task=squares("x"), source=(features(source),), target=features(target), measure=measure, ctx=Place()
    ).rows
    return float(row.value)


def test_means_by_hand() -> None:
    a, b = A.mean(0), B.mean(0)
    assert of_pictures(A, B, "cosine") == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert of_pictures(A, B, "distance") == pytest.approx(-np.linalg.norm(a - b))
    assert of_pictures(A, A, "distance") == 0.0


@pytest.mark.parametrize("centred", [False, True])
def test_alignment_by_the_kernels_of_all_pairs(centred: bool) -> None:
    """|X_s X_t'|^2 / (|X_s X_s'| |X_t X_t'|), from the Gram matrices themselves."""
    a, b = (x - x.mean(0) if centred else x for x in (A, B))
    wanted = np.linalg.norm(a @ b.T) ** 2 / (np.linalg.norm(a @ a.T) * np.linalg.norm(b @ b.T))
    found = of_pictures(A, B, "centred_alignment" if centred else "alignment")
    assert found == pytest.approx(wanted) and 0 < found < 1


def test_alignment_is_one_for_the_same_directions_and_none_for_others() -> None:
    first, other = np.diag([3.0, 2.0, 0.0, 0.0]), np.diag([0.0, 0.0, 1.0, 5.0])
    assert float(alignment(torch.tensor(first), torch.tensor(7 * first))) == pytest.approx(1.0)
    assert float(alignment(torch.tensor(first), torch.tensor(other))) == 0.0
    assert float(alignment(torch.zeros(3, 4), torch.tensor(first).float())) == 0.0


def test_alignment_does_not_depend_on_rotation_or_order() -> None:
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    plain = of_pictures(A, B, "centred_alignment")
    assert of_pictures(A[::-1] @ turn, B @ turn, "centred_alignment") == pytest.approx(plain)


def of_names(source: np.ndarray, target: np.ndarray, match: str) -> float:
    (row,) = name_similarity(
        task=squares("x"), source=(features(source),), target=features(target), match=match, ctx=Place()
    ).rows
    return float(row.value)


def test_names_by_hand() -> None:
    source, target = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (A[:4], B[:3]))
    assert of_names(source, target, "nearest") == pytest.approx((target @ source.T).max(1).mean())
    s, t = source.mean(0), target.mean(0)
    assert of_names(source, target, "mean") == pytest.approx(s @ t / np.linalg.norm(s) / np.linalg.norm(t))
    assert of_names(np.vstack([source, target]), target, "nearest") == pytest.approx(1.0), "each name is there"


def test_several_source_tasks_count_together_and_flags_are_kept() -> None:
    (row,) = picture_similarity(
        task=squares("x"),
        source=(features(A[:10], "resized"), features(A[10:])),
        target=features(B, "grey"),
        ctx=Place(),
    ).rows
    assert row.value == pytest.approx(of_pictures(A, B, "cosine"))
    assert row.flags == ("resized", "grey") and (row.metric, row.split, row.task, row.n_eval) == (
        "score",
        "train",
        "x",
        20,
    )


def test_stages_are_those_of_prompt_methods_and_neither_seed_nor_method_is_read() -> None:
    trial = Trial(squares("a"), squares("b"), tiny(), seed=1)
    for recipe in (visual_mean, visual_alignment, label_text):
        assert recipe(trial).key == recipe(Trial(squares("a"), squares("b"), tiny(), seed=2, source_seed=5)).key
        assert recipe.reads == ("source", "target", "backbone")
        assert recipe(Trial(squares("b"), squares("a"), tiny())).key != recipe(trial).key
    kinds = {stage.kind.name for stage in visual_mean(trial).inputs}
    assert kinds == {"picture_features"} and {s.kind.name for s in label_text(trial).inputs} == {"class_features"}


def test_a_set_of_tasks_is_a_source() -> None:
    both = Trial(TaskSet((squares("a"), squares("c"))), squares("b"), tiny())
    assert len(visual_mean(both).inputs) == 3 and len(label_text(both).inputs) == 3


@pytest.mark.parametrize(("source", "name"), [(None, "none"), (Untrained(), "untrained")])
def test_what_has_no_examples_is_refused(source, name: str) -> None:
    with pytest.raises(HarnessError, match=f"visual_alignment compares tasks .* not {name}"):
        visual_alignment(Trial(source, squares("b"), tiny()))


def test_other_models_are_refused() -> None:
    with pytest.raises(HarnessError, match="text tower"):
        label_text(Trial(squares("a"), squares("b"), Mlp()))
