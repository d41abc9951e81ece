"""Which part of a study a rehearsal runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from harness.rehearsal import STEPS, Rehearsed, rehearse, shortened
from harness.study import Expansion, Study, expand

STUDY = """\
study: long
sources: [digits_flip, "per_class(of=digits_noise, n=5)"]
targets: ["per_class(of=digits_upright, n=5)", digits_invert]
backbones: [mlp, small_cnn]
methods: [fine_tune, linear_probe, {method: fine_tune, epochs: 1000, as: by_epochs}]
seeds: [0, 1]
axes: {steps: [10000, 20000]}
params: {shots: 5, source: {steps: 30000}}
"""


def load(folder: Path, text: str = STUDY) -> tuple[Study, Expansion]:
    path = folder / "long.yaml"
    path.write_text(text, encoding="utf-8")
    study = harness.load_study(path)
    return study, expand(study)


def test_one_row_a_backbone_with_the_largest_tasks(tmp_path: Path) -> None:
    _, expansion = load(tmp_path)
    cut = shortened(expansion)
    assert len(cut.blocks) == len(expansion.blocks) == 3
    for block in cut.blocks:
        assert len(block) == 2
        names = [axis.name for axis in block.axes]
        for row in block.rows:
            labels = {name: block.axes[i].labels[row[i]] for i, name in enumerate(names)}
            assert (labels["source"], labels["target"]) == ("digits_flip", "digits_invert")
        backbone = names.index("backbone")
        assert {str(block.axes[backbone].labels[row[backbone]]) for row in block.rows} == {"mlp", "small_cnn"}


def test_budgets_are_cut_for_source_and_target(tmp_path: Path) -> None:
    _, expansion = load(tmp_path)
    for block in shortened(expansion).blocks:
        for axis in block.axes:
            if axis.name == "steps":
                assert set(axis.values) == {STEPS}
        for settings in block.settings:
            assert settings.params["source_steps"] == STEPS
            assert settings.params.get("epochs") is None and settings.tune is None


@pytest.mark.slow
def test_a_rehearsal_is_short_and_tells_each_kind(tmp_path: Path) -> None:
    found = rehearse(*load(tmp_path))
    assert all(item.error is None for item in found), found
    assert {(item.stage, item.backbone) for item in found} >= {("train", "mlp"), ("adapt", "small_cnn")}
    assert all(item.seconds is not None and item.seconds < 60 for item in found)


@pytest.mark.slow
def test_a_rehearsal_finds_what_would_fail(tmp_path: Path) -> None:
    (tmp_path / "clumsy.py").write_text(
        "from harness.graph import Measurements, Stage, stage\nfrom harness.methods.base import Trial, method\n"
        "from harness.tasks.base import Task\n\n\n@stage(version=1)\ndef stumble(target: Task) -> Measurements:\n"
        '    raise ValueError("it fell")\n\n\n@method("clumsy")\ndef clumsy(trial: Trial) -> Stage:\n'
        '    """Falls."""\n    return stumble.bind(target=trial.target)\n',
        encoding="utf-8",
    )
    text = (
        "study: long\nplugins: [./clumsy.py]\ntargets: [digits_flip]\n"
        "sources: [none]\nbackbones: [mlp]\nmethods: [clumsy]\n"
    )
    (item,) = rehearse(*load(tmp_path, text))
    assert isinstance(item, Rehearsed) and item.stage == "stumble"
    assert item.error is not None and "it fell" in item.error
