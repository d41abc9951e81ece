"""Figures of a report as files: several processes write what one writes, and say what is wrong as one does."""

from __future__ import annotations

from functools import partial

import pytest

from analysis import figure_files, transfer_matrix
from analysis.figure_files import write_figure, write_figures
from analysis.figures import FORMATS
from analysis.heatmaps import draw
from harness.errors import HarnessError


@pytest.fixture
def matrix(grid_frame):
    return transfer_matrix(grid_frame(tasks="abc"), filter={"method": "probe"})


def test_a_figure_is_written_in_every_format(tmp_path, matrix):
    files = write_figure(partial(draw, matrix), tmp_path / "new", "two")
    assert sorted(files.paths) == sorted(FORMATS) and files.width > 3
    assert all(path == tmp_path / "new" / f"two.{ending}" for ending, path in files.paths.items())
    assert all(path.stat().st_size > 500 for path in files.paths.values())


def test_processes_write_the_bytes_that_one_writes_in_the_same_order(tmp_path, matrix):
    drawings = [(f"matrix-{k}", partial(draw, matrix, title=f"Number {k}")) for k in range(1, 5)]
    one = write_figures(drawings, tmp_path / "one", workers=1)
    two = write_figures(drawings, tmp_path / "two", workers=2)
    assert [f.paths["png"].stem for f in two] == ["matrix-1", "matrix-2", "matrix-3", "matrix-4"]
    for mine, theirs in zip(one, two, strict=True):
        assert mine.width == theirs.width
        for ending in FORMATS:
            assert mine.paths[ending].read_bytes() == theirs.paths[ending].read_bytes()
    assert len({f.paths["svg"].read_bytes() for f in one}) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_drawn_says_so_from_any_process(tmp_path, matrix, workers):
    wrong = partial(draw, matrix, groups={"a": "one"}, cluster="rows")
    with pytest.raises(HarnessError, match=r"^A heatmap is either grouped or clustered, not both\.$"):
        write_figures([("matrix", partial(draw, matrix)), ("none", wrong)], tmp_path, workers)


def test_a_few_figures_are_drawn_here(tmp_path, matrix, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr("joblib.Parallel", refused)
    assert write_figures([], tmp_path) == []
    few = [(f"matrix-{k}", partial(draw, matrix)) for k in range(2)]
    assert len(write_figures(few, tmp_path)) == 2 < figure_files._FEWEST
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr(figure_files, "_FEWEST", 2)
    with pytest.raises(AssertionError, match="a process was started"):
        write_figures(few, tmp_path)
