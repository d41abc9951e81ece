"""GPU-hours of a plan: sums by hand, past runs before counts, and that nothing assumed is printed as measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.graph import StageContext, Value, stage
from harness.planning.cost import PastRuns
from harness.planning.gpu_time import PEAKS, SHARE, GpuTime, gpu_lines, gpu_time, precision_of
from harness.training.rules import STANDARD_NUMERICS, Numerics


@stage(version=1, name="gpu_time_toy_heavy")
def heavy(size: int, numerics: Numerics = STANDARD_NUMERICS, *, ctx: StageContext) -> Value:
    """Takes as many PFLOP as its size."""
    raise AssertionError("never run")


@stage(version=1, name="gpu_time_toy_plain")
def plain(size: int, *, ctx: StageContext) -> Value:
    """Says nothing of its operations."""
    raise AssertionError("never run")


@heavy.counted
def of_heavy(arguments: Mapping[str, Any]) -> float | None:
    return None if arguments["size"] < 0 else arguments["size"] * 1e15


BFLOAT16 = Numerics(precision="bfloat16")


def test_hours_are_operations_over_the_stated_rate() -> None:
    found = gpu_time([heavy.bind(size=3, numerics=BFLOAT16), heavy.bind(size=5, numerics=BFLOAT16)], {})
    assert found.operations == 8e15 and found.counted["gpu_time_toy_heavy"].calls == 2
    assert found.hours == pytest.approx(8e15 / (0.3 * 312e12) / 3600)


@pytest.mark.parametrize(
    ("numerics", "name"),
    [(BFLOAT16, "bfloat16"), (STANDARD_NUMERICS, "float32"), (Numerics(tf32=True), "tf32"),
     (Numerics(precision="float64"), "float64")],
)  # fmt: skip
def test_each_precision_has_its_own_peak(numerics: Numerics, name: str) -> None:
    one = heavy.bind(size=1, numerics=numerics)
    assert precision_of(one) == name
    assert gpu_time([one], {}).hours == pytest.approx(1e15 / (SHARE * PEAKS[name]) / 3600)


def test_past_runs_on_a_gpu_stand_for_what_was_counted() -> None:
    past = {"gpu_time_toy_heavy": PastRuns(4, 7.2, 0.1)}
    found = gpu_time([heavy.bind(size=k) for k in range(1000)], past)
    assert found.counted == {} and found.hours == pytest.approx(2.0)
    text = "\n".join(gpu_lines(found))
    assert "1,000 calls, if they take the 7.2 s of the 4 past ones on a GPU in this store" in text
    assert "assumed" not in text


def test_what_is_not_known_is_named_and_in_no_number() -> None:
    found = gpu_time([heavy.bind(size=4), heavy.bind(size=-1), plain.bind(size=2)], {})
    assert found.unknown == ("gpu_time_toy_heavy", "gpu_time_toy_plain") and found.operations == 4e15
    assert gpu_lines(found)[-1] == "  in no number: gpu_time_toy_heavy, gpu_time_toy_plain"


def test_the_text_says_that_it_is_an_estimate_and_of_what() -> None:
    lines = gpu_lines(gpu_time([heavy.bind(size=400, numerics=BFLOAT16)], {}))
    assert lines[0] == "on a GPU: about 1.2 GPU-hours, an estimate:"
    assert lines[1] == "        1.2 h  gpu_time_toy_heavy: 1 calls, 400 PFLOP counted from sizes"
    assert lines[2].endswith("A100 (312 TFLOP/s in bfloat16, 19.5 in float32): assumed, nothing measured")
    assert "30% of the peak" in lines[2]
    told = gpu_time([heavy.bind(size=400, numerics=BFLOAT16)], {}).to_json()
    assert told["estimate"] is True and told["gpu"] == "A100" and told["share_of_peak"] == 0.3


def test_small_work_is_none_for_a_gpu() -> None:
    assert gpu_lines(gpu_time([plain.bind(size=1)], {})) == [] and gpu_lines(GpuTime()) == []
    assert not gpu_time([], {}).worth_telling
