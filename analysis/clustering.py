"""Rows and columns of a matrix brought together by likeness: average linkage, gaps compared on what both rows have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.matrix import TransferMatrix


@dataclass(frozen=True, eq=False)
class Tree:
    """A dendrogram over ``order`` (numbers of the items, leaf by leaf).

    ``links``: one entry a merge, float [4, 2]: places along the items (leaves at 0, 1, 2, ...) and heights of the
    bracket, heights scaled to at most 1.
    """

    order: np.ndarray
    links: tuple[np.ndarray, ...]


def cluster(matrix: TransferMatrix, axis: str) -> Tree:
    """Cluster the rows ("rows") or columns ("cols"): average linkage on the root mean square difference.

    Two items are compared on the cells that both have; with none in common they count as far apart as any two are.
    """
    values = matrix.values if axis == "rows" else matrix.values.T
    if len(values) < 3:
        return Tree(np.arange(len(values)), ())
    from scipy.cluster.hierarchy import dendrogram, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distances = item_distances(values)
    condensed = squareform(distances, checks=False)
    tree = optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    drawn = dendrogram(tree, no_plot=True)
    highest = max((max(d) for d in drawn["dcoord"]), default=0.0) or 1.0
    links = tuple(
        np.column_stack([(np.array(x) - 5.0) / 10.0, np.array(y) / highest])
        for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    )
    return Tree(np.array(drawn["leaves"], dtype=int), links)


def item_distances(values: np.ndarray) -> np.ndarray:
    """Root mean square difference [n, n] over shared finite entries of rows [n, m]."""
    present = np.isfinite(values)
    filled = np.where(present, values, 0.0)
    weight = present.astype(float)
    shared = weight @ weight.T
    squares = (filled**2) @ weight.T + weight @ (filled**2).T - 2 * filled @ filled.T
    mean = np.divide(np.maximum(squares, 0.0), shared, out=np.full(shared.shape, np.nan), where=shared > 0)
    distances = np.sqrt(mean)
    furthest = np.nanmax(distances) if np.isfinite(distances).any() else 0.0
    distances = np.where(np.isfinite(distances), distances, furthest)
    np.fill_diagonal(distances, 0.0)
    return np.asarray((distances + distances.T) / 2)
