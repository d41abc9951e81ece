"""What layer transfer describes: shared bases, nested features, treatments by source and target; and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.backbones.base import Untrained
from harness.backbones.efficientnet_lite import EfficientNetLite0
from harness.backbones.small_alexnet import SmallAlexNet
from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import CheckpointRule, Numerics, Trial
from harness.methods.from_scratch import from_scratch
from harness.methods.from_scratch_matched import from_scratch_matched
from harness.methods.layer_transfer import layer_transfer
from harness.training.calls import example_flops
from harness.training.rules import Watch
from harness.training.settings import Budget, Optimiser
from tests.training.pictures import blobs
from tests.training.places import run_stages

NET = SmallAlexNet(width=3, hidden=8)
LENGTH: dict[str, Any] = {"steps": 12, "batch_size": 10, "lr": 0.05, "evaluate_every": 3}
BOTH = {**LENGTH, **{f"source_{name}": value for name, value in LENGTH.items()}}


def trial(source: Any = "source", target: str = "target", **more: Any) -> Trial:
    return Trial(blobs(source) if isinstance(source, str) else source, blobs(target), NET, **more)


def reached(*terminals: Stage) -> dict[str, Stage]:
    """All stages that are needed, by key."""
    found: dict[str, Stage] = {}
    waiting = list(terminals)
    while waiting:
        stage = waiting.pop()
        found[stage.key] = stage
        waiting.extend(stage.inputs)  # type: ignore[arg-type]  # only stages here
    return found


def of_kind(name: str, *terminals: Stage) -> list[Stage]:
    return [stage for stage in reached(*terminals).values() if stage.kind.name == name]


def test_one_base_serves_its_own_baseline_and_all_its_transfers() -> None:
    base = from_scratch(trial("one", "one"), **LENGTH)
    transfers = [
        layer_transfer(trial("one", target), layers=layers, frozen=frozen, **BOTH)
        for target in ("one", "other")
        for layers in (1, 4, 7)
        for frozen in (True, False)
    ]
    (trained,) = of_kind("train", base, *transfers)
    assert trained.arguments["watch"] == Watch(("test",), 3)
    assert len(of_kind("adapt_layers", *transfers)) == 12


def test_without_source_or_copied_layers_it_is_the_base() -> None:
    base = from_scratch(trial(), **LENGTH)
    assert layer_transfer(trial(None), layers=3, **LENGTH).key == base.key
    assert layer_transfer(trial(), layers=0, **BOTH).key == base.key


def test_what_frozen_layers_put_out_is_described_once_and_from_layer_to_layer() -> None:
    """Seven depths, two readers each: seven stages a split, each made from the one below."""
    terminals = [layer_transfer(trial(seed=seed), layers=n, **BOTH) for n in range(1, 8) for seed in (0, 1)]
    features = of_kind("extract_features", *terminals)
    assert len(features) == 7 * 2 and all(stage.kind.keep == "cache" for stage in features)
    assert sorted((str(stage.arguments["split"]), str(stage.arguments["layer"])) for stage in features) == sorted(
        (split, layer) for split in ("train", "test") for layer in NET.layers[:7]
    )
    for stage in features:
        below = stage.arguments["below"]
        place = NET.layers.index(str(stage.arguments["layer"]))
        assert (below is None) == (place == 0)
        assert below is None or below.arguments["layer"] == NET.layers[place - 1]
    straight = of_kind("extract_features", layer_transfer(trial(), layers=5, nested=False, **BOTH))
    assert [stage.arguments["below"] for stage in straight] == [None, None]


@pytest.mark.parametrize(
    "parameters",
    [{"frozen": False}, {"cache": False}, {"augment": ("horizontal_flip",)}],
    ids=["trained on", "not asked for", "pictures change"],
)
def test_where_nothing_is_kept_of_frozen_layers(parameters: dict[str, Any]) -> None:
    terminal = layer_transfer(trial(), layers=3, **parameters, **BOTH)
    (adapted,) = of_kind("adapt_layers", terminal)
    assert not of_kind("extract_features", terminal)
    assert (adapted.arguments["frozen"], adapted.arguments["features"]) == (3 * parameters.get("frozen", True), None)


def test_kept_features_or_not_the_scores_are_the_same_and_changed_pictures_are_flagged() -> None:
    ways: list[dict[str, Any]] = [{}, {"nested": False}, {"cache": False}, {"augment": ("horizontal_flip",)}]
    terminals = [layer_transfer(trial(), layers=4, **way, **BOTH) for way in ways]
    results = run_stages(terminals)
    first, *others = (results[terminal.key].rows for terminal in terminals)
    assert first == others[0] == others[1] and {row.flags for row in first} == {()}
    assert {row.flags for row in others[2]} == {("uncached",)}


def test_every_parameter_reaches_its_stage() -> None:
    own: dict[str, Any] = {
        "shots": 3, "steps": 17, "epochs": 4, "flops": 5e9, "batch_size": 9, "optimiser": "adam", "lr": 0.7,
        "momentum": 0.3, "weight_decay": 0.2, "schedule": "step", "milestones": (0.5,), "decay": 0.4, "clip": 0.9,
        "bias_lr": 2.0, "decay_biases": False, "augment": ("brightness",), "evaluate_every": 6,
    }  # fmt: skip
    other = {**own, "shots": 2, "steps": 18, "epochs": 5, "lr": 0.6, "clip": 0.8, "evaluate_every": 7, "flops": 6e9}
    numerics, rule = Numerics(precision="float64"), CheckpointRule(keep="best", every=3)
    described = trial(seed=4, source_seed=6, numerics=numerics, checkpoint=rule, eval_splits=("val", "test"))
    terminal = layer_transfer(
        described, layers=2, preserve=3, **own, **{f"source_{name}": value for name, value in other.items()}
    )
    (adapted,), (trained,) = of_kind("adapt_layers", terminal), of_kind("train", terminal)
    for stage, given, seed in ((adapted, own, 4), (trained, other, 6)):
        names = ("lr", "momentum", "weight_decay", "schedule", "clip", "milestones", "decay", "bias_lr", "decay_biases")
        assert stage.arguments["optimiser"] == Optimiser("adam", **{name: given[name] for name in names})
        assert stage.arguments["budget"] == Budget(given["steps"], given["epochs"], 9, given["flops"])
        assert (stage.arguments["shots"], stage.arguments["seed"]) == (given["shots"], seed)
        assert (stage.arguments["numerics"], stage.arguments["rule"]) == (numerics, rule)
        assert stage.arguments["augment"] == ("brightness",)
    assert adapted.arguments["watch"] == Watch(("val", "test"), 6) and trained.arguments["watch"] == Watch(("test",), 7)
    assert (adapted.arguments["copied"], adapted.arguments["frozen"]) == (5, 2)
    scratch = of_kind("train", from_scratch(described, **own))
    assert scratch[0].arguments["budget"] == Budget(17, 4, 9, 5e9)
    assert scratch[0].arguments["optimiser"] == adapted.arguments["optimiser"]


def test_in_double_precision_and_with_best_weights_features_are_kept_accordingly() -> None:
    described = trial(numerics=Numerics(precision="float64"), checkpoint=CheckpointRule(keep="best", on="val"))
    terminal = layer_transfer(described, layers=1, **BOTH)
    (adapted,), features = of_kind("adapt_layers", terminal), of_kind("extract_features", terminal)
    assert {(stage.arguments["split"], stage.arguments["dtype"]) for stage in features} == {
        (split, "float64") for split in ("train", "val", "test")
    }
    assert adapted.arguments["choosing"].arguments["split"] == "val"


def test_the_matched_control_is_as_long_as_both_trainings() -> None:
    for unit, own, other in (("steps", 12, 30), ("epochs", 2, 3), ("flops", 1e8, 2e8)):
        terminal = from_scratch_matched(trial(), **{unit: own, f"source_{unit}": other}, batch_size=10)
        assert terminal.key == from_scratch(trial(), **{"steps": 400, unit: own + other}, batch_size=10).key
    with pytest.raises(HarnessError, match="both or neither are in epochs"):
        from_scratch_matched(trial(), epochs=3)


def test_operations_are_counted_as_multiply_adds_of_what_is_run() -> None:
    """A forward pass of 16 x 16 pictures by hand, and twice the layers above the cut for their gradients."""
    sides, channels = (8, 8, 4, 4, 4), (3, 6, 8, 8, 6)
    kernels = (25 * 1, 9 * 3, 9 * 6, 9 * 8, 9 * 8)
    layers = [2 * side * side * wide * kernel for side, wide, kernel in zip(sides, channels, kernels, strict=True)]
    layers += [2 * 6 * 2 * 2 * 8, 2 * 8 * 8, 2 * 8 * 4]
    for frozen in (0, 3, 7):
        assert example_flops(NET, (1, 16, 16), 4, frozen) == sum(layers) + 2 * sum(layers[frozen:])
    budget = 25.5 * 10 * 3 * sum(layers)
    terminal = from_scratch(trial(), flops=budget, batch_size=10, evaluate_every=100)
    (row, *_) = run_stages([terminal])[terminal.key].rows
    assert row.step == 26


def test_published_layers_are_one_network_whatever_the_seed() -> None:
    lite = EfficientNetLite0(resolution=32)
    seen = [
        {stage.key for stage in of_kind("extract_features", layer_transfer(described, layers=3, nested=False))}
        for weights in ("imagenet", "none")
        for seed in (0, 1)
        for described in [_pictures(replace(lite, weights=weights), seed)]  # type: ignore[arg-type]  # a literal
    ]
    assert seen[0] == seen[1] and seen[2] != seen[3]


def _pictures(backbone: EfficientNetLite0, seed: int) -> Trial:
    task = replace(blobs("target", side=32), input_shape=(3, 32, 32))
    return Trial(Untrained(), task, backbone, seed=seed, source_seed=seed)


def test_more_layers_than_there_are_is_one_sentence() -> None:
    with pytest.raises(HarnessError, match="small_alexnet has 8 layers: 8 cannot be copied"):
        layer_transfer(trial(), layers=5, preserve=3, **BOTH)


# --- dead sources, and what is meant to fail --------------------------------------------------------------------------

STUDY = """
study: deaths
sources: [digits_upright, digits_flip]
targets: [digits_upright, digits_flip]
backbones: [{backbone: mlp, hidden: 24, depth: 3}]
methods: [layer_transfer]
axes: {layers: [1, 3], frozen: [true, false]}
params: {steps: 60, evaluate_every: 6, source: {steps: 60}}
overrides:
  - {match: {source: digits_upright}, set: {source: {lr: 0.0}}, reason: a network that does not learn}
grids:
  - {}
  - {sources: [untrained], params: {frozen: true}}
  - {sources: [none], methods: [from_scratch], params: {shots: 1, lr: 0.0}, axes: {}}
"""


def run_study(folder: Path, text: str) -> Any:
    from harness import load_study, run
    from harness.store import outcomes

    (folder / "study.yaml").write_text(text, encoding="utf-8")
    run(load_study(folder / "study.yaml"), folder / "results", in_process=True)
    return outcomes(folder / "results", "deaths").to_pandas()


@pytest.mark.parametrize("skip", [True, False])
def test_a_dead_source_stops_what_is_copied_from_it_and_random_layers_are_measured(tmp_path: Path, skip: bool) -> None:
    """What comes from the dead network is skipped with a reason, or on demand measured and flagged."""
    text = STUDY if skip else STUDY + "on_untrained_source: run\n"
    frame = run_study(tmp_path, text)
    frame = frame[(frame.metric == "accuracy") | frame.metric.isna()]
    flags = frame["flags"]
    dead = frame.source == "digits_upright"
    assert dead.sum() == 8
    if skip:
        assert set(frame[dead].status) == {"skipped"} and frame[dead].value.isna().all()
        assert frame[dead].reason.str.contains("was not trained").all()
    else:
        assert set(frame[dead].status) == {"ok"} and flags[dead].str.contains("untrained_source").all()
    alive = frame.source == "digits_flip"
    assert set(frame[alive].status) == {"ok"} and frame[alive].value.mean() > 0.5
    random = frame.source == "untrained"
    assert random.sum() == 4 and set(frame[random].status) == {"ok"} and frame[random].value.notna().all()
    volume = frame.method == "from_scratch"
    assert set(frame[volume].status) == {"ok"} and set(flags[volume]) == {"not_trained"}
