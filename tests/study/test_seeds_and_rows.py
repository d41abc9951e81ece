"""Seeds as written, rows of unusual recipes, and rules about axes that a recipe has not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.estimators.base import estimator
from harness.graph import Stage
from harness.methods.base import Trial, method
from harness.methods.noop import noop
from harness.registry import ESTIMATORS, METHODS
from harness.study import expand
from harness.study.grid import block_ids


@pytest.fixture
def odd_recipes():
    """Recipes that read little: no backbone, only the source, nothing but a seed."""

    @method("blind", reads=("source", "target", "seed"))
    def blind(trial: Trial, *, steps: int = 1) -> Stage:
        """Read no backbone."""
        return noop(trial)

    @method("lone", reads=("seed",))
    def lone(trial: Trial) -> Stage:
        """Read a seed only."""
        return noop(trial)

    @estimator("own", reads=("source", "source_seed"))
    def own(trial: Trial, *, source_steps: int = 400) -> Stage:
        """Read the source only."""
        return noop(trial)

    yield
    for registry, names in ((METHODS, ("blind", "lone")), (ESTIMATORS, ("own",))):
        for name in names:
            registry._entries.pop(name)  # type: ignore[attr-defined]  # taken out again


@pytest.mark.usefixtures("odd_recipes")
def test_what_is_not_read_is_not_crossed(make, cells) -> None:
    study = make(
        "axes: {steps: [5, 6]}\n",
        methods="[blind, lone]",
        backbones="[mlp, small_cnn]",
        seeds="[3, 4]",
        sources="[ape]",
    )
    names = {block.method: [axis.name for axis in block.axes] for block in expand(study).blocks}
    assert names == {"blind": ["source", "target", "seed", "steps"], "lone": ["seed"]}
    found = cells(study, "source", "target", "seed", "steps")
    expected = {
        ("blind", "ape", target, seed, steps) for target in ("bee", "cod") for seed in (3, 4) for steps in (5, 6)
    }
    assert found == Counter(expected | {("lone", None, None, seed, None) for seed in (3, 4)})


@pytest.mark.usefixtures("odd_recipes")
@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("[3, 4]", (3, 4)),
        ("{source: [7, 8], target: [3, 4]}", (7, 8)),
        ("{source: [7, 8, 9], target: [3], tie: false}", (7, 8, 9)),
        ("{source: [7, 8], target: [3], tie: false, combine: weight_average}", ("7+8",)),
    ],
)
def test_a_score_of_the_source_alone_has_source_seeds_alone(make, cells, seeds: str, expected: tuple[Any, ...]) -> None:
    study = make("estimators: [own]\naxes: {source: {steps: [1, 2]}}\n", methods=None, seeds=seeds)
    found = cells(study, "source", "source_seed", "source_steps", "target", role="estimator")
    assert found == Counter(
        ("own", source, seed, n, None) for source in ("ape", "bee") for seed in expected for n in (1, 2)
    )


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ("{}", "seeds must give source, target or both"),
        ("{source: [0], tie: false}", "seeds that are not tied must give both source and target"),
        ("{source: [0, 1], target: [0]}", "tied seeds need lists of the same length, not 2 and 1; or set tie: false"),
        ("{source: [0, 1], combine: weight_average}", "weight_average is over source seeds that are not tied"),
        ("[0, 1, 0]", "0 stands twice among the seeds"),
        ("{source: [1, 1], target: [0], tie: false}", "1 stands twice among the source seeds"),
        ("{source: [1, 2], target: [4, 4], tie: false}", "4 stands twice among the target seeds"),
        ("{source: [1, 2], target: [4, 4]}", "4 stands twice among the target seeds"),
    ],
)
def test_seeds_that_say_nothing_sensible(refused, seeds: str, sentence: str) -> None:
    assert any(message.startswith(sentence) for message in refused(seeds=seeds)), refused(seeds=seeds)


@pytest.mark.parametrize("only", ["{source: [4, 5]}", "{target: [4, 5]}", "[4, 5]"])
def test_seeds_of_one_stage_are_both_stages(make, cells, only: str) -> None:
    assert cells(make(seeds=only, sources="[ape]", targets="[cod]"), "seed", "source_seed") == Counter(
        [("move", 4, None), ("move", 5, None)]
    )


def test_one_source_seed_may_serve_several_target_seeds_when_tied_to_them_by_repetition(make, cells) -> None:
    study = make(seeds="{source: [7, 7], target: [0, 1]}", sources="[ape]", targets="[cod]")
    assert cells(study, "seed", "source_seed") == Counter([("move", 0, 7), ("move", 1, 7)])


@pytest.mark.parametrize("seeds", ["[0, 1]", "{source: [0, 1], target: [0, 1]}"])
def test_tied_seeds_may_be_matched_by_either_name(make, cells, seeds: str) -> None:
    text = "exclude: [{match: {source_seed: 1, source: ape}, reason: no}]\n"
    found = cells(make(text, seeds=seeds, targets="[cod]"), "source", "seed")
    assert found == Counter([("move", "ape", 0), ("move", "bee", 0), ("move", "bee", 1)])


def test_a_source_seed_is_matched_only_where_there_is_a_source_training(make, cells) -> None:
    text = "exclude: [{match: {source_seed: 0}, reason: no}]\n"
    study = make(text, seeds="{source: [0, 1], target: [0], tie: false}", sources="[ape, none]", targets="[cod]")
    assert cells(study, "source", "source_seed") == Counter([("move", "ape", 1), ("move", "none", None)])


# --- numbers of trials ------------------------------------------------------------------------------------------------


def numbers(study: Any) -> dict[tuple[Any, ...], tuple[int, int]]:
    """The number of each trial by (seed, source seed, source), a source seed that has no column being the seed."""
    found = {}
    for block in expand(study).blocks:
        at = {axis.name: place for place, axis in enumerate(block.axes)}
        for row, number in zip(block.rows, block_ids(block, block.rows, block.setting), strict=True):
            seed = block.axes[at["seed"]].labels[row[at["seed"]]]
            other = block.axes[at["source_seed"]].labels[row[at["source_seed"]]] if "source_seed" in at else seed
            found[seed, other, block.axes[0].labels[row[0]]] = (int(number[0]), int(number[1]))
    return found


def test_a_trial_has_one_number_however_its_seeds_are_written(make) -> None:
    """So a study may untie its seeds later and go on: the trials that it had keep their numbers."""
    tied = numbers(make(seeds="[0, 1]", sources="[ape, none]"))
    crossed = numbers(make(seeds="{source: [0, 1, 2], target: [0, 1], tie: false}", sources="[ape, none]"))
    moved = numbers(make(seeds="{source: [2, 1], target: [0, 1]}", sources="[ape, none]"))
    for seed in (0, 1):
        assert tied[seed, seed, "ape"] == crossed[seed, seed, "ape"]
        assert tied[seed, seed, "none"] == crossed[seed, None, "none"] == moved[seed, None, "none"]
    assert moved[1, 1, "ape"] == tied[1, 1, "ape"] and moved[0, 2, "ape"] == crossed[0, 2, "ape"]
    assert len(set(crossed.values())) == len(crossed) == 2 * 3 + 2


def test_counting_does_not_change_the_rows(make) -> None:
    (block,) = expand(make(seeds="{source: [0, 1], target: [0, 1], tie: false}")).blocks
    before = block.rows.copy()
    first, again = (block_ids(block, block.rows, block.setting) for _ in range(2))
    assert np.array_equal(block.rows, before) and np.array_equal(first, again)


# --- include of what only some recipes have ---------------------------------------------------------------------------


def test_including_a_method_keeps_the_estimators_and_including_an_estimator_only_that(make, cells) -> None:
    shared = "estimators: [closeness, ease]\n"
    kept = make(shared + "include: [{match: {method: move, target: cod}}]\n", methods="[move, probe]")
    assert cells(kept, "target") == Counter({("move", "cod"): 2})
    assert cells(kept, "target", role="estimator") == Counter({("closeness", "cod"): 2, ("ease", "cod"): 1})
    alone = make(shared + "include: [{match: {method: ease}}]\n", methods="[move, probe]")
    assert not cells(alone, "target")
    assert cells(alone, "target", role="estimator") == Counter({("ease", "bee"): 1, ("ease", "cod"): 1})


@pytest.mark.parametrize(
    ("match", "kept"),
    [
        ("{source: ape}", {("ape", "bee"), ("ape", "cod")}),
        ("{source: [ape, bee], target: cod}", {("ape", "cod"), ("bee", "cod")}),
        ("{target: [bee, cod], seed: 0}", {(s, t) for s in ("ape", "bee") for t in ("bee", "cod")}),
    ],
)
def test_overrides_touch_what_they_match_and_nothing_else(make, cells, match: str, kept: set[tuple[str, str]]) -> None:
    text = f"overrides: [{{match: {match}, set: {{steps: 9}}}}]\n"
    found = cells(make(text, seeds="[0, 1]"), "source", "target", "seed", "steps")
    assert len(found) == sum(found.values()) == 8
    for _, source, target, seed, steps in found:
        touched = (source, target) in kept and (seed == 0 or "seed" not in match)
        assert steps == (9 if touched else None)


def test_a_wrong_value_in_an_override_is_told_once_for_all_methods(refused) -> None:
    text = "overrides: [{match: {target: cod}, set: {steps: many}}]\n"
    assert refused(text, methods="[move, afresh]") == ["steps should be int, not 'many'"]
