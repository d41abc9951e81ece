"""What trials of prompt methods share and what tells them apart; and prompts moved from task to task, end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.backbones.base import Checkpoint, Untrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.graph import Measurements, Stage, Weights
from harness.methods.base import MethodEntry, Trial
from harness.methods.cocoop import cocoop
from harness.methods.coop import coop
from harness.methods.upt import upt
from harness.methods.vpt import vpt
from harness.methods.zero_shot import clip_probe, zero_shot
from harness.tasks.base import TaskSet
from harness.tasks.pairs import PairSet
from harness.training.prompt_pretraining import pretrain_clip
from harness.training.rules import CheckpointRule
from tests.training.places import arguments_of, run_stages
from tests.training.prompt_toys import random_weights, squares, tiny

SHORT: dict[str, Any] = {"shots": 5, "epochs": 2, "lr": 0.05}
SMALL: dict[str, dict[str, Any]] = {
    "coop": {"context": 2}, "cocoop": {"context": 2}, "vpt": {"visual": 2, "template": "{}."},
    "upt": {"context": 2, "visual": 2, "width": 8},
}  # fmt: skip
METHODS: dict[str, MethodEntry[Any]] = {"coop": coop, "cocoop": cocoop, "vpt": vpt, "upt": upt}


def trial(source: Any = None, target: str = "target", **changes: Any) -> Trial:
    found = squares(source) if isinstance(source, str) else source
    return replace(Trial(found, squares(target), tiny(), seed=1, source_seed=1), **changes)


def described(name: str, one: Trial, **settings: Any) -> Stage:
    return METHODS[name](one, **{**SMALL[name], **SHORT, **settings})


def weights_of(terminal: Stage) -> Stage:
    found = terminal.arguments["weights"]
    assert isinstance(found, Stage)
    return found


@pytest.fixture(autouse=True)
def pretrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that a stage would train is there already."""
    assert pretrain_clip.result == "artifact"  # its annotations are read before its function is replaced
    monkeypatch.setattr(pretrain_clip, "function", lambda **_: random_weights())


# --- what is shared -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_a_baseline_is_the_source_of_other_trials(name: str) -> None:
    baseline = described(name, trial(None, "a"))
    onto_b = described(name, trial("a", "b"))
    assert weights_of(onto_b).arguments["init"].key == weights_of(baseline).key
    assert weights_of(described(name, trial("a", "c"))).arguments["init"].key == weights_of(baseline).key


@pytest.mark.parametrize("name", METHODS)
def test_two_sources_on_one_target_never_share_a_row(name: str) -> None:
    keys = {described(name, trial(source, "t")).key for source in (None, "a", "b", "t")}
    assert len(keys) == 4
    zero_shot_keys = {described(name, trial(source, "t"), transfer_mode="zero_shot").key for source in ("a", "b")}
    assert len(zero_shot_keys) == 2 and not zero_shot_keys & keys


def test_a_whole_grid_trains_each_source_once() -> None:
    """4 x 4 x 3 seeds: 12 prompts from nothing, which are the baselines too, and 48 adaptations."""
    names, stages = [f"task{number}" for number in range(4)], {}
    terminals = []
    for seed in (1, 2, 3):
        for target in names:
            terminals += [described("coop", trial(source, target, seed=seed, source_seed=seed))
                          for source in (None, *names)]  # fmt: skip
    waiting = list(terminals)
    while waiting:
        stage = waiting.pop()
        stages[stage.key] = stage.kind.name
        waiting.extend(stage.inputs)
    counted = {kind: list(stages.values()).count(kind) for kind in set(stages.values())}
    assert counted == {
        "learn_prompt": 12, "adapt_prompt": 48, "evaluate_prompt": 60, "picture_features": 8, "pretrain_clip": 1,
    }  # fmt: skip


def test_prompts_beside_pictures_read_texts_once_and_no_embeddings_of_pictures() -> None:
    terminal = described("vpt", trial("a", "b"))
    kinds = [stage.kind.name for stage in (*terminal.inputs, *weights_of(terminal).inputs)]
    assert "class_features" in kinds and "picture_features" not in kinds
    assert described("upt", trial("a", "b")).arguments["texts"] is None
    assert weights_of(described("coop", trial("a", "b"))).arguments["texts"] is None


def test_what_a_source_is_trained_with_may_differ() -> None:
    plain = weights_of(described("coop", trial("a", "b")))
    longer = weights_of(described("coop", trial("a", "b"), source_epochs=5))
    assert longer.arguments["init"].arguments["budget"].epochs == 5
    assert longer.arguments["budget"] == plain.arguments["budget"]
    assert longer.arguments["init"].key != plain.arguments["init"].key
    assert weights_of(described("coop", trial("a", "b"), source_shots=2)).arguments["init"].arguments["shots"] == 2
    assert (
        weights_of(described("coop", trial("a", "b"), source_lr=0.5)).arguments["init"].arguments["optimiser"].lr == 0.5
    )


# --- modes of transfer ----------------------------------------------------------------------------------------------


def test_a_pair_is_one_training_in_either_direction() -> None:
    one = weights_of(described("coop", trial("a", "b"), transfer_mode="joint_pair"))
    other = weights_of(described("coop", trial("b", "a"), transfer_mode="joint_pair"))
    assert one.key == other.key and [task.name for task in one.arguments["tasks"]] == ["a", "b"]
    alone = weights_of(described("coop", trial("a", "a"), transfer_mode="joint_pair"))
    assert alone.key == weights_of(described("coop", trial(None, "a"))).key, "a pair of one task is the task"
    chosen = described("coop", trial("a", "b"), transfer_mode="joint_pair", select_by="target")
    assert weights_of(chosen).key == one.key and chosen.arguments["chosen_by_task"]


def test_several_source_seeds_are_averaged() -> None:
    averaged = weights_of(described("coop", trial("a", "b", source_seed=(1, 2, 3)))).arguments["init"]
    assert averaged.kind.name == "average_weights"
    assert [stage.arguments["seed"] for stage in averaged.inputs] == [1, 2, 3]


def test_several_sources_are_one_prompt() -> None:
    together = TaskSet((squares("b"), squares("a")))
    init = weights_of(described("coop", trial(together, "t"))).arguments["init"]
    assert [task.name for task in init.arguments["tasks"]] == ["a", "b"] and init.arguments["softmax"] == "union"
    apart = weights_of(described("coop", trial(together, "t"), softmax="per_task")).arguments["init"]
    assert apart.key != init.key


def test_a_group_of_targets_is_adapted_to_once() -> None:
    group = TaskSet((squares("t"), squares("u")))
    one, other = (weights_of(described("coop", trial("a", name), group=group)) for name in ("t", "u"))
    assert one.key == other.key and one.kind.name == "adapt_prompt"
    with pytest.raises(HarnessError, match="does not have the target"):
        described("coop", trial("a", "elsewhere"), group=group)


def test_prompts_of_files_and_prompts_that_were_never_trained() -> None:
    stored = weights_of(described("coop", trial(Checkpoint(artifact="a" * 32), "t")))
    assert stored.arguments["init"].key == "a" * 32
    untouched = weights_of(described("coop", trial(Untrained(), "t"), transfer_mode="zero_shot"))
    assert untouched.arguments["budget"].epochs == 0
    assert (
        weights_of(described("coop", trial(Untrained(), "t"))).key
        == weights_of(described("coop", trial(None, "t"))).key
    )


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_backbone_without_words_and_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(HarnessError, match="mlp has no text tower"):
        described("coop", trial(None, backbone=Mlp()))
    with pytest.raises(HarnessError, match="mlp has no text tower"):
        zero_shot(trial(None, backbone=Mlp()))
    with pytest.raises(HarnessError, match="32 × 32"):
        described("coop", trial(None, backbone=tiny(resolution=32)))
    with pytest.raises(HarnessError, match="carve"):
        described("coop", trial(), carve=1.0)
    with pytest.raises(HarnessError, match="cannot be chosen on 'train'"):
        described("coop", trial(checkpoint=CheckpointRule("best", on="train")))


def test_the_tiny_model_is_trained_on_pairs_of_its_size() -> None:
    clip = described("coop", trial()).arguments["clip"]
    assert clip.kind.name == "pretrain_clip" and clip.arguments["pairs"] == PairSet(8)


# --- end to end -----------------------------------------------------------------------------------------------------


def outcome(terminal: Stage, results: Mapping[str, Any] | None = None) -> float:
    found = (results or run_stages([terminal]))[terminal.key]
    assert isinstance(found, Measurements)
    return found.rows[0].value


@pytest.mark.parametrize("name", METHODS)
def test_every_method_moves_a_prompt(name: str) -> None:
    terminals = [
        described(name, trial("a", "b")),
        described(name, trial(TaskSet((squares("a"), squares("c", 2))), "b")),
    ]
    results = run_stages(terminals)
    assert all(0 <= outcome(terminal, results) <= 1 for terminal in terminals)


@pytest.mark.parametrize("name", METHODS)
def test_adapting_for_no_pass_is_using_the_prompt_as_it_is(name: str) -> None:
    """Exactly: the same tensors are measured by the same stage."""
    as_it_is = described(name, trial("a", "b"), transfer_mode="zero_shot")
    no_pass = described(name, trial("a", "b"), epochs=0, source_epochs=2)
    results = run_stages([as_it_is, no_pass])
    moved, source = (results[weights_of(terminal).key] for terminal in (no_pass, as_it_is))
    assert isinstance(moved, Weights) and isinstance(source, Weights)
    assert all(torch.equal(tensor, source.tensors[key]) for key, tensor in moved.tensors.items())
    assert outcome(as_it_is, results) == outcome(no_pass, results)


def test_going_on_with_a_tasks_own_prompt_is_no_worse_than_the_prompt() -> None:
    """A -> A on four seeds: continuing fits the few examples at least as well."""
    gains = []
    for seed in range(4):
        once = described("coop", trial(None, "a", seed=seed, source_seed=seed), epochs=6)
        twice = described("coop", trial("a", "a", seed=seed, source_seed=seed), epochs=6)
        results = run_stages([once, twice])
        gains.append(outcome(twice, results) - outcome(once, results))
    assert sum(gains) / 4 >= -0.1


def test_what_a_target_begins_from_is_what_its_source_left() -> None:
    """The tensors that reach the adaptation are the source's, bit for bit."""
    terminal = described("vpt", trial("a", "b"))
    results = run_stages([terminal])
    adapted = weights_of(terminal)
    given, left = arguments_of(adapted, results)["init"], results[adapted.arguments["init"].key]
    assert given is left
    other = described("vpt", trial("c", "b"))
    assert adapted.arguments["init"].key in adapted.preimage() and adapted.preimage() != weights_of(other).preimage()


def test_zero_shot_and_a_probe_of_the_same_features() -> None:
    plain, probe = zero_shot(trial(), template="{}."), clip_probe(trial(), shots=5)
    results = run_stages([plain, probe])
    assert 0 <= outcome(plain, results) <= 1
    assert outcome(probe, results) > 0.5, "coloured squares are easily told apart"
    assert plain.arguments["images"][0].key == probe.arguments["features"][0].key
    assert zero_shot(trial(seed=5), template="{}.").key == plain.key, "nothing is learned, so no seed matters"
