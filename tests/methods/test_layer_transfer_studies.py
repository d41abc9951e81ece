"""The layer transfer studies: as many cells as counted by hand, and the published one run on a tiny ImageNet."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.graph import Stage


def planned(study: Path, results: Path) -> Any:
    from harness import load_study, plan

    return plan(load_study(study), results)


def roles(found: Any) -> Counter[tuple[str, str]]:
    return Counter(
        (block.block.role, block.block.baseline or block.block.method) for block in found.blocks for _ in block.ids
    )


def kinds(found: Any) -> Counter[str]:
    seen: dict[str, str] = {}
    waiting = [terminal for block in found.blocks for terminal in block.terminals]
    while waiting:
        stage = waiting.pop()
        assert isinstance(stage, Stage)
        if stage.key not in seen:
            seen[stage.key] = stage.kind.name
            waiting.extend(stage.inputs)
    return Counter(seen.values())


def test_mini_has_the_cells_that_it_says(root: Path, tmp_path: Path) -> None:
    """Five splits of two sides, three seeds: 20 pairs frozen at 7 depths, trained on at 4; random layers; 8 volumes."""
    found = planned(root / "studies" / "layer_transfer" / "mini.yaml", tmp_path)
    assert roles(found) == {
        ("outcome", "layer_transfer"): 20 * 7 * 3 + 20 * 4 * 3 + 10 * 7 * 3,
        ("outcome", "from_scratch"): 8 * 3,
        ("baseline", "base"): 10 * 3,
        ("baseline", "longer"): 10 * 3,
    }
    assert kinds(found) == {
        "train": 10 * 3 + 10 * 3 + 8 * 3,  # bases, each of them a source too; longer ones; volumes
        "initialise": 3,
        "extract_features": (20 + 10) * 3 * 7 * 2,
        "adapt_layers": 20 * 7 * 3 + 20 * 4 * 3 + 10 * 7 * 3,
        "score_curve": 20 * 7 * 3 + 20 * 4 * 3 + 10 * 7 * 3 + 8 * 3 + 2 * 10 * 3,
    }


def test_vision20_copies_published_blocks(root: Path, tmp_path: Path) -> None:
    found = planned(root / "studies" / "layer_transfer" / "vision20.yaml", tmp_path)
    assert roles(found) == {("outcome", "layer_transfer"): 8 * 3 * (7 + 4 + 4), ("baseline", "base"): 8 * 3}
    counted = kinds(found)
    assert counted["published_weights"] == 1 and counted["adapt_layers"] == 8 * 3 * 15
    assert counted["extract_features"] == 8 * 2 * 7 + 8 * 2 * 4 * 3, "published layers are the same for every seed"


def test_the_published_grid_is_that_of_the_logs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """148 networks: 11 bases, 98 with frozen layers, 20 trained on, 7 random, 12 with less data."""
    study = tiny_study(root / "studies" / "layer_transfer" / "paper.yaml", tmp_path, monkeypatch, shots=None)
    assert roles(planned(study, tmp_path / "results")) == {
        ("outcome", "layer_transfer"): 98 + 20 + 7,
        ("outcome", "from_scratch"): 12,
        ("baseline", "base"): 11,
    }
    balanced = (root / "studies" / "layer_transfer" / "paper_balanced.yaml").read_text(encoding="utf-8")
    (tmp_path / "balanced.yaml").write_text(smaller(balanced).replace("paper.yaml", "tiny.yaml"), encoding="utf-8")
    found = roles(planned(tmp_path / "balanced.yaml", tmp_path / "results"))
    assert found["outcome", "layer_transfer"] == 10 * 2 * 7 * 2 + 10 * 7
    assert found["baseline", "base"] == found["baseline", "longer"] == 10


def smaller(text: str) -> str:
    """The study's text for eight classes of small pictures; the cells stay what they are."""
    changes = {
        "split=natural": "split=natural, classes=[0, 1, 2]",
        "size=227": "size=67",
        "450000": "4",
        "200000": "4",
        "evaluate_every: 1000": "evaluate_every: 2",
        "batch_size: 256": "batch_size: 6",
        "[caffenet]": "[{backbone: caffenet, width: 6, hidden: 12}]",
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def tiny_study(paper: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, shots: str | None) -> Path:
    """A folder as ImageNet's, of eight classes with six pictures for training and three for test, and a study of it."""
    drawn = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for label in range(8):
            place = folder / "imagenet" / split / f"n{label:08d}"
            place.mkdir(parents=True)
            for number in range(count):
                picture = drawn.integers(0, 200, (64, 64, 3)).astype("uint8")
                Image.fromarray(picture).save(place / f"{number}.JPEG")
    text = smaller(paper.read_text(encoding="utf-8"))
    text = text if shots is None else re.sub(r"shots: \[.*\]", f"shots: {shots}", text)
    (folder / "tiny.yaml").write_text(text + "on_untrained_source: run\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder / "tiny.yaml"


@pytest.mark.slow
def test_the_published_study_runs_on_a_tiny_imagenet(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import load_study, run
    from harness.store import outcomes

    study = tiny_study(root / "studies" / "layer_transfer" / "paper.yaml", tmp_path, monkeypatch, shots="[1, 2]")
    run(load_study(study), tmp_path / "results", in_process=True)
    frame = outcomes(tmp_path / "results", "layer_transfer_paper").to_pandas()
    last = frame[frame.metric == "accuracy"]
    assert len(last) == 138 and set(last.status) == {"ok"} and last.value.between(0, 1).all()
    assert set(frame.metric) == {"accuracy", "accuracy_best"}, "of two evaluations there is no mean of ten"
    frozen = last[(last.method == "layer_transfer") & (last.frozen.astype(str).str.lower() == "true")]
    assert frozen["flags"].str.contains("uncached").all(), "the pictures change at every step"
