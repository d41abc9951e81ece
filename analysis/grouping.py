"""Groups of tasks that help one another, from a transfer matrix: which tasks could be learned together.

What two tasks are to each other is the mean of both directions (source on target and back); single linkage apart, any
clustering needs that symmetry. Far apart is what helps least: distance = largest mean gain - mean gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from analysis.clustering import Tree
from analysis.matrix import TransferMatrix
from harness.errors import HarnessError, suggest

Linkage = Literal["average", "complete", "spectral"]
LINKAGES: tuple[str, ...] = get_args(Linkage)
_IDS = ("trial_ids", "baseline_ids")
FEWEST = 3  # tasks below which there is nothing to group


@dataclass(frozen=True, eq=False)
class Grouping:
    """Tasks in groups.

    Attributes:
        labels: the tasks, group by group (the largest group first), leaf by leaf of the tree within each.
        numbers: int [n], the group of each label, 0 for the largest.
        mutual: float [n, n], the mean gain of both directions in the order of ``labels``; NaN on the diagonal.
        tree: dendrogram over ``labels`` as ``order`` has them; None for spectral clustering, which has none.
        silhouettes: number of groups -> mean silhouette of that many (Rousseeuw 1987), every number tried.
        chosen_by: "silhouette" or "given".
        filled: pairs without any gain, which were given the mean one.
        null: mean silhouettes of the best grouping when mutual gains are dealt out anew among the pairs.
    """

    labels: tuple[str, ...]
    numbers: np.ndarray
    mutual: np.ndarray
    linkage: str
    tree: Tree | None
    silhouettes: Mapping[int, float]
    chosen_by: str
    filled: int
    null: np.ndarray

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The tasks of each group."""
        return tuple(
            tuple(name for name, own in zip(self.labels, self.numbers, strict=True) if own == number)
            for number in range(int(self.numbers.max()) + 1)
        )

    @property
    def silhouette(self) -> float:
        """The mean silhouette of the groups."""
        return self.silhouettes[len(self.groups)]

    @property
    def p_value(self) -> float:
        """Share of the deals that could be grouped as well: (1 + as good) / (1 + deals); NaN without deals."""
        if not self.null.size:
            return float("nan")
        return float((1 + (self.null >= self.silhouette - 1e-12).sum()) / (1 + self.null.size))

    def of(self) -> dict[str, str]:
        """Label -> name of its group, for a heatmap."""
        return {name: f"group {own + 1}" for name, own in zip(self.labels, self.numbers, strict=True)}


def group_tasks(
    matrix: TransferMatrix, linkage: Linkage = "average", groups: int | None = None, *, n_deals: int = 99, seed: int = 0
) -> Grouping:
    """Group the tasks that are rows and columns of a matrix of gains.

    Args:
        linkage: ``average`` or ``complete``: agglomerative, cut into so many groups; ``spectral``: of the normalised
            Laplacian (Ng, Jordan and Weiss 2001), with mutual gains scaled to 0..1 as weights.
        groups: how many; None: from two to half the tasks, the number of the largest mean silhouette.
        n_deals: how often mutual gains are dealt out anew to see what silhouette groups have by chance; 0 for none.

    Raises:
        HarnessError: for fewer than three tasks, an unknown linkage or an impossible number of groups.
    """
    if linkage not in LINKAGES:
        raise HarnessError(f"Tasks cannot be grouped by {linkage!r}{suggest(str(linkage), LINKAGES)}.")
    labels, mutual, filled = mutual_gains(matrix)
    n = len(labels)
    if groups is not None and not 2 <= groups < n:
        raise HarnessError(f"{n} tasks make 2 to {n - 1} groups, not {groups}.")
    tried = (groups,) if groups is not None else tuple(range(2, max(2, n // 2) + 1))
    found = dict(_cut(distances(mutual), linkage, tried, seed))
    silhouettes = {k: _silhouette(distances(mutual), numbers) for k, numbers in found.items()}
    best = max(silhouettes, key=lambda k: (silhouettes[k], -k))
    if silhouettes[best] == float("-inf"):
        raise HarnessError("The gains do not tell these tasks apart, so that they make no groups.")
    order, tree = _order(distances(mutual), found[best], linkage)
    null = _dealt(mutual, linkage, tried, n_deals, seed)
    ordered = mutual[np.ix_(order, order)].copy()
    np.fill_diagonal(ordered, np.nan)
    return Grouping(
        labels=tuple(labels[k] for k in order),
        numbers=_renumbered(found[best][order]),
        mutual=ordered,
        linkage=linkage,
        tree=tree,
        silhouettes=silhouettes,
        chosen_by="silhouette" if groups is None else "given",
        filled=filled,
        null=null,
    )


def mutual_gains(matrix: TransferMatrix) -> tuple[tuple[str, ...], np.ndarray, int]:
    """Tasks that are rows and columns, the mean [n, n] of both directions (more is better), and pairs without any.

    Of a pair with one direction that one counts; a pair without any is given the mean over all other pairs.
    """
    labels = tuple(name for name in matrix.row_labels if name in set(matrix.col_labels))
    if len(labels) < FEWEST:
        raise HarnessError(f"Grouping needs {FEWEST} tasks that are sources and targets; there are {len(labels)}.")
    rows = [matrix.row_labels.index(name) for name in labels]
    cols = [matrix.col_labels.index(name) for name in labels]
    gains = matrix.values[np.ix_(rows, cols)] * (1.0 if matrix.higher_is_better else -1.0)
    both = np.stack([gains, gains.T])
    known = np.isfinite(both).sum(axis=0)
    mean = np.where(np.isfinite(both), both, 0.0).sum(axis=0) / np.maximum(known, 1)
    others = np.triu(np.ones_like(known, dtype=bool), 1)
    if not known[others].any():
        raise HarnessError("Grouping needs gains between different tasks, and no such cell has a value.")
    lacking = others & (known == 0)
    mean = np.where(known > 0, mean, mean[others & (known > 0)].mean())
    np.fill_diagonal(mean, mean[others].max())
    return labels, mean, int(lacking.sum())


def mean_matrix(matrices: Sequence[TransferMatrix], axis: str, title: str) -> TransferMatrix:
    """The mean of matrices of the same labels that differ in ``axis``, cell by cell over those that have a value.

    Raises:
        HarnessError: when their labels differ.
    """
    first = matrices[0]
    if any((m.row_labels, m.col_labels) != (first.row_labels, first.col_labels) for m in matrices):
        raise HarnessError(f"The matrices of each {axis} have other {first.rows}s or {first.cols}s.")
    values = np.stack([m.values for m in matrices])
    n = np.isfinite(values).sum(axis=0)
    mean = np.where(n > 0, np.where(np.isfinite(values), values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
    ids = {name: sum((getattr(m, name) for m in matrices[1:]), getattr(first, name)) for name in _IDS}
    empty = np.full(first.shape, "", dtype=object)
    return replace(
        first,
        values=mean,
        spread=np.full(first.shape, np.nan),
        count=sum((m.count for m in matrices[1:]), first.count),
        reasons=np.where(n > 0, "", first.reasons).astype(object),
        details=np.where(n > 0, "", first.details),
        flags=empty,
        over=(*first.over, axis),
        title=title,
        **ids,
    )


def distances(mutual: np.ndarray) -> np.ndarray:
    """Largest mutual gain of any pair minus that of each, [n, n]; zero on the diagonal."""
    apart = np.asarray(mutual[~np.eye(len(mutual), dtype=bool)].max() - mutual)
    np.fill_diagonal(apart, 0.0)
    return apart


def agreement(first: Grouping, second: Grouping) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) on the tasks of both: 1 for equal groups, 0 on average by chance."""
    from sklearn.metrics import adjusted_rand_score

    mine, theirs = first.of(), second.of()
    shared = [name for name in mine if name in theirs]
    return float(adjusted_rand_score([mine[name] for name in shared], [theirs[name] for name in shared]))


def _cut(apart: np.ndarray, linkage: Linkage, tried: tuple[int, ...], seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of groups, group of each item) for every number that could be made."""
    if linkage == "spectral":
        from sklearn.cluster import SpectralClustering

        weights = 1.0 - apart / (apart.max() or 1.0)
        for k in tried:
            made = SpectralClustering(k, affinity="precomputed", random_state=seed, assign_labels="cluster_qr")
            yield _counted(made.fit_predict(weights))
        return
    from scipy.cluster.hierarchy import fcluster
    from scipy.cluster.hierarchy import linkage as link
    from scipy.spatial.distance import squareform

    tree = link(squareform(apart, checks=False), linkage)
    for k in tried:
        yield _counted(fcluster(tree, k, "maxclust"))


def _counted(numbers: np.ndarray) -> tuple[int, np.ndarray]:
    """How many groups there really are (ties may make fewer than asked for), and the groups."""
    return len(np.unique(numbers)), np.asarray(numbers)


def _silhouette(apart: np.ndarray, numbers: np.ndarray) -> float:
    """The mean silhouette of groups of items that lie ``apart`` [n, n]; -inf for one group or only single ones.

    As scikit-learn has it, whose checks of its arguments take most of the time when gains are dealt out anew.
    """
    names, own = np.unique(numbers, return_inverse=True)
    n, k = len(numbers), len(names)
    if not 2 <= k < n:
        return float("-inf")
    sizes = np.bincount(own)
    towards = np.bincount((np.arange(n)[:, None] * k + own).ravel(), weights=apart.ravel()).reshape(n, k)
    within = towards[np.arange(n), own] / np.maximum(sizes[own] - 1, 1)
    towards[np.arange(n), own] = np.inf
    nearest = (towards / sizes).min(axis=1)
    larger = np.maximum(within, nearest)
    each = np.divide(nearest - within, larger, out=np.zeros(n), where=(larger > 0) & (sizes[own] > 1))
    return float(each.mean())


def _dealt(mutual: np.ndarray, linkage: Linkage, tried: tuple[int, ...], n: int, seed: int) -> np.ndarray:
    """The best mean silhouette for each of ``n`` random exchanges of the mutual gains among all pairs."""
    generator = np.random.default_rng(seed)
    upper = np.triu_indices(len(mutual), 1)
    best = []
    for _ in range(n):
        dealt = np.full_like(mutual, mutual[upper].max())
        dealt[upper] = generator.permutation(mutual[upper])
        dealt.T[upper] = dealt[upper]
        apart = distances(dealt)
        best.append(max(_silhouette(apart, numbers) for _, numbers in _cut(apart, linkage, tried, seed)))
    return np.array(best)


def _order(apart: np.ndarray, numbers: np.ndarray, linkage: Linkage) -> tuple[np.ndarray, Tree | None]:
    """Items group by group, the largest first, leaf by leaf within; the tree where groups are branches of one."""
    from scipy.cluster.hierarchy import dendrogram, optimal_leaf_ordering
    from scipy.cluster.hierarchy import linkage as link
    from scipy.spatial.distance import squareform

    condensed = squareform(apart, checks=False)
    tree = optimal_leaf_ordering(link(condensed, "average" if linkage == "spectral" else linkage), condensed)
    drawn = dendrogram(tree, no_plot=True)
    leaves = np.array(drawn["leaves"], dtype=int)
    if linkage == "spectral":
        sizes = np.bincount(numbers)
        first = {own: place for place, own in reversed(list(enumerate(numbers[leaves])))}
        return np.array(sorted(leaves, key=lambda k: (-sizes[numbers[k]], first[numbers[k]]))), None
    highest = max((max(d) for d in drawn["dcoord"]), default=0.0) or 1.0
    links = tuple(
        np.column_stack([(np.array(x) - 5.0) / 10.0, np.array(y) / highest])
        for x, y in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    )
    return leaves, Tree(leaves, links)


def _renumbered(numbers: np.ndarray) -> np.ndarray:
    """Groups numbered from 0, the largest first, in the order of their first members where equal."""
    names, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    largest_first = sorted(range(len(names)), key=lambda k: (-sizes[k], first[k]))
    rank = {int(names[k]): place for place, k in enumerate(largest_first)}
    return np.array([rank[int(own)] for own in numbers])
