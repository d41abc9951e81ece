"""Draws the pictures of ``results/gallery/`` from the published grids: ``python -m analysis.gallery [FOLDER]``.

With ``--from-report results/STUDY [--as NAME]`` it takes a report's pictures and small tables instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.correlation import correlate
from analysis.critical_differences import critical_difference
from analysis.figures import save, style
from analysis.gallery_reports import from_report, shrink
from analysis.heatmaps import heatmap
from analysis.import_files import read_import
from analysis.layer_figures import draw_difference, draw_drop_parts, draw_similar, draw_transfer
from analysis.layer_runs import LayerRuns, layer_runs
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.ranking_tests import rank_methods
from analysis.scatters import scatter
from analysis.transfer_graphs import transfer_graph
from harness.errors import HarnessError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMPORTS = Path("studies/published")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw every picture of the published grids, or copy what is small of one report."""
    parser = argparse.ArgumentParser(prog="python -m analysis.gallery", description=__doc__)
    parser.add_argument("folder", nargs="?", default="results/gallery", help="the gallery (default: results/gallery)")
    parser.add_argument("--from-report", metavar="DIR", help="copy what is small of this report instead")
    parser.add_argument("--as", dest="name", metavar="NAME", help="name in the gallery (default: that of the report)")
    chosen = parser.parse_args(arguments)
    if chosen.from_report is None:
        draw_all(Path(chosen.folder))
        return
    report = Path(chosen.from_report)
    try:
        page, large = from_report(report, Path(chosen.folder), chosen.name or report.name)
    except HarnessError as error:
        parser.exit(error.exit_status, f"error: {error}\n")
    sys.stdout.write(f"wrote {page}" + (f"; too large for it: {', '.join(large)}" if large else "") + "\n")


def draw_all(folder: Path) -> None:
    """Draw every picture into ``folder``."""
    for name, draw in PICTURES.items():
        draw(folder / f"{name}.png")
        shrink(folder / f"{name}.png")


def _frame(name: str) -> pd.DataFrame:
    return read_import(IMPORTS / f"{name}.yaml").frame


def _yosinski(path: Path, draw: Callable[[LayerRuns, str, str], Figure], what: str) -> None:
    runs = layer_runs(_frame("yosinski2014"), relative_to="base", similar_by="group",
                      filter={"method": "layer_transfer"})  # fmt: skip
    with style():
        save(draw(runs, runs.levels[0], f"Yosinski et al. 2014: {what}"), path)


def _prompts() -> TransferMatrix:
    frame = _frame("su2022")
    title = "Prompt transfer (Su et al. 2022, RoBERTa-base), relative to the own prompt"
    return transfer_matrix(frame, value="relative_score", title=title)


def _accuracy(name: str, title: str, relative_to: str | None = None) -> TransferMatrix:
    return transfer_matrix(_frame(name), relative_to=relative_to, title=title)


def _ranks(path: Path) -> None:
    matrix = _accuracy("sfda_supervised", "")
    test = rank_methods({row: matrix.values[i] for i, row in enumerate(matrix.row_labels)})
    critical_difference(test, path, title="Eleven CNNs over eleven targets (SFDA)")


def _scatter(path: Path) -> None:
    frame = _frame("tll")
    score = transfer_matrix(frame, value="score", role="estimator", filter={"method": "LogME"}, title="LogME")
    outcome = transfer_matrix(frame, filter={"method": "fine_tune"}, title="accuracy")
    title = "LogME and accuracy of ten CNNs (Transfer Learning Library)"
    scatter(score, outcome, correlate(score, outcome), path, title=title)


def synthetic(n: int, seeds: int, holes: int = 0) -> pd.DataFrame:
    """Outcomes of n tasks on each other with planted groups, an untrained baseline and some failed trials."""
    rng = np.random.default_rng(n)
    names = [f"task{k}" for k in range(n)]
    kin = np.repeat(np.arange(-(-n // 4)), 4)[:n]
    affinity = np.where(kin[:, None] == kin, 0.06, -0.02) + rng.normal(0, 0.025, (n, n))
    difficulty = rng.uniform(0.45, 0.75, n)
    rows = [
        {"source": names[i] if i >= 0 else None, "target": names[j], "seed": seed, "method": "fine_tune",
         "role": "outcome" if i >= 0 else "baseline", "baseline": None if i >= 0 else "untrained",
         "value": difficulty[j] + (affinity[i, j] if i >= 0 else 0.0) + rng.normal(0, 0.01)}
        for seed in range(seeds) for j in range(n) for i in range(-1, n)
    ]  # fmt: skip
    from analysis.foreign import import_outcomes

    frame = import_outcomes(pd.DataFrame(rows), "synthetic")
    bad = frame.index[frame["role"] == "outcome"][rng.choice(n * n, holes, replace=False)]
    cells = frame.loc[bad, ["source", "target"]].apply(tuple, axis=1)
    lost = frame[["source", "target"]].apply(tuple, axis=1).isin(set(cells)) & (frame["role"] == "outcome")
    frame.loc[lost, "value"] = np.nan
    frame.loc[lost, "status"] = "failed"
    return frame


def _synthetic(path: Path, n: int, cluster: bool) -> None:
    matrix = transfer_matrix(synthetic(n, 3, n // 2), relative_to="untrained", title=f"{n} tasks with planted groups")
    heatmap(matrix, path, cluster="both" if cluster else None)


def _graph(path: Path) -> None:
    matrix = transfer_matrix(synthetic(12, 3), relative_to="untrained", title="12 tasks with planted groups")
    transfer_graph(matrix, path)


PICTURES: dict[str, Callable[[Path], object]] = {
    "yosinski2014_figure2": lambda path: _yosinski(
        path, lambda runs, level, title: draw_transfer(runs, level, False, title), "random halves, pooled"
    ),
    "yosinski2014_paired": lambda path: _yosinski(
        path, lambda runs, level, title: draw_difference(runs, level, True, title), "random halves (paired)"
    ),
    "yosinski2014_pooled": lambda path: _yosinski(
        path, lambda runs, level, title: draw_difference(runs, level, False, title), "random halves (pooled)"
    ),
    "yosinski2014_drop": lambda path: _yosinski(path, draw_drop_parts, "what the drop is made of"),
    "yosinski2014_similar": lambda path: _yosinski(
        path, lambda runs, _, title: draw_similar(runs, True, title), "frozen layers, similar and dissimilar halves"
    ),
    "su2022_clustered": lambda path: heatmap(_prompts(), path, cluster="both"),
    "sfda_standard_scores": lambda path: heatmap(
        _accuracy("sfda_supervised", "Standard scores within each target (SFDA)", "z"), path
    ),
    "sfda_ranks": _ranks,
    "tll_logme": _scatter,
    "synthetic_8": lambda path: _synthetic(path, 8, False),
    "synthetic_20_clustered": lambda path: _synthetic(path, 20, True),
    "synthetic_60": lambda path: _synthetic(path, 60, True),
    "synthetic_graph": _graph,
}


if __name__ == "__main__":
    main()
