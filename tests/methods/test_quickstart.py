"""The quickstart study: as many trials and stages as counted by hand, and the transfer that it is there to show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from harness.backbones.small import SmallCnn
from harness.graph import Stage
from harness.methods.base import Trial
from harness.methods.fine_tune import fine_tune
from harness.methods.from_scratch import from_scratch
from harness.registry import TASKS
from tests.training.places import run_batch

SOURCE = {"source_steps": 150, "source_lr": 0.05}
TARGET = {"shots": 3, "steps": 50, "lr": 0.05}


def planned(root: Path, results: Path):
    from harness import load_study, plan

    return plan(load_study(root / "studies" / "quickstart.yaml"), results)


def test_trials_and_stages_are_as_many_as_counted(root: Path, tmp_path: Path) -> None:
    """8 x 8 pairs, 3 seeds, 2 methods; 2 baselines of 8 targets; knn on all pairs, source_accuracy on 8 sources."""
    found = planned(root, tmp_path)
    roles = Counter((block.block.role, block.block.method) for block in found.blocks for _ in block.ids)
    assert roles == {
        ("outcome", "linear_probe"): 8 * 8 * 3,
        ("outcome", "fine_tune"): 8 * 8 * 3,
        ("baseline", "from_scratch"): 8 * 3,
        ("baseline", "linear_probe"): 8 * 3,
        ("estimator", "knn"): 8 * 8 * 3,
        ("estimator", "source_accuracy"): 8 * 3,
    }
    kinds: dict[str, set[str]] = {}
    waiting = [terminal for block in found.blocks for terminal in block.terminals]
    while waiting:
        stage = waiting.pop()
        assert isinstance(stage, Stage)
        if stage.key not in kinds.setdefault(stage.kind.name, set()):
            kinds[stage.kind.name].add(stage.key)
            waiting.extend(stage.inputs)
    assert {kind: len(keys) for kind, keys in kinds.items()} == {
        "train": 8 * 3 + 8 * 3,  # sources, and targets from scratch
        "adapt": 8 * 8 * 3,
        "evaluate": 8 * 8 * 3 + 8 * 3,
        "extract_features": 8 * 3 * 8 * 2 + 8 * 2,  # each net on each target, and the pixels: train and test
        "fit_probe": 8 * 8 * 3 + 8 * 3,
        "evaluate_probe": 8 * 8 * 3 + 8 * 3,
        "knn_score": 8 * 8 * 3,
        "own_score": 8 * 3,
    }


def test_the_first_line_names_the_schema(root: Path) -> None:
    text = (root / "studies" / "quickstart.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=study.schema.json\n")


def in_batches(stages: list[Stage], results: dict) -> dict:
    """Run stages of one kind in full batches."""
    unique = list({stage.key: stage for stage in stages}.values())
    assert unique[0].kind.batch is not None
    width = unique[0].kind.batch.width
    for start in range(0, len(unique), width):
        part = unique[start : start + width]
        results |= dict(zip((stage.key for stage in part), run_batch(part, results), strict=True))
    return results


@pytest.mark.slow
def test_a_related_source_helps_and_an_unrelated_one_does_not() -> None:
    """Noise is seen through what was learnt upright; a quarter turn away, what was learnt is of no use."""
    upright, noise, turned = (TASKS.get(f"digits_{domain}")() for domain in ("upright", "noise", "rotate90"))
    tuned = {
        (source.name, target.name, seed): fine_tune(
            Trial(source, target, SmallCnn(), seed=seed, source_seed=seed), **SOURCE, **TARGET
        )
        for source, target in ((upright, noise), (noise, upright), (turned, upright))
        for seed in range(3)
    }
    scratch = {
        (target.name, seed): from_scratch(Trial(None, target, SmallCnn(), seed=seed), **TARGET)
        for target in (upright, noise)
        for seed in range(3)
    }
    terminals = [*tuned.values(), *scratch.values()]
    nets = [stage.arguments["weights"] for stage in terminals]
    adapted = [net for net in nets if net.kind.name == "adapt"]
    results = in_batches([net.arguments["init"] for net in adapted], {})
    results = in_batches([net for net in nets if net.kind.name == "train"], results)
    results = in_batches(terminals, in_batches(adapted, results))

    def gain(source: str, target: str) -> float:
        pairs = ((tuned[source, target, seed], scratch[target, seed]) for seed in range(3))
        return sum(results[a.key].rows[0].value - results[b.key].rows[0].value for a, b in pairs) / 3

    assert gain("digits_upright", "digits_noise") > 0.15
    assert gain("digits_noise", "digits_upright") > 0.12
    assert abs(gain("digits_rotate90", "digits_upright")) < 0.06
