"""The large products on a device of torch give what numpy gives; on a GPU too, where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import harness.estimators.statistics as statistics
from harness.estimators import Inputs, score, scores
from harness.estimators.algebra import eigh, gram

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ON_FEATURES = (
    "logme", "h_score", "h_score_regularised", "transrate", "gbc", "sfda", "ncti_feature_norm", "ncti_posterior",
    "ncti_class_norm", "lfc",
)  # fmt: skip


def data(examples: int = 300, width: int = 12, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = draw.permutation(np.arange(examples) % classes)
    return draw.normal(size=(examples, width)) + draw.normal(size=(classes, width))[labels], labels


@pytest.mark.parametrize("device", DEVICES)
def test_products_and_eigenvalues_are_numpys(device: str) -> None:
    rows, _ = data()
    product = gram(rows, device)
    np.testing.assert_allclose(product, rows.T @ rows, rtol=1e-12, atol=1e-10)
    assert product.dtype == np.float64
    values, axes = eigh(product, device)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(product), rtol=1e-10)
    np.testing.assert_allclose(axes @ np.diag(values) @ axes.T, product, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ON_FEATURES)
def test_scores_are_the_same_on_a_device(name: str, device: str) -> None:
    features, labels = data()
    there = score(name, features=features, labels=labels, device=device)
    assert there == pytest.approx(score(name, features=features, labels=labels), rel=1e-8)


@pytest.mark.parametrize("device", DEVICES)
def test_many_scores_share_what_was_worked_out_there(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = data()
    used: list[str | None] = []

    def counted(rows: np.ndarray, where: str | None) -> np.ndarray:
        used.append(where)
        return rows.T @ rows

    monkeypatch.setattr(statistics, "gram", counted)
    found = scores(ON_FEATURES, features=torch.tensor(features), labels=labels, device=device)
    assert used.count(device) == 1, "what is left after a projection is small, and stays in numpy"
    assert set(found) == set(ON_FEATURES)
    kept = Inputs(features=features, labels=labels, device=device).statistics
    assert kept.moved(kept.means + 1).device == device
