"""Keys: what is in them, what is not, and what binding refuses."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.graph import Choice, Measurements, Stage, StageContext, Value, Weights, derive_seed, find_kind, stage
from harness.graph.canonical import ArgumentError, canonical_json, coerce


@dataclass(frozen=True)
class Data:
    name: str
    version: int = 1

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.name, "version": self.version}

    def modules(self) -> tuple[str, ...]:
        return (__name__,)


@dataclass(frozen=True)
class Options:
    momentum: float = 0.9
    nesterov: bool = False


@stage(version=1, name="t_train")
def train(
    data: Data,
    init: Weights | None = None,
    rate: float = 0.1,
    steps: int = 100,
    shots: int | Literal["all"] = "all",
    options: Options = Options(),
    seed: int = 0,
    *,
    ctx: StageContext,
) -> Weights:
    raise AssertionError("only described here")


@stage(version=2, name="t_evaluate")
def evaluate(net: Weights, data: Data, splits: tuple[str, ...] = ("test",)) -> Measurements:
    return Measurements(())


@stage(version=1, name="t_pick")
def pick(scores: tuple[Measurements, ...], names: Mapping[str, int] | None = None) -> Value:
    return Value({"index": len(scores)})


DATA = Data("digits")


def digest(preimage: dict[str, Any]) -> str:
    """The key written out by hand: sha256 of sorted JSON, cut to 32 hex digits."""
    head = json.dumps({"stage": preimage["stage"], "version": preimage["version"]}, separators=(",", ":"))[:-1]
    arguments = json.dumps(preimage["arguments"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f'{head},"arguments":{arguments}}}'.encode()).hexdigest()[:32]


def test_key_is_the_hash_of_the_documented_preimage() -> None:
    base = train.bind(data=DATA, seed=3)
    assert base.key == digest(
        {"stage": "t_train", "version": 1, "arguments": {"data": {"name": "digits", "version": 1}, "seed": 3}}
    )
    net = evaluate.bind(net=base, data=DATA, splits=["val", "test"])
    arguments = {"net": {"input": base.key}, "data": {"name": "digits", "version": 1}, "splits": ["val", "test"]}
    assert net.key == digest({"stage": "t_evaluate", "version": 2, "arguments": arguments})
    assert json.loads(net.preimage())["arguments"] == arguments


@pytest.mark.parametrize(
    "same",
    [
        {"rate": 0.1},
        {"steps": 100.0},
        {"shots": "all", "init": None},
        {"options": Options(momentum=0.9)},
        {"seed": 0, "data": Data("digits", version=1)},
    ],
)
def test_defaults_and_equal_values_move_no_key(same: dict[str, Any]) -> None:
    assert train.bind(**{"data": DATA, **same}).key == train.bind(data=DATA).key


def test_one_equals_one_point_zero_for_a_float_only() -> None:
    assert train.bind(data=DATA, rate=1).key == train.bind(data=DATA, rate=1.0).key
    assert train.bind(data=DATA, rate=-0.0).key == train.bind(data=DATA, rate=0).key
    assert type(train.bind(data=DATA, rate=1).arguments["rate"]) is float
    assert type(train.bind(data=DATA, steps=1e3).arguments["steps"]) is int


@pytest.mark.parametrize(
    "other",
    [
        {"rate": 0.2},
        {"seed": 1},
        {"shots": 5},
        {"options": Options(nesterov=True)},
        {"data": Data("digits", version=2)},
        {"init": train.bind(data=Data("letters"))},
    ],
)
def test_what_changes_results_moves_the_key(other: dict[str, Any]) -> None:
    assert train.bind(**{"data": DATA, **other}).key != train.bind(data=DATA).key


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"data": DATA, "rates": 1}, "has no argument 'rates' (did you mean 'rate'?)"),
        ({}, "it needs the argument 'data'"),
        ({"data": DATA, "rate": "fast"}, "argument 'rate' should be float, not 'fast'"),
        ({"data": DATA, "rate": float("nan")}, "argument 'rate' should be float, not nan"),
        ({"data": DATA, "steps": 1.5}, "argument 'steps' should be int, not 1.5"),
        ({"data": DATA, "steps": True}, "argument 'steps' should be int, not True"),
        ({"data": DATA, "shots": "some"}, "argument 'shots' should be int or 'all', not 'some'"),
        ({"data": "digits"}, "argument 'data' should be Data, not 'digits'"),
        ({"data": DATA, "init": 3}, "argument 'init' should be Weights or null, not 3"),
    ],
)
def test_bad_arguments_give_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        train.bind(**arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inputs_are_found_in_order_and_by_name() -> None:
    nets = [train.bind(data=DATA, seed=seed) for seed in range(3)]
    scores = [evaluate.bind(net=net, data=DATA) for net in nets]
    chosen = pick.bind(scores=scores)
    assert chosen.inputs == tuple(scores)
    assert [name for name, _ in chosen.named_inputs()] == ["scores"] * 3
    assert scores[0].named_inputs() == [("net", nets[0])]
    assert train.bind(data=DATA).inputs == ()
    assert [item.identity() for item in scores[0].identified()] == [DATA.identity()]


def test_a_choice_waits_only_for_its_selector() -> None:
    options = [evaluate.bind(net=train.bind(data=DATA, seed=seed), data=DATA) for seed in range(3)]
    selector = pick.bind(scores=options)
    choice = Choice(selector, options)
    assert choice.inputs == (selector,)
    assert choice.key != Choice(selector, options[:2]).key
    assert choice.key == Choice(selector, list(options)).key
    with pytest.raises(ArgumentError):
        Choice(selector, [])


def test_kinds_know_what_they_return_and_travel_by_name() -> None:
    assert (train.result, evaluate.result, pick.result) == ("artifact", "measurements", "value")
    assert copy.copy(train) is train  # by the same road as any transport between processes
    assert find_kind(__name__, "t_train") is train
    with pytest.raises(HarnessError, match="defines no stage 't_trian'"):
        find_kind(__name__, "t_trian")


def test_direct_call_runs_the_function() -> None:
    assert evaluate(net=None, data=DATA) == Measurements(())  # type: ignore[arg-type]  # the body ignores it


def test_declarations_are_checked() -> None:
    with pytest.raises(HarnessError, match="no argument 'start'"):

        @stage(version=1, name="t_bad_needs", needs_trained=("start",))
        def bad_needs(x: int) -> Value: ...

    @stage(version=1, name="t_no_result")
    def no_result(x: int) -> int: ...

    with pytest.raises(HarnessError, match="must be annotated to return"):
        no_result.bind(x=1)

    @stage(version=1, name="t_no_annotation")
    def no_annotation(x) -> Value: ...  # type: ignore[no-untyped-def]  # that is the point

    with pytest.raises(HarnessError, match="'x' has no type annotation"):
        no_annotation.bind(x=1)

    with pytest.raises(HarnessError, match="at least one member"):
        pick.batched(width=0, group=lambda arguments: ())


def test_batched_form_is_declared_and_groups_calls() -> None:
    @stage(version=1, name="t_batched")
    def single(data: Data, seed: int) -> Value: ...

    @single.batched(width=4, group=lambda arguments: arguments["data"].name)
    def together(members: Any, ctx: Any) -> list[Value]:
        return [Value({}) for _ in members]

    one, two = single.bind(data=DATA, seed=0), single.bind(data=DATA, seed=1)
    assert single.batch is not None and single.batch.width == 4
    assert one.group() == two.group() != single.bind(data=Data("other"), seed=0).group()
    assert one.key != two.key
    assert train.bind(data=DATA).group() != train.bind(data=DATA, seed=1).group()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_canonical_json_reads_back_and_ignores_order(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(list(value.items())))) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit(value: float) -> None:
    assert coerce(json.loads(canonical_json(value)), float) == value


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), {1: object()}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, float | None, 1.0),
        (None, float | None, None),
        (1, int | float, 1),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ({"b": 1, "a": 2}, Mapping[str, float], {"a": 2.0, "b": 1.0}),
        ("all", int | Literal["all"], "all"),
        ({"x": [1]}, Any, {"x": [1]}),
    ],
)
def test_coercion_follows_the_annotation(value: Any, annotation: Any, expected: Any) -> None:
    found = coerce(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("ab", tuple[str, ...]), ([1], tuple[int, int]), ({1: 2}, Mapping[str, int]), (0, bool), (1, Literal[True])],
)
def test_coercion_refuses_what_does_not_fit(value: Any, annotation: Any) -> None:
    with pytest.raises(ArgumentError, match="should be"):
        coerce(value, annotation)


def test_derived_seeds_are_the_documented_hash() -> None:
    text = "7\x1forder\x1fstr:digits\x1fint:3"
    expected = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    assert derive_seed(7, "order", "digits", 3) == expected < 2**63
    assert derive_seed(7, "order", "3") != derive_seed(7, "order", 3)


def test_a_key_is_the_same_in_every_process() -> None:
    script = (
        "from harness.graph import stage, Value\n"
        "@stage(version=1, name='p')\n"
        "def p(x: int, names: dict[str, int]) -> Value: ...\n"
        "print(p.bind(x=1, names={'b': 1, 'a': 2}).key)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert isinstance(train.bind(data=DATA), Stage)
