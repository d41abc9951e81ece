"""A plan as text and as JSON, from counts made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.planning import Estimate, KindCounts, StaleGroup, plan_json, plan_text
from harness.planning.gpu_time import Counted, GpuTime


def plan(**changes: Any) -> Any:
    """Something with all that is told of a plan."""
    told = {
        "study": SimpleNamespace(name="small"),
        "trials": 12,
        "trials_done": 3,
        "candidates": 0,
        "stages_needed": 5,
        "stages_done": 7,
        "blocked": {},
        "counts": [KindCounts("train", 3, 4, 0, 30, 0), KindCounts("evaluate", 2, 3, 1, 6, 2)],
        "excluded": {},
        "stale": [],
        "bytes_done": 0,
        "bytes_needed": 0,
        "cost": Estimate(10.0, 8.0, 12.0, ()),
        "gpu_time": GpuTime(),
    }
    return SimpleNamespace(**{**told, **changes})


def lines(**changes: Any) -> list[str]:
    return plan_text(plan(**changes)).splitlines()


def test_the_whole_text_of_a_small_plan() -> None:
    assert plan_text(plan()) == (
        "study small: 12 trials, 3 done\n"
        "\n"
        "stage                  needed  done  blocked  alone  saved by sharing\n"
        "train                       3     4        0     30                23\n"
        "evaluate  2 (2 chosen later)     3        1      6                 0\n"
        "\n"
        "artifacts: 0 B stored, 0 B to come\n"
        "work left: 5 stages, 10 s on one worker (8 s to 12 s), by past runs"
    ).replace("stage                  needed", "stage                 needed").replace(
        "train                       3", "train                      3"
    )


@pytest.mark.parametrize(
    ("needed", "done", "blocked", "alone", "total", "saved"),
    [(0, 0, 0, 0, 0, 0), (3, 4, 5, 30, 12, 18), (3, 4, 5, 12, 12, 0), (3, 4, 5, 2, 12, 0)],
)
def test_what_sharing_saves(needed: int, done: int, blocked: int, alone: int, total: int, saved: int) -> None:
    count = KindCounts("k", needed, done, blocked, alone, 0)
    assert (count.total, count.saved) == (total, saved)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"trials": 1, "trials_done": 0}, "study small: 1 trial, 0 done"),
        ({"trials": 1_000_000, "trials_done": 2500}, "study small: 1,000,000 trials, 2,500 done"),
        ({"candidates": 1}, "study small: 12 trials, 3 done, 1 candidate"),
        ({"candidates": 1440}, "study small: 12 trials, 3 done, 1,440 candidates"),
        ({"excluded": {"a": 1}}, "study small: 12 trials, 3 done, 1 cell excluded"),
        ({"excluded": {"a": 1, "b": 1999}}, "study small: 12 trials, 3 done, 2,000 cells excluded"),
    ],
)
def test_the_first_line_counts(changes: dict[str, Any], first: str) -> None:
    assert lines(**changes)[0] == first


@pytest.mark.parametrize(
    ("nbytes", "said"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (1, "1 B"),
        (1000, "1,000 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (1023 * 1024, "1,023 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (5 * 2**30, "5 GiB"),
        (3 * 2**40, "3 TiB"),
        (5000 * 2**40, "5,000 TiB"),
    ],
)
def test_bytes(nbytes: int | None, said: str) -> None:
    assert f"artifacts: 0 B stored, {said} to come" in lines(bytes_needed=nbytes)


@pytest.mark.parametrize(
    ("cost", "needed", "said"),
    [
        (Estimate(0.0, 0.0, 0.0, ()), 0, "nothing"),
        (Estimate(None, None, None, ("train",)), 0, "nothing"),
        (Estimate(None, None, None, ("a", "b")), 5, "5 stages, time unknown (no past runs of a, b)"),
        (Estimate(2.0, None, None, ()), 1, "1 stage, 2 s on one worker, by past runs"),
        (Estimate(2.0, 1.0, None, ()), 2, "2 stages, 2 s on one worker, by past runs"),
        (Estimate(119.0, 0.0, 120.0, ()), 2, "2 stages, 119 s on one worker (0 s to 2 min), by past runs"),
        (Estimate(7199.0, 90.0, 7200.0, ()), 2, "2 stages, 120 min on one worker (90 s to 2 h), by past runs"),
        (Estimate(9e6, 3.6e6, 3.6e7, ()), 43, "43 stages, 2,500 h on one worker (1,000 h to 10,000 h), by past runs"),
    ],
)
def test_cost(cost: Estimate, needed: int, said: str) -> None:
    assert lines(cost=cost, stages_needed=needed)[-1] == f"work left: {said}"


def test_why_cells_are_out_why_stages_cannot_run_and_what_is_stale() -> None:
    found = lines(
        excluded={"too far": 1200, "same task": 3},
        blocked={"k1": "input init diverged", "k2": "was not trained", "k3": "input init diverged"},
        stale=[StaleGroup("train", 4, ("a.b", "c")), StaleGroup("evaluate", 1, ())],
    )
    assert found[found.index("excluded:") :] == [
        "excluded:",
        "      1,200  too far",
        "          3  same task",
        "",
        "cannot run:",
        "          2  input init diverged",
        "          1  was not trained",
        "",
        "stale (made by other code than today's):",
        "          4  train: a.b, c changed",
        "          1  evaluate: which code changed is not known",
    ]


def test_json_has_every_number() -> None:
    told = plan_json(
        plan(
            candidates=6,
            blocked={"k": "why"},
            excluded={"x": 2},
            stale=[StaleGroup("train", 4, ("a",))],
            bytes_done=5,
            bytes_needed=None,
            cost=Estimate(None, None, None, ("evaluate",)),
        )
    )
    assert told == {
        "study": "small",
        "trials": 12,
        "trials_done": 3,
        "candidates": 6,
        "stages_needed": 5,
        "stages_done": 7,
        "stages_blocked": 1,
        "stages": {
            "train": {"needed": 3, "done": 4, "blocked": 0, "chosen_later": 0, "alone": 30, "saved": 23},
            "evaluate": {"needed": 2, "done": 3, "blocked": 1, "chosen_later": 2, "alone": 6, "saved": 0},
        },
        "excluded": {"x": 2},
        "stale": [{"kind": "train", "count": 4, "changed": ["a"]}],
        "bytes": {"stored": 5, "needed": None},
        "cost": {"seconds": None, "low": None, "high": None, "unknown": ["evaluate"]},
    }


def test_gpu_hours_follow_the_work_left_and_stand_in_json() -> None:
    told = GpuTime({"train": Counted(3, 4e17, 3600.0)})
    text = lines(gpu_time=told)
    at = next(k for k, line in enumerate(text) if line.startswith("work left"))
    assert text[at + 1] == "on a GPU: about 1 GPU-hours, an estimate:"
    assert plan_json(plan(gpu_time=told))["gpu"]["hours"] == 1.0
    assert "gpu" not in plan_json(plan())
