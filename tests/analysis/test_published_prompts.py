"""Published values of prompt transfer: only those that a source carries, with tolerance and provenance; their join."""

from __future__ import annotations

import pytest
import yaml

from analysis.published import load_paper
from analysis.published_comparison import compare_published
from tests.conftest import ROOT

PAPER = ROOT / "results" / "published" / "mvlpt"

SOURCED = {
    ("one_shot", "MCoOp", "MNIST"): 65.06, ("one_shot", "MCoOp", "RESISC45"): 67.39,
    **{("average_of_twelve", method, backbone): value for backbone, values in {
        "ViT-B/32": (50.9, 54.8, 57.4, 59.0, 61.6, 58.1, 59.3),
        "ViT-B/16": (53.8, 55.5, 61.5, 60.1, 65.9, 62.2, 65.8),
        "ViT-L/14": (58.6, 62.3, 64.0, 66.0, 69.6, 65.0, 67.0),
    }.items() for method, value in zip(("CLIP", "CoOp", "MCoOp", "VPT", "MVPT", "UPT", "MUPT"), values, strict=True)},
}  # fmt: skip


def test_the_tables_hold_the_sourced_numbers_and_no_other():
    frame = load_paper(PAPER).frame
    held = {(r["table"], r["row"], r["column"]): r["value"] for r in frame.to_dict("records")}
    assert held == SOURCED


def test_tolerances_and_provenance():
    frame = load_paper(PAPER).frame
    of = frame.groupby("table")
    assert of["tolerance"].unique().map(list).to_dict() == {"one_shot": [5.0], "average_of_twelve": [0.7]}
    assert of["provenance"].unique().map(list).to_dict() == {
        "one_shot": ["secondary"],
        "average_of_twelve": ["digitised"],
    }


def test_published_gains_are_differences_of_what_is_held():
    """The gains that are told beside the figure: +2.6 +2.6 +1.2, +6.0 +5.8 +3.6, +1.7 +3.6 +2.0."""
    gains = [
        round(SOURCED["average_of_twelve", f"M{m}", b] - SOURCED["average_of_twelve", s, b], 1)
        for b in ("ViT-B/32", "ViT-B/16", "ViT-L/14")
        for s, m in (("CoOp", "CoOp"), ("VPT", "VPT"), ("UPT", "UPT"))
    ]
    assert gains == pytest.approx([2.6, 2.6, 1.2, 6.0, 5.8, 3.6, 1.7, 3.6, 2.0], abs=0.11)


@pytest.fixture
def ours(frame):
    """Three target seeds of two tasks, prompts of the eleven sources at 1 and 20 shots, as the large study has them."""
    base = {"source": "eleven", "source_seed": "1+2+3", "method": "coop", "backbone": "vit_b16"}
    values = {"elevater/mnist": (0.60, 0.62, 0.64), "elevater/resisc45_clip": (0.50, 0.51, 0.52)}
    return frame([
        {**base, "target": target, "seed": seed + 1, "shots": shots, "value": value + 0.1 * (shots == 20)}
        for target, several in values.items() for seed, value in enumerate(several) for shots in (1, 20)
    ])  # fmt: skip


def test_the_large_study_is_compared_where_it_can_be(ours):
    found = {(m.table, m.column): m for m in compare_published(ours, load_paper(PAPER))}
    assert set(found) == {("one_shot", "MNIST"), ("one_shot", "RESISC45")}, "the figure is for reference"
    mnist, resisc = found["one_shot", "MNIST"], found["one_shot", "RESISC45"]
    assert (mnist.ours, mnist.status, mnist.seeds) == (pytest.approx(62.0), "match", 3)
    assert resisc.ours == pytest.approx(51.0) and resisc.status == "differ" and "65.86" in resisc.why


def test_without_such_cells_nothing_is_compared(ours):
    other = ours.assign(source="elevater/mnist")
    assert {m.status for m in compare_published(other, load_paper(PAPER))} == {"not comparable"}


def test_the_large_study_names_the_tables_and_the_set():
    study = yaml.safe_load((ROOT / "studies" / "mvlpt" / "paper.yaml").read_text())
    assert {"kind": "compare", "published": "mvlpt"} in study["analyses"]
    sets = [s for g in study["grids"] for s in g["sources"] if isinstance(s, dict)]
    assert len(sets) == 2 and all(s["name"] == "eleven" and len(s["tasks"]) == 11 for s in sets)
