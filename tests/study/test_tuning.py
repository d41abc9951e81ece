"""Candidates: products, lists and random draws, coerced to each recipe."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.study import TuneRule, expand
from harness.study.tuning import SpaceError, draw


def rules(study, role="outcome"):
    return [block.settings[0].tune for block in expand(study).blocks if block.role == role]


def test_a_grid_is_the_product_in_order(make):
    (rule,) = rules(make("tune: {grid: {lr: [1, 0.1], steps: [5, 6, 7]}}\n"))
    expected = [{"lr": float(lr), "steps": steps} for lr, steps in itertools.product((1, 0.1), (5, 6, 7))]
    assert list(rule.candidates) == expected and type(rule.candidates[0]["lr"]) is float


def test_all_options_are_kept(make):
    text = (
        "tune: {list: [{lr: 0.1}], per: [target, source.steps], seeds: mean, metric: f1, refit: train+val, audit: true"
    )
    (rule,) = rules(make(text + "}\naxes: {source: {steps: [1]}}\n"))
    assert rule == TuneRule(
        ({"lr": 0.1},), "target", ("target", "source_steps"), seeds="mean", metric="f1", refit="train+val", audit=True
    )


def test_the_source_scope_tunes_source_parameters_of_trained_sources_only(make):
    text = "tune: {grid: {steps: [1, 2]}, scope: source}\nbaselines: {own: {source: none}}\n"
    study = make(text, sources="[ape, untrained]")
    trained, untrained = (block for block in expand(study).blocks if block.role == "outcome")
    assert trained.settings[0].tune.candidates == ({"source_steps": 1}, {"source_steps": 2})
    assert trained.axes[0].labels == untrained.axes[0].labels == ("ape", "untrained")
    assert {row[0] for row in trained.rows.tolist()} == {0} and {row[0] for row in untrained.rows.tolist()} == {1}
    assert untrained.settings[0].tune is None
    assert rules(study, "baseline") == [None]


def test_a_method_is_tuned_in_what_it_has(make):
    text = "tune: {list: [{lr: 0.1, shots: 1}, {lr: 0.2, shots: 1}, {shots: 5}]}\n"
    move, probe, fixed, plain = rules(make(text, methods="[move, probe, {method: probe, shots: 9, as: nine}, afresh]"))
    assert len(move.candidates) == 3
    assert probe.candidates == ({"shots": 1}, {"shots": 5})
    assert fixed is None
    assert plain.candidates == ({"shots": 1}, {"shots": 5})


def test_a_tuned_parameter_need_not_be_given(make):
    text = "tune: {grid: {teacher: [mlp]}}\n"
    (rule,) = rules(make(text, methods="[taught]"))
    assert rule.candidates[0]["teacher"].name == "mlp"


def test_a_random_draw_is_the_same_every_time_and_for_each_parameter_alone():
    space = {"log_uniform": [1e-4, 1e-1]}
    assert draw("lr", space, 20, 0) == draw("lr", space, 20, 0)
    assert draw("lr", space, 20, 0)[:5] == draw("lr", space, 5, 0)
    assert draw("lr", space, 20, 0) != draw("lr", space, 20, 1)
    assert draw("lr", space, 20, 0) != draw("wd", space, 20, 0)


@given(
    st.floats(1e-6, 1e3), st.floats(1.001, 1e6), st.sampled_from(["uniform", "log_uniform"]), st.integers(0, 2**63 - 1)
)
def test_draws_stay_within_their_limits_and_are_short_to_write(low, factor, kind, seed):
    high = low * factor
    for value in draw("x", {kind: [low, high]}, 10, seed):
        assert low <= value <= high
        assert value in (low, high) or float(f"{value:.6g}") == value


@settings(max_examples=20)
@given(st.integers(-50, 50), st.integers(1, 5), st.integers(0, 100))
def test_whole_numbers_include_both_ends(low, span, seed):
    drawn = draw("n", {"int_uniform": [low, low + span]}, 400, seed)
    assert set(drawn) == set(range(low, low + span + 1)) and all(type(value) is int for value in drawn)


def test_a_logarithmic_draw_is_even_in_the_logarithm():
    drawn = draw("lr", {"log_uniform": [1e-4, 1]}, 4000, 3)
    per_decade = [sum(10.0**-d > value >= 10.0 ** -(d + 1) for value in drawn) for d in range(4)]
    assert all(900 < count < 1100 for count in per_decade)
    assert math.isclose(sum(map(math.log10, drawn)) / 4000, -2, abs_tol=0.06)


def test_choices_keep_their_types():
    drawn = draw("shots", {"choice": [1, "all", None, True]}, 200, 0)
    assert {(type(value), value) for value in drawn} == {(int, 1), (str, "all"), (type(None), None), (bool, True)}


def test_equal_random_candidates_are_one(make):
    text = "tune: {random: {n: 50, space: {steps: {choice: [5, 6]}, shots: {int_uniform: [1, 2]}}}}\n"
    (rule,) = rules(make(text))
    assert sorted((c["steps"], c["shots"]) for c in rule.candidates) == [(5, 1), (5, 2), (6, 1), (6, 2)]


@pytest.mark.parametrize(
    ("distribution", "sentence"),
    [
        (5, "must be one of {uniform: [...]}, {log_uniform: [...]}, {int_uniform: [...]}, {choice: [...]}"),
        ({"uniform": [0, 1], "choice": [1]}, "must be one of"),
        ({"normal": [0, 1]}, "has no distribution 'normal'"),
        ({"uniform": [1]}, "needs two numbers [low, high]"),
        ({"uniform": [0, "x"]}, "needs two numbers [low, high]"),
        ({"uniform": [False, True]}, "needs two numbers [low, high]"),
        ({"uniform": [1, 1]}, "needs low < high, not [1, 1]"),
        ({"int_uniform": [1, 2.0]}, "needs two whole numbers [low, high]"),
        ({"log_uniform": [0, 1]}, "needs low > 0 for a logarithm, not 0"),
        ({"choice": []}, "needs a list of values to choose from"),
    ],
)
def test_what_cannot_be_drawn_from(distribution, sentence):
    with pytest.raises(SpaceError) as caught:
        draw("x", distribution, 3, 0)
    assert str(caught.value).startswith(sentence)


def test_too_many_candidates_are_refused(refused):
    values = ", ".join(map(str, range(1, 330)))
    assert refused(f"tune: {{grid: {{steps: [{values}], shots: [{values}]}}}}\n") == [
        "tune.grid has more than 100,000 candidates"
    ]


def test_overriding_what_is_tuned_is_refused(refused):
    text = "tune: {grid: {lr: [0.1, 0.2]}}\noverrides: [{match: {target: cod}, set: {lr: 0.3}}]\n"
    assert refused(text) == ["'lr' is tuned, so an override has no effect"]
