"""Nearest others against sorting all distances, with ties, copies and points far from zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.estimators import nearest
from harness.estimators.nearest import nearest_others


def by_sorting(features: torch.Tensor, k: int) -> list[list[int]]:
    found = []
    for row in range(len(features)):
        squares = [float((features[row] - other).square().sum()) for other in features]
        others = [place for place in range(len(features)) if place != row]
        found.append(sorted(others, key=lambda place: squares[place])[:k])
    return found


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 60),
    width=st.integers(1, 5),
    kind=st.sampled_from(["plain", "grid", "copies", "far"]),
)
def test_it_is_what_sorting_gives(seed: int, n: int, width: int, kind: str) -> None:
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(n, width, generator=draw, dtype=torch.float64)
    if kind == "grid":
        features = torch.randint(0, 3, (n, width), generator=draw).double()
    if kind == "copies":
        features[n // 2 :] = features[: n - n // 2].clone()
    if kind == "far":
        features = 1e7 + 1e-3 * features
    k = 1 + seed % (n - 1)
    assert nearest_others(features, k).tolist() == by_sorting(features, k)


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_pieces_have_no_seams(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = nearest_others(features, 5)
    monkeypatch.setattr(nearest, "PIECE", piece)
    assert nearest_others(features, 5).equal(whole)


def test_rows_that_the_bound_cannot_tell_are_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty copies of one point: more equally near others than there are candidates."""
    again = []
    slow = nearest._by_differences
    monkeypatch.setattr(nearest, "_by_differences", lambda *given: again.append(given[1]) or slow(*given))
    features = torch.cat([torch.zeros(40, 3), torch.ones(10, 3)]).double()
    found = nearest_others(features, 2)
    assert found[:3].tolist() == [[1, 2], [0, 2], [0, 1]] and found[45].tolist() == [40, 41]
    assert again == list(range(40))
    again.clear()
    nearest_others(torch.randn(300, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64), 5)
    assert again == []
