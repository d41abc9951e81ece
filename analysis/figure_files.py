"""The figures of a report as files, drawn by several processes where there are many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.figures import FORMATS, save, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 6  # figures below which processes take longer to start than to draw
_MOST = 8  # processes at once: each holds about 200 MB
_IDLE = 10  # seconds after which a process without work ends


@dataclass(frozen=True)
class FigureFiles:
    """The files of one figure by their ending, and its width in inches."""

    paths: dict[str, Path]
    width: float


def write_figure(make: Callable[[], Figure], folder: Path, name: str) -> FigureFiles:
    """Draw one figure and write it in every format."""
    with style():
        figure = make()
        paths = {ending: save(figure, folder / f"{name}.{ending}") for ending in FORMATS}
    return FigureFiles(paths, float(figure.get_size_inches()[0]))


def write_figures(
    drawings: Sequence[tuple[str, Callable[[], Figure]]], folder: Path, workers: int | None = None
) -> list[FigureFiles]:
    """Write some figures, named; give their files in the same order.

    Args:
        workers: processes to draw with; None: as many as this process may use cores, one for a few figures. Where
            there is more than one, what makes a figure must be importable by name (no lambda).
    """
    from joblib import Parallel, cpu_count, delayed

    if workers is None:
        workers = min(cpu_count(), _MOST) if len(drawings) >= _FEWEST else 1
    if workers < 2:
        return [write_figure(make, folder, name) for name, make in drawings]
    # Processes of joblib, not of multiprocessing: these would run a caller's script again, or inherit Arrow's threads.
    pool = Parallel(n_jobs=workers, backend="loky", batch_size=1, max_nbytes=None, idle_worker_timeout=_IDLE)
    return list(pool(delayed(write_figure)(make, folder, name) for name, make in drawings))
