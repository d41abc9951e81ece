"""Three published designs as studies, against numbers counted by hand (see the comments in their files)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from harness.graph import Node, Stage
from harness.methods.base import Trial
from harness.study import Block, expand, load_study

COUNTED = Path(__file__).resolve().parent / "counted"


def stages(block: Block) -> set[Stage]:
    """Describe the trials of a block and collect all stages behind them, by key."""
    found: dict[str, Stage] = {}
    names = [axis.name for axis in block.axes]
    for row, setting in zip(block.rows.tolist(), block.setting.tolist(), strict=True):
        values = {name: axis.values[i] for name, axis, i in zip(names, block.axes, row, strict=True)}
        trial = {
            key: values.pop(key) for key in ("source", "target", "backbone", "seed", "source_seed") if key in values
        }
        trial.setdefault("source", None)
        trial.setdefault("source_seed", trial["seed"])
        waiting: list[Node] = [block.recipe(Trial(**trial), **block.settings[setting].params, **values)]
        while waiting:
            node = waiting.pop()
            assert isinstance(node, Stage)
            if node.key not in found:
                found[node.key] = node
                waiting.extend(node.inputs)
    return set(found.values())


def count(blocks: list[Block]) -> Counter[str]:
    by_key = {stage.key: stage.kind.name for block in blocks for stage in stages(block)}
    return Counter(by_key.values())


def only(blocks, *, shots):
    """Restrict blocks to one number of shots."""
    from dataclasses import replace

    kept = []
    for block in blocks:
        position = [axis.name for axis in block.axes].index("shots")
        mask = block.rows[:, position] == block.axes[position].labels.index(shots)
        kept.append(replace(block, rows=block.rows[mask], setting=block.setting[mask]))
    return kept


def test_prompts():
    blocks = expand(load_study(COUNTED / "prompts.yaml")).blocks
    trials = Counter({(block.role, block.method): len(block) for block in blocks})
    methods = ("text_prompt", "visual_prompt", "unified_prompt")
    assert trials == {("outcome", m): 20 * 20 * 3 * 3 for m in methods} | {("baseline", m): 20 * 3 * 3 for m in methods}
    assert sum(trials.values()) == 10_800 + 540
    for name in methods:
        own = [block for block in blocks if block.method == name]
        at_20 = count(only(own, shots=20))
        assert at_20 == {"learn_toy_prompt": 60, "adapt_toy_prompt": 1_200, "evaluate_toy_prompt": 1_260}
        # 60 more prompts learnt from nothing for the baselines at each of 1 and 5 shots
        assert count(own) == {"learn_toy_prompt": 180, "adapt_toy_prompt": 3_600, "evaluate_toy_prompt": 3_780}


def test_layers():
    blocks = expand(load_study(COUNTED / "layers.yaml")).blocks
    transfer, base, random, reduced = blocks
    assert [(b.role, b.baseline, b.method, len(b)) for b in blocks] == [
        ("outcome", None, "toy_layer_transfer", 224),
        ("baseline", "base", "base_network", 8),
        ("outcome", None, "toy_layer_transfer", 56),
        ("outcome", None, "base_network", 12),
    ]
    assert count([transfer]) == {"train_base": 8, "transfer_layers": 224, "evaluate_network": 224}
    assert count([transfer, base]) == {"train_base": 8, "transfer_layers": 224, "evaluate_network": 232}
    assert count([random]) == {"random_base": 1, "transfer_layers": 56, "evaluate_network": 56}
    assert count([reduced]) == {"train_base": 12, "evaluate_network": 12}
    assert count(blocks) == {"train_base": 20, "random_base": 1, "transfer_layers": 280, "evaluate_network": 300}


def test_selection():
    (block,) = expand(load_study(COUNTED / "selection.yaml")).blocks
    rule = block.settings[0].tune
    assert len(block) == 24 * 12 == 288
    assert rule is not None and len(rule.candidates) == 20 and rule.refit == "train+val" and rule.metric == "accuracy"
    assert len(block) * len(rule.candidates) == 5_760
    assert len({tuple(candidate.items()) for candidate in rule.candidates}) == 20
