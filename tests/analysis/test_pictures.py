"""Dendrograms, scatters and graphs: what they show is right, and nothing runs off the sheet."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist

from analysis import correlate, heatmap, transfer_matrix
from analysis.clustering import cluster, item_distances
from analysis.figures import style
from analysis.heatmaps import clustered, draw
from analysis.scatters import draw_scatter, scatter
from analysis.transfer_graphs import draw_graph, strongest_transfers, transfer_graph
from harness.errors import HarnessError


@pytest.fixture
def matrix(grid_frame):
    return transfer_matrix(grid_frame(tasks="abcdefgh", methods=("probe",)), relative_to="own")


def inside(figure):
    """Every text of a drawn figure lies on the sheet."""
    figure.canvas.draw()
    texts = [t for axes in figure.axes for t in [*axes.texts, axes.title, axes.xaxis.label]]
    for text in [*texts, *figure.texts]:
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 > -2 and box.y0 > -2, text.get_text()
            assert box.x1 < figure.bbox.width + 2 and box.y1 < figure.bbox.height + 2, text.get_text()
    return True


def test_distances_use_what_both_rows_have():
    full = np.random.default_rng(0).normal(size=(5, 4))
    assert np.allclose(item_distances(full)[np.triu_indices(5, 1)], pdist(full) / np.sqrt(4))
    gaps = full.copy()
    gaps[0, :2] = np.nan
    assert item_distances(gaps)[0, 1] == pytest.approx(np.sqrt(np.mean((full[0, 2:] - full[1, 2:]) ** 2)))
    gaps[0] = np.nan
    assert item_distances(gaps)[0, 1] == pytest.approx(np.nanmax(item_distances(gaps)))


def test_alike_rows_come_together(matrix):
    import dataclasses

    values = np.zeros((8, 8))
    values[[0, 2, 4, 6]] = 5.0
    values += 0.01 * np.random.default_rng(0).normal(size=(8, 8))
    alike = dataclasses.replace(matrix, values=values)
    shown, trees = clustered(alike, "rows")
    kinds = [label in "aceg" for label in shown.row_labels]
    assert kinds in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4)
    assert shown.col_labels == matrix.col_labels and set(trees) == {"rows"}
    for i, label in enumerate(shown.row_labels):  # everything moved with its row
        k = matrix.row_labels.index(label)
        assert np.array_equal(shown.values[i], values[k])
        assert list(shown.trial_ids[i]) == list(matrix.trial_ids[k])


def test_the_tree_is_average_linkage(matrix):
    tree = cluster(matrix, "rows")
    expected = linkage(pdist(matrix.values) / np.sqrt(8), "average")[:, 2]
    heights = sorted(link[:, 1].max() for link in tree.links)
    assert np.allclose(heights, expected / expected.max()) and sorted(tree.order) == list(range(8))
    small = matrix.reordered(np.arange(2), np.arange(2))
    assert cluster(small, "rows").links == ()


@pytest.mark.parametrize("which", ["rows", "cols", "both"])
def test_a_clustered_heatmap_stays_on_the_sheet(matrix, which, tmp_path):
    with style():
        figure = draw(matrix, cluster=which)
        assert inside(figure)
    files = [heatmap(matrix, tmp_path / f"{k}.svg", cluster=which) for k in (1, 2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(HarnessError, match="either grouped or clustered"):
        heatmap(matrix, tmp_path / "x.png", cluster=which, groups={"a": "one"})


def test_scatter_panels_hold_the_cells_and_the_coefficient(grid_frame, tmp_path):
    rows = grid_frame(tasks="abcdef")
    x, y = (transfer_matrix(rows, filter={"method": m}, title=m) for m in ("probe", "tune"))
    found = correlate(x, y, "kendall", n_resamples=50)
    with style():
        figure = draw_scatter(x, y, found)
        assert inside(figure) and len(figure.axes) == 6
        for j, axes in enumerate(figure.axes):
            others, own = (c.get_offsets() for c in axes.collections)
            keep = np.arange(6) != j
            assert np.allclose(np.asarray(others), 100 * np.column_stack([x.values[keep, j], y.values[keep, j]]))
            assert len(own) == 1
            assert f"τ_b = {found.per_target['abcdef'[j]].estimate:.2f}" in axes.get_title("left")
    assert scatter(x, y, found, tmp_path / "s.png").stat().st_size > 5000


def test_the_graph_shows_the_largest_gains(matrix):
    edges = strongest_transfers(matrix, 5)
    gains = matrix.values.copy()
    np.fill_diagonal(gains, -np.inf)
    assert [e.gain for e in edges] == sorted(gains.ravel(), reverse=True)[:5]
    assert all(e.source != e.target and e.gain > 0 for e in edges)
    harmful = strongest_transfers(matrix, 3, harmful=True)
    assert [e.gain for e in harmful] == sorted(matrix.values[~np.eye(8, dtype=bool)])[:3]


def test_less_is_better_turns_the_arrows(matrix):
    import dataclasses

    errors = dataclasses.replace(matrix, values=-matrix.values, higher_is_better=False)
    assert [(e.source, e.target) for e in strongest_transfers(errors)] == [
        (e.source, e.target) for e in strongest_transfers(matrix)
    ]


def test_certainty_needs_seeds(matrix, grid_frame):
    sure = strongest_transfers(matrix, 1)[0]
    one = transfer_matrix(grid_frame(tasks="abcdefgh", methods=("probe",), seeds=(0,)), relative_to="own")
    assert sure.certain and not any(e.certain for e in strongest_transfers(one))


def test_the_graph_is_drawn_and_needs_a_baseline(matrix, grid_frame, tmp_path):
    with style():
        assert inside(draw_graph(matrix))
    assert (
        transfer_graph(matrix, tmp_path / "g.svg").read_bytes()
        == transfer_graph(matrix, tmp_path / "h.svg").read_bytes()
    )
    with pytest.raises(HarnessError, match="needs values relative to a baseline"):
        strongest_transfers(transfer_matrix(grid_frame(methods=("probe",))))
    nothing = matrix.reordered(np.arange(8), np.arange(8))
    nothing.values[:] = -0.1
    with style():
        words = [t.get_text() for t in draw_graph(nothing).texts]
    assert any("No source is better" in w for w in words)
