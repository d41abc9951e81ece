"""A score in a study: which stages it reads, what its key depends on, and that its value is the score of its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from harness.backbones.base import Checkpoint, Untrained
from harness.backbones.pretrained import Pretrained
from harness.backbones.small import Mlp
from harness.errors import HarnessError
from harness.estimators import Inputs, estimators, score, scorer
from harness.estimators.base import EstimatorEntry
from harness.estimators.scorers import SCORERS
from harness.estimators.source_predictions import predict_source
from harness.estimators.stages import SEED
from harness.graph import Predictions, Stage, Weights
from harness.methods.base import Trial
from harness.methods.linear_probe import linear_probe
from harness.registry import ESTIMATORS
from harness.tasks.base import TaskSet
from harness.training.data import sample
from tests.training.places import Place, run_stages
from tests.training.test_views import Letters
from tests.training.toys import cloud

NET = Mlp(hidden=6)
OWN_RECIPES = {"knn", "parameter_count", "imagenet_accuracy"}
GENERATED = sorted(set(estimators()) - OWN_RECIPES)
PRINTED = {"nleep": {"components": 2}, "gbc": {"dims": 2}, "ncti_posterior": {"dims": 3}}


def trial(**more: Any) -> Trial:
    given = {"source": cloud("a"), "target": cloud("x"), "backbone": NET, "seed": 2, "source_seed": 1, **more}
    return Trial(**given)


def recipe(name: str) -> EstimatorEntry[Any]:
    return ESTIMATORS.get(name)


def described(name: str, *, source_steps: int = 4, **more: Any) -> Stage:
    encoder = {"encoder": Words()} if name == "emms" else {}
    return recipe(name)(trial(**more.pop("of", {})), source_steps=source_steps, **encoder, **more)


@dataclass(frozen=True)
class Words(Letters):
    """Reads the code of each letter and makes four features of it."""

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        network = nn.Sequential()
        network.add_module("layer1", Mean())
        network.add_module("head", nn.Linear(4, n_classes))
        return network

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        return ()

    def published(self) -> Mapping[str, Tensor]:
        return {}


class Mean(nn.Module):
    """The sum of the codes of a text, and three powers of it."""

    def forward(self, tokens: Tensor) -> Tensor:
        total = tokens.float().mean(1, keepdim=True) / 100
        return torch.cat([total, total**2, total.sin(), total.cos()], dim=1)


def needed(stage: Stage) -> dict[str, Stage]:
    return {name: value for name, value in stage.arguments.items() if isinstance(value, Stage)}


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_a_recipe_has_the_scores_options_and_a_probes_source(name: str) -> None:
    parameters = recipe(name).parameters
    own = set(estimators()[name].options) - {SEED}
    source = {keyword for keyword in linear_probe.parameters if keyword.startswith("source_")}
    further = {"emms": {"encoder"}, "ped": {"reference"}, "otce": {"reference"}}.get(name, set())
    assert set(parameters) == own | {"shots"} | source | further
    assert {parameters[keyword].scope for keyword in source} == {"source"}
    assert recipe(name).summary == estimators()[name].summary and recipe(name).reads == (
        "source", "target", "backbone", "seed", "source_seed",
    )  # fmt: skip


def test_a_score_shares_source_and_features_with_a_probe() -> None:
    probe = linear_probe(trial(), source_steps=4)
    (features,) = probe.arguments["probe"].inputs
    for name in ("logme", "sfda", "ped", "otce"):
        assert needed(described(name))["features"].key == features.key
    (weights,) = features.inputs
    assert needed(described("leep"))["predictions"].arguments["weights"].key == weights.key


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("leep", {"predictions"}),
        ("etran_energy", {"predictions"}),
        ("logme", {"features"}),
        ("ped", {"features", "source_features"}),
        ("otce", {"features", "source_features"}),
        ("emms", {"features", "label_features"}),
    ],
)
def test_only_what_a_score_needs_is_read(name: str, inputs: set[str]) -> None:
    stage = described(name)
    assert set(needed(stage)) == inputs and stage.kind.name == "estimate"
    waiting, splits = [stage], set()
    while waiting:
        one = waiting.pop()
        splits |= {(one.arguments["task"].name, one.arguments.get("split"))} if "split" in one.arguments else set()
        waiting.extend(one.inputs)
    assert not any(split == "test" for _, split in splits)
    assert {split for task, split in splits if task == "x"} <= {"train"}
    source = {split for task, split in splits if task == "a"}
    assert source == {"ped": {"val"}, "otce": {"train"}}.get(name, set())


def test_keys_know_what_changes_the_score_and_nothing_else() -> None:
    plain = described("gbc").key
    assert described("gbc", dims=64, floor=1e-4, covariance="spherical").key == plain, "defaults move no key"
    assert described("gbc", of={"seed": 9}).key == plain, "nothing is drawn"
    changed = [
        described("gbc", dims=3),
        described("gbc", covariance="full"),
        described("gbc", shots=4),
        described("gbc", shots=4, of={"seed": 9}),
        described("gbc", of={"source_seed": 9}),
        described("gbc", source_steps=5),
        described("logme"),
    ]
    assert len({plain, *(one.key for one in changed)}) == len(changed) + 1
    drawn = {described("otce", of={"seed": seed}).key for seed in (1, 2)}
    assert len(drawn) == 2, "a score that draws has another value for another seed"


def test_a_stage_is_stale_when_its_score_changes_not_when_another_does() -> None:
    from harness.graph.code import CodeDigests

    stage = described("lfc")
    files = CodeDigests().of([stage.kind.module, *(name for one in stage.identified() for name in one.modules())]).files
    assert {"harness.estimators.lfc", "harness.estimators.statistics", "harness.estimators.stages"} <= set(files)
    assert "harness.estimators.sfda" not in files and "harness.estimators.zoo" not in files


# --- what comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_the_stage_is_the_score_of_its_arrays(name: str) -> None:
    if name == "otce":
        pytest.importorskip("ot", reason="optimal transport needs the package POT")
    options = PRINTED.get(name, {})
    stage = described(name, **options)
    results = run_stages([stage])
    read = {argument: results[one.key] for argument, one in needed(stage).items()}
    arrays: dict[str, Any] = {"labels": cloud("x").split("train").labels}
    if "features" in read:
        arrays["features"] = read["features"].tensors["features"]
    if "predictions" in read:
        arrays["source_logits"] = read["predictions"].tensors["logits"]
    if "source_features" in read:
        arrays["source_features"] = read["source_features"].tensors["features"]
        arrays["source_labels"] = read["source_features"].tensors["labels"]
    if "label_features" in read:
        arrays["label_embeddings"] = read["label_features"].tensors["features"][arrays["labels"]]
    drawn = {SEED: 2} if SEED in estimators()[name].options else {}
    (row,) = results[stage.key].rows
    assert row.value == score(name, **arrays, **options, **drawn)
    assert (row.metric, row.task, row.split, row.n_eval, row.flags) == ("score", "x", "train", 24, ())


def test_shots_are_those_of_a_training() -> None:
    stage = described("h_score", shots=3)
    results = run_stages([stage])
    features = results[needed(stage)["features"].key].tensors["features"]
    whole = cloud("x").split("train")
    few = sample(cloud("x"), ("train",), 3, 2, Place())
    rows = [int((whole.inputs == one).all(1).nonzero()) for one in few.inputs]
    (row,) = results[stage.key].rows
    assert row.n_eval == 9
    assert row.value == pytest.approx(score("h_score", features=features[rows], labels=whole.labels[rows]))


def test_predictions_are_the_sources_network_with_its_own_head() -> None:
    source = cloud("a", classes=4)
    stage = needed(described("leep", of={"source": source}))["predictions"]
    results = run_stages([stage])
    weights = results[stage.arguments["weights"].key]
    found = results[stage.key]
    assert isinstance(found, Predictions) and found.tensors["logits"].shape == (24, 4)
    network = NET.build(4, (5,), torch.Generator().manual_seed(0))
    network.load_state_dict(dict(weights.tensors))
    data = cloud("x").split("train")
    torch.testing.assert_close(found.tensors["logits"], network(data.inputs).detach())
    assert found.tensors["labels"].equal(data.labels) and found.header["split"] == "train"


def test_averaged_sources_and_sets_of_tasks_have_predictions_too() -> None:
    joined = described("nce", of={"source": TaskSet((cloud("a"), cloud("b"))), "source_seed": (0, 1)})
    results = run_stages([joined])
    assert results[needed(joined)["predictions"].key].tensors["logits"].shape == (24, 6)
    assert results[joined.key].rows[0].value <= 0


def test_of_several_sources_ped_reads_the_examples_of_all() -> None:
    pushed = described("ped", of={"source": TaskSet((cloud("a"), cloud("b")))})
    results = run_stages([pushed])
    assert len(results[needed(pushed)["source_features"].key].tensors["labels"]) == 24


@dataclass(frozen=True)
class Known(Pretrained):
    """A published network of one layer, with the head of seven classes that it was trained for."""

    name: ClassVar[str] = "known"
    headless: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        return ("body", "head")

    def feature_width(self, input_shape: tuple[int, ...]) -> int:
        return 3

    def check(self, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        return ("other_size",)

    def published(self) -> Mapping[str, Tensor]:
        draw = torch.Generator().manual_seed(0)
        body = {"body.weight": torch.randn(3, 5, generator=draw), "body.bias": torch.zeros(3)}
        head = {"head.weight": torch.randn(7, 3, generator=draw), "head.bias": torch.ones(7)}
        return body if self.headless else body | head

    def build(self, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
        network = nn.Sequential()
        network.add_module("body", nn.Linear(5, 3))
        network.add_module("head", nn.Linear(3, n_classes))
        return network


def test_a_published_network_predicts_with_the_head_it_came_with() -> None:
    stage = described("leep", of={"source": Untrained(), "backbone": Known()})
    results = run_stages([stage])
    found = results[needed(stage)["predictions"].key]
    known, inputs = Known().published(), cloud("x").split("train").inputs
    hidden = inputs @ known["body.weight"].T
    torch.testing.assert_close(found.tensors["logits"], hidden @ known["head.weight"].T + 1)
    assert found.header["flags"] == ["other_size"] and results[stage.key].rows[0].flags == ("other_size",)
    with pytest.raises(HarnessError, match="the weights of known have no head"):
        run_stages([described("leep", of={"source": Untrained(), "backbone": Known(headless=True)})])


def test_flags_of_the_source_are_kept() -> None:
    weights = Weights(
        dict(NET.build(3, (5,), torch.Generator()).named_parameters()), {"task": "a", "flags": ["not_trained"]}
    )
    found = predict_source(task=cloud("x"), split="train", backbone=NET, weights=weights, ctx=Place())
    assert found.header["flags"] == ["not_trained"]


# --- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        ("leep", None, "leep needs a source that has learnt classes, not none"),
        ("nce", Untrained(), "nce needs a source that has learnt classes, not untrained"),
        ("ped", Untrained(), "ped needs a source that is a task, whose examples it reads, not untrained"),
        ("otce", Checkpoint(artifact="0" * 32), "otce needs a source that is a task"),
    ],
)
def test_a_source_of_another_kind_is_refused_when_planned(name: str, source: Any, told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        described(name, of={"source": source})


def test_weights_of_a_file_may_have_a_head() -> None:
    stage = described("leep", of={"source": Checkpoint(artifact="0" * 32)})
    assert needed(stage)["predictions"].arguments["weights"].key == "0" * 32


def test_targets_that_are_no_classes_are_for_scores_that_take_them() -> None:
    numbers = replace(cloud("x"), regression=True, metric="r2", higher_is_better=True)
    for name in ("logme", "parc", "etran_energy"):
        assert described(name, of={"target": numbers}).kind.name == "estimate"
    with pytest.raises(HarnessError, match="sfda scores tasks of one class an example, which x is not"):
        described("sfda", of={"target": numbers})


def shots_taken(inputs: Inputs, *, shots: int = 1) -> float:
    """Take a name that every recipe has."""
    return float(shots)


def source_taken(inputs: Inputs, *, source_width: int = 1) -> float:
    """Take a name that would act on the source."""
    return float(source_width)


@pytest.mark.parametrize(("function", "option"), [(shots_taken, "shots"), (source_taken, "source_width")])
def test_an_option_with_a_name_that_studies_use_is_refused(function: Any, option: str) -> None:
    try:
        with pytest.raises(HarnessError, match=f"cannot have an option '{option}': studies use this name"):
            scorer("taken", needs=("features",))(function)
    finally:
        SCORERS._entries.pop("taken", None)


def test_a_score_of_the_model_itself_wants_its_own_recipe() -> None:
    try:
        with pytest.raises(HarnessError, match="wants a recipe of its own"):
            scorer("of_model", needs=("model",))(lambda inputs: 1.0)
    finally:
        SCORERS._entries.pop("of_model", None)


def test_a_score_of_labels_alone_gets_them() -> None:
    @scorer("of_labels", needs=("labels",))
    def of_labels(inputs: Inputs) -> float:
        """Number of classes."""
        return float(inputs.classes or 0)

    try:
        stage = described("of_labels")
        assert run_stages([stage])[stage.key].rows[0].value == 3
    finally:
        SCORERS._entries.pop("of_labels")
        ESTIMATORS._entries.pop("of_labels")


def test_a_score_that_is_better_when_lower_is_turned_in_studies() -> None:
    @scorer("lower_here", needs=("features", "labels"), higher_is_better=False)
    def lower(inputs: Inputs, *, factor: float = 1.0) -> float:
        """Spread of the first feature."""
        return factor * float(inputs.features[:, 0].std())

    try:
        stage = described("lower_here", factor=2)
        results = run_stages([stage])
        features = results[needed(stage)["features"].key].tensors["features"].double()
        (row,) = results[stage.key].rows
        assert row.value == pytest.approx(-2 * float(features[:, 0].std(correction=0)))
    finally:
        SCORERS._entries.pop("lower_here")
        ESTIMATORS._entries.pop("lower_here")


def test_a_published_network_is_compared_with_the_examples_of_a_reference() -> None:
    stage = described("ped", of={"source": Untrained()}, reference=cloud("r"))
    own = needed(stage)["source_features"]
    assert (own.arguments["task"], own.arguments["split"]) == (cloud("r"), "val")
    assert own.arguments["weights"].key == needed(stage)["features"].arguments["weights"].key
    with pytest.raises(HarnessError, match="as reference"):
        described("ped", of={"source": Untrained()})
