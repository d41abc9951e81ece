"""Draws the pictures of ``results/gallery/`` from the published grids: ``python -m analysis.gallery [FOLDER]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.correlation import correlate
from analysis.critical_differences import critical_difference
from analysis.heatmaps import heatmap
from analysis.import_files import read_import
from analysis.line_plots import line_plot, lines
from analysis.matrix import TransferMatrix, transfer_matrix
from analysis.ranking_tests import rank_methods
from analysis.scatters import scatter
from analysis.transfer_graphs import transfer_graph

IMPORTS = Path("studies/published")


def main(folder: str = "results/gallery") -> None:
    """Draw every picture into ``folder``."""
    target = Path(folder)
    for name, draw in PICTURES.items():
        draw(target / f"{name}.png")
        _shrink(target / f"{name}.png")


_MOST_BYTES = 290_000


def _shrink(path: Path) -> None:
    """Scale a picture down and, if it is still heavy, reduce its colours, so that the gallery stays light."""
    from PIL import Image

    with Image.open(path) as image:
        scale = min(1.0, 1300 / max(image.size))
        size = (round(image.width * scale), round(image.height * scale))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.save(path, optimize=True)
    if path.stat().st_size > _MOST_BYTES:
        small.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def _frame(name: str) -> pd.DataFrame:
    return read_import(IMPORTS / f"{name}.yaml").frame


def _yosinski(path: Path, paired: bool | None) -> None:
    readings = {
        None: "accuracy of all runs",
        True: "against the own target's base network (paired)",
        False: "against the mean of all base networks (pooled)",
    }
    reading = readings[paired]
    title = f"Yosinski et al. 2014, figure 2: {reading}"
    line_plot(
        lines(
            _frame("yosinski2014"), "layers", by="treatment", over=["source", "target"], title=title,
            filter={"group": "random halves"}, relative_to=None if paired is None else "base", paired=paired or False,
        ),
        path,
    )  # fmt: skip


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
    "yosinski2014_figure2": lambda path: _yosinski(path, None),
    "yosinski2014_paired": lambda path: _yosinski(path, True),
    "yosinski2014_pooled": lambda path: _yosinski(path, False),
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
    main(*sys.argv[1:2])
