"""The pictures of the gallery: all there, small, and drawn again to the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis import gallery, transfer_matrix

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "gallery"


@pytest.fixture
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_committed_pictures_are_these_and_small():
    for path in (COMMITTED / f"{name}.png" for name in gallery.PICTURES):
        assert 5_000 < path.stat().st_size < 300_000
        with Image.open(path) as image:
            assert max(image.size) <= 1300 and min(image.size) > 300
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.int64), 2, 0)
            assert np.unique(red << 16 | green << 8 | blue).size > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yosinski2014_paired", "sfda_ranks", "synthetic_graph"])
def test_a_picture_is_the_same_when_drawn_again(here, tmp_path, monkeypatch, name):
    monkeypatch.setattr(gallery, "PICTURES", {name: gallery.PICTURES[name]})
    for k in (1, 2):
        gallery.main([str(tmp_path / str(k))])
    first, second = (tmp_path / str(k) / f"{name}.png" for k in (1, 2))
    assert first.read_bytes() == second.read_bytes()


def test_the_synthetic_grid_loses_whole_cells():
    frame = gallery.synthetic(8, 3, 5)
    matrix = transfer_matrix(frame)
    assert (matrix.reasons == "failed").sum() == 5 and set(matrix.seeds[matrix.seeds > 0]) == {3}


@pytest.mark.parametrize(
    ("name", "words", "reading"),
    [
        ("yosinski2014_paired", "(paired)", "own target's base"),
        ("yosinski2014_pooled", "(pooled)", "mean base"),
        ("yosinski2014_figure2", "pooled", "mean base"),
    ],
)
def test_a_picture_of_layer_transfer_says_how_it_was_paired(name, words, reading, here, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(gallery, "save", lambda figure, path: drawn.append(figure))
    gallery.PICTURES[name](tmp_path / "x.png")
    assert words in drawn[0].texts[0].get_text() and reading in drawn[0].axes[-1].get_ylabel()
    labels = [t.get_text() for t in drawn[0].axes[-1].get_legend().get_texts()]
    assert labels == ["BnB", "AnB", "BnB+", "AnB+", "base"]
