"""The studies of prompt transfer: what each plans, counted by hand; and the large one on blank data in its layout."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from harness.api import load_study, plan
from harness.data.catalogue import PACKAGES
from harness.graph import Measurements
from harness.methods.base import Trial
from harness.methods.coop import coop
from harness.methods.vpt import vpt
from harness.registry import BACKBONES, TASKS
from harness.tasks.elevater import KNOWN
from harness.tasks.pairs import HELD_OUT
from harness.training.rules import CheckpointRule
from tests.conftest import ROOT
from tests.training.places import run_stages

STUDIES = ROOT / "studies" / "mvlpt"
EMOJI_AND_CLIPART = ("emoji_", "clipart_", "openmoji_", "stamps")


def planned(name: str, results: Path) -> Counter[str]:
    """The stages that a study needs, by kind."""
    found = plan(load_study(STUDIES / f"{name}.yaml"), results=results)
    return Counter(stage.kind.name for stage in found.graph.stages())


def test_the_small_one(tmp_path: Path) -> None:
    """4 prompts from nothing a method, which are the baselines too; 16 adaptations a method."""
    counted = planned("smoke", tmp_path)
    assert counted == {
        "pretrain_clip": 1, "learn_prompt": 12, "adapt_prompt": 48, "evaluate_prompt": 60, "picture_features": 8,
        "class_features": 4, "evaluate_zero_shot": 4, "fit_probe": 4, "evaluate_probe": 4,
    }  # fmt: skip


def test_twenty_by_twenty(tmp_path: Path) -> None:
    """Seed 1: 20 sources and 400 cells a method; two more seeds of 8 x 8; one prompt of eight onto twelve."""
    counted = planned("mini", tmp_path)
    assert counted["learn_prompt"] == 3 * (20 + 2 * 8 + 1)
    assert counted["adapt_prompt"] == 3 * (400 + 2 * 64 + 12)
    assert counted["evaluate_prompt"] == 3 * (420 + 2 * 72 + 12)
    assert counted["pretrain_clip"] == 1 and counted["evaluate_zero_shot"] == 20
    assert counted["picture_features"] == 40, "train and test of each task, once"
    assert counted["picture_similarity"] == 2 * 400 and counted["name_similarity"] == 400 - 20, (
        "two estimators of pictures; of names, two tasks of the ten digits are one"
    )


def test_groups_of_twenty(tmp_path: Path) -> None:
    """Four groups of five, suggested and dealt three times: a prompt each, adapted to tasks; of two kinds as it is."""
    (tmp_path / "studies").mkdir()
    place = tmp_path / "studies" / "mvlpt"
    place.mkdir()
    for name in ("mini.yaml", "groups.yaml"):
        shutil.copy(STUDIES / name, place / name)
    names = [str(target) for target in load_study(STUDIES / "mini.yaml").resolved()["targets"]]
    groups = tmp_path / "results" / "mvlpt_mini" / "groups" / "groups.yaml"
    groups.parent.mkdir(parents=True)
    groups.write_text(yaml.safe_dump({"groups": [names[start::4] for start in range(4)]}))
    found = plan(load_study(place / "groups.yaml"), results=tmp_path / "empty")
    counted = Counter(stage.kind.name for stage in found.graph.stages())
    assert counted["learn_prompt"] == 3 * (4 * 4 + 20)
    assert counted["adapt_prompt"] == 3 * 4 * 20
    assert counted["evaluate_prompt"] == 3 * (4 * 20 + 20) + 2 * 4 * 20
    own = {stage.key for stage in plan(load_study(STUDIES / "mini.yaml"), results=tmp_path / "empty").graph.stages()}
    alone = [s for s in found.graph.stages() if s.kind.name == "learn_prompt" and len(s.arguments["tasks"]) == 1]
    assert len(alone) == 60 and all(stage.key in own for stage in alone), "the baselines are those of mini.yaml"


def test_no_task_of_twenty_is_shown_to_the_model() -> None:
    study = load_study(STUDIES / "mini.yaml")
    named = [str(target) for target in study.resolved()["targets"]]
    assert len(named) == len(set(named)) == 20
    for name in named:
        if any(part in name for part in EMOJI_AND_CLIPART):
            assert name.split("(")[0] in HELD_OUT


# --- the large one, on blank data in its layout -----------------------------------------------------------------------


def layout() -> ModuleType:
    spec = importlib.util.spec_from_file_location("layout", STUDIES / "layout.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    made, root = layout(), tmp_path_factory.mktemp("paper")
    made.write_elevater(root / "elevater", 3)
    made.write_coop(root / "coop", 2)
    made.write_clip(root / "clip-vit-base-patch16", 1)
    return root


@pytest.mark.slow
def test_the_large_one_is_planned(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 sources and 400 cells, 3 seeds; eleven sources together, the mean of 3 seeds, onto 12 tasks."""
    monkeypatch.chdir(folder)
    counted = planned("paper", tmp_path)
    more_baselines = 12 * 3 * 2  # 1 and 5 shots; those of 20 are the sources
    assert counted["learn_prompt"] == 3 * (20 * 3 + 3 + more_baselines)
    assert counted["adapt_prompt"] == 3 * (1200 + 12 * 3 * 3)
    assert counted["average_weights"] == 3
    assert counted["evaluate_zero_shot"] == len(KNOWN) == 20


@pytest.mark.slow
@pytest.mark.parametrize(("method", "settings"), [(coop, {"context": 16}), (vpt, {"visual": 16})])
def test_the_real_widths_run_from_the_real_layout(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any, settings: dict[str, int]
) -> None:
    """ViT-B/16 with one block a tower and random weights: a prompt of one task of ELEVATER moved to another."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    tasks = [
        TASKS.get("elevater")(task=name, root=str(folder / "elevater"), check=False)
        for name in ("patch-camelyon", "voc-2007-classification")
    ]
    backbone = BACKBONES.get("clip")(str(folder / "clip-vit-base-patch16"))
    trial = Trial(tasks[0], tasks[1], backbone, checkpoint=CheckpointRule("best"))
    shots: Any = {"shots": 1, "epochs": 1, "batch_size": 4}
    terminal = method(trial, **settings, **shots)
    found = run_stages([terminal])[terminal.key]
    assert isinstance(found, Measurements)
    assert found.rows[0].metric == "map_11" and 0 <= found.rows[0].value <= 1


def test_the_packages_that_the_studies_name_are_known() -> None:
    text = (STUDIES / "smoke.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "harness data fetch" in line)
    names = line.split("fetch", 1)[1].split()
    assert names and all(name in PACKAGES for name in names)
