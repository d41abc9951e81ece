"""Which pairs of tasks a study uses, and what its plan says of the examples they share."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.planning.leakage import (
    LeakageSummary,
    SharedCount,
    leakage_path,
    pair_digest,
    read_leakage,
    summarise_leakage,
    used_pairs,
)
from harness.planning.render import leakage_lines
from harness.tasks.base import Task, TaskSet
from harness.tasks.digits import digits_flip, digits_invert, digits_noise, digits_upright

FLIP, INVERT, NOISE, UPRIGHT = digits_flip(), digits_invert(), digits_noise(), digits_upright()
TEXT = dataclasses.replace(UPRIGHT, name="text", input_shape=())
UNTESTED = dataclasses.replace(UPRIGHT, name="untested", sizes={"train": 5}, class_sizes={})


def block(rows: list[list[int]], **axes: tuple[object, ...]) -> Any:
    """Something with axes and rows, as a block has."""
    made = [SimpleNamespace(name=name, values=values) for name, values in axes.items()]
    return SimpleNamespace(axes=made, rows=np.array(rows).reshape(-1, len(made)))


def names(pairs: Any) -> set[tuple[str, str]]:
    return {(learned.name, tested.name) for learned, tested in pairs}


def test_pairs_are_those_of_the_cells_and_each_target_with_itself() -> None:
    cells = block(
        [[0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]], source=(FLIP, INVERT), target=(UPRIGHT, NOISE), seed=(0, 1)
    )
    assert names(used_pairs([cells])) == {
        ("digits_flip", "digits_upright"),
        ("digits_flip", "digits_noise"),
        ("digits_invert", "digits_noise"),
        ("digits_upright", "digits_upright"),
        ("digits_noise", "digits_noise"),
    }


def test_sets_are_taken_apart_and_what_is_no_task_has_no_examples() -> None:
    cells = block([[0, 0], [1, 0]], target=(UPRIGHT,), source=(TaskSet((FLIP, UPRIGHT)), None))
    cells.rows = np.array([[0, 0], [0, 1]])
    assert names(used_pairs([cells])) == {("digits_flip", "digits_upright"), ("digits_upright", "digits_upright")}


def test_without_a_source_a_target_stands_beside_itself() -> None:
    assert names(used_pairs([block([[0]], target=(NOISE,)), block([], target=(FLIP,))])) == {
        ("digits_noise", "digits_noise")
    }


@pytest.mark.parametrize("other", [TEXT, UNTESTED])
def test_what_cannot_be_compared_is_left_out(other: Task) -> None:
    pairs = names(used_pairs([block([[0, 0]], source=(TEXT,), target=(UPRIGHT,)), block([[0]], target=(UNTESTED,))]))
    assert pairs == {("digits_upright", "digits_upright")}


def count(source: Task, target: Task, exact: int = 0, near: int = 0, of: int = 100) -> SharedCount:
    return SharedCount(source.name, target.name, "test", exact, near, of, pair_digest(source, target))


def write(folder: Path, *counts: SharedCount) -> None:
    path = leakage_path("small", folder)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([dataclasses.asdict(one) for one in counts]), encoding="utf-8")


def test_what_is_known_is_found_again(tmp_path: Path) -> None:
    write(tmp_path, count(FLIP, UPRIGHT, 1, 2), count(NOISE, UPRIGHT), count(INVERT, UPRIGHT, 0, 9))
    found = summarise_leakage("small", [(FLIP, UPRIGHT), (INVERT, UPRIGHT), (UPRIGHT, UPRIGHT)], tmp_path)
    assert (found.pairs, found.missing, found.exact, found.near) == (3, 1, 1, 1)
    worst = found.worst()
    assert worst is not None and (worst.source, worst.near) == ("digits_invert", 9)


def test_what_was_found_of_other_data_is_not_known(tmp_path: Path) -> None:
    write(tmp_path, count(FLIP, UPRIGHT, 1))
    changed = dataclasses.replace(FLIP, data={"provider": "elsewhere"})
    assert summarise_leakage("small", [(changed, UPRIGHT)], tmp_path).missing == 1
    assert summarise_leakage("other", [(FLIP, UPRIGHT)], tmp_path).missing == 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"source": "a"}]', "3"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    leakage_path("small", tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=r"leakage\.json is damaged: remove it"):
        read_leakage("small", tmp_path)


def test_a_plan_says_what_was_not_looked_at() -> None:
    assert leakage_lines(LeakageSummary("small", 3, ())) == [
        "shared examples: 3 pairs of tasks not checked: run `harness data leakage small`"
    ]


def test_a_plan_names_the_worst_pair() -> None:
    found = (count(FLIP, UPRIGHT, 1, 2), count(NOISE, UPRIGHT), count(INVERT, UPRIGHT, 0, 9))
    assert leakage_lines(LeakageSummary("small", 5, found)) == [
        "shared examples: of 3 pairs of tasks (training, test), 1 share equal ones, 1 only similar ones",
        "  most: digits_invert (training) and digits_upright (test): 0 equal, 9 similar of 100 test examples; "
        "to look at them: `harness data leakage small --show`",
        "  2 pairs not checked: run `harness data leakage small`",
    ]


def test_where_nothing_is_shared_no_pair_is_named() -> None:
    summary = LeakageSummary("small", 1, (count(FLIP, UPRIGHT),))
    assert summary.worst() is None and len(leakage_lines(summary)) == 1
    assert count(FLIP, UPRIGHT, of=0).share == 0


def test_a_summary_needs_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from harness.planning.leakage import summarise_leakage\n"
        "from harness.planning.render import leakage_lines\n"
        "from harness.tasks.digits import digits_flip\n"
        "leakage_lines(summarise_leakage('none', [(digits_flip(), digits_flip())], 'nowhere'))\n"
        "print(*{'torch', 'pandas', 'PIL', 'scipy', 'sklearn'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
