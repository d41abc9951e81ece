"""What recipes describe: which stages trials share, how sources of every kind are used, and that they run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.backbones.base import Checkpoint, Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Stage
from harness.methods.base import CheckpointRule, Trial
from harness.methods.fine_tune import fine_tune
from harness.methods.from_scratch import from_scratch
from harness.methods.linear_probe import linear_probe
from harness.tasks.base import TaskSet
from harness.training.stages import initialise
from tests.training.places import Place, run_stages
from tests.training.toys import cloud

NET = Mlp(hidden=6)
SHORT = {"steps": 8, "source_steps": 12}


def trial(source, target="target", **more) -> Trial:
    return Trial(cloud(source) if isinstance(source, str) else source, cloud(target), NET, **more)


def chain(stage: Stage) -> list[str]:
    """Kinds of stage from the last to the first along the first inputs."""
    kinds = [stage.kind.name]
    while stage.inputs:
        (stage, *_) = stage.inputs  # type: ignore[assignment]  # only stages here
        kinds.append(stage.kind.name)
    return kinds


def reached(stages: list[Stage]) -> dict[str, str]:
    """Kinds by key of all stages that are needed."""
    found: dict[str, str] = {}
    waiting = list(stages)
    while waiting:
        stage = waiting.pop()
        found[stage.key] = stage.kind.name
        waiting.extend(stage.inputs)  # type: ignore[arg-type]  # only stages here
    return found


def test_a_source_is_trained_once_for_all_targets_and_methods() -> None:
    stages = [
        recipe(trial(source, target, seed=seed, source_seed=seed), **parameters)
        for source in ("a", "b")
        for target in ("x", "y", "z")
        for seed in (0, 1)
        for recipe, parameters in ((fine_tune, SHORT), (linear_probe, {"source_steps": 12}))
    ]
    kinds = list(reached(stages).values())
    assert kinds.count("train") == 2 * 2
    assert kinds.count("adapt") == kinds.count("fit_probe") == 2 * 3 * 2
    assert kinds.count("extract_features") == 2 * 3 * 2 * 2, "for each net and target: train and test"


def test_a_baseline_of_a_task_is_the_source_training_of_that_task() -> None:
    equal = {"steps": 12, "lr": 0.05, "source_steps": 12, "source_lr": 0.05}
    as_source = fine_tune(trial("a", "x", source_seed=3), **equal)
    as_baseline = fine_tune(trial(None, "a", seed=3), **equal)
    scratch = from_scratch(trial(None, "a", seed=3), steps=12, lr=0.05)
    assert as_baseline.key == scratch.key
    (source_net,) = [key for key, kind in reached([as_source]).items() if kind == "train"]
    assert scratch.inputs[0].key == source_net
    other = from_scratch(trial(None, "a", seed=4), steps=12, lr=0.05)
    assert other.inputs[0].key != source_net


def test_what_acts_on_the_target_does_not_move_the_source() -> None:
    def source_of(**parameters) -> str:
        (key,) = [key for key, kind in reached([fine_tune(trial("a"), **parameters)]).items() if kind == "train"]
        return key

    assert source_of(shots=2, lr=0.7, steps=3, head="kept") == source_of()
    assert source_of(source_lr=0.7) != source_of()


def test_seeds_act_where_they_belong() -> None:
    first = fine_tune(trial("a", seed=0, source_seed=0))
    second = fine_tune(trial("a", seed=1, source_seed=0))
    assert {key for key, kind in reached([first, second]).items() if kind == "train"} == {
        key for key, kind in reached([first]).items() if kind == "train"
    }
    assert first.key != second.key


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a", ["evaluate", "adapt", "train"]),
        (Untrained(), ["evaluate", "adapt", "initialise"]),
        (None, ["evaluate", "train"]),
        (TaskSet((cloud("a"), cloud("b"))), ["evaluate", "adapt", "train"]),
        (Checkpoint(artifact="0" * 32), ["evaluate", "adapt", "stored_weights"]),
    ],
    ids=["task", "untrained", "none", "set", "artifact"],
)
def test_every_kind_of_source_has_its_stages(source, expected: list[str]) -> None:
    assert chain(fine_tune(trial(source))) == expected


def test_a_set_of_one_task_is_that_task() -> None:
    assert fine_tune(trial(TaskSet((cloud("a"),)))).key == fine_tune(trial("a")).key


def test_several_source_seeds_are_averaged() -> None:
    described = fine_tune(trial("a", source_seed=(0, 1, 2)), **SHORT)
    assert chain(described) == ["evaluate", "adapt", "average_weights", "train"]
    average = described.inputs[0].inputs[0]
    singles = [fine_tune(trial("a", source_seed=seed), **SHORT) for seed in range(3)]
    assert [one.key for one in average.inputs] == [single.inputs[0].inputs[0].key for single in singles]
    results = run_stages([described, *singles])
    nets = [results[one.key].tensors["hidden1.1.weight"] for one in average.inputs]
    torch.testing.assert_close(results[average.key].tensors["hidden1.1.weight"], sum(nets) / 3)


def test_all_methods_run_and_measure_the_target(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_file(dict(initialise(backbone=NET, input_shape=(5,), n_classes=3, ctx=Place()).tensors), file)
    sources = ["a", Untrained(), None, TaskSet((cloud("a"), cloud("b"))), Checkpoint(path=str(file))]
    stages = {
        (str(source), name): recipe(trial(source, eval_splits=("val", "test")), shots=4, **parameters)
        for source in sources
        for name, recipe, parameters in (("ft", fine_tune, SHORT), ("lp", linear_probe, {"source_steps": 12}))
    }
    results = run_stages(stages.values())
    for stage in stages.values():
        rows = results[stage.key].rows
        assert [(row.task, row.split, row.n_eval) for row in rows] == [("target", "val", 12), ("target", "test", 24)]
        assert all(0 <= row.value <= 1 for row in rows)
    assert len({stage.key for stage in stages.values()}) == len(stages)


def test_probing_no_source_is_a_regression_on_the_inputs_whatever_the_backbone() -> None:
    first = linear_probe(trial(None))
    other = linear_probe(Trial(None, cloud("target"), Mlp(hidden=30)))
    assert first.key == other.key


def test_candidates_are_fitted_and_measured_on_the_splits_of_the_trial() -> None:
    refit = trial("a", fit_splits=("train", "val"), eval_splits=("test",))
    probe = linear_probe(refit, shots=2)
    fitted = probe.arguments["probe"]
    assert [one.arguments["split"] for one in fitted.arguments["features"]] == ["train", "val"]
    assert fine_tune(refit).arguments["weights"].arguments["splits"] == ("train", "val")
    source = fine_tune(refit).arguments["weights"].arguments["init"]
    assert source.arguments["splits"] == ("train",)


def test_the_best_weights_cannot_be_chosen_on_what_is_trained_on() -> None:
    peeking = trial("a", fit_splits=("train", "val"), checkpoint=CheckpointRule(keep="best"))
    with pytest.raises(HarnessError, match="cannot be chosen on 'val', which is trained on"):
        fine_tune(peeking)
    with pytest.raises(HarnessError, match="cannot be chosen on 'val'"):
        from_scratch(peeking)


def test_inputs_of_another_shape_are_refused_before_anything_runs() -> None:
    with pytest.raises(HarnessError, match=r"wide has inputs of shape \(7,\), target of \(5,\)"):
        fine_tune(trial(cloud("wide", width=7)))
