"""Shared examples of a study: counted for its pairs of tasks, written down, read from the cache the second time."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import harness
import harness.api
from harness.errors import HarnessError
from harness.leakage import FEWEST_KEPT, Compared, check_leakage, closest, compare_tasks
from harness.planning.leakage import leakage_path, read_leakage
from harness.study import expand
from harness.tasks.base import Split, Task

STUDY = """\
study: small
sources: [digits_upright, digits_invert, {tasks: [digits_noise, digits_flip], as: all}, untrained]
targets: [digits_upright, digits_invert]
backbones: [mlp]
methods: [linear_probe]
"""
READS: list[str] = []


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    READS.clear()
    return tmp_path / "cache"


def pictures(seed: int, count: int) -> torch.Tensor:
    coarse = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, 24, mode="bicubic").clamp(0, 1)


def load(seed: int, shared: int, name: str) -> Split:
    """A split of 20 for training, or of 10 for testing, `shared` of which are of those for training."""
    READS.append(f"{seed} {name}")
    train = pictures(seed, 20)
    inputs = train if name == "train" else torch.cat([train[:shared], pictures(seed + 100, 10 - shared)])
    return Split(inputs, torch.arange(len(inputs)) % 2)


def toy(name: str, seed: int, shared: int = 0) -> Task:
    return Task(
        name=name,
        n_classes=2,
        class_names=("a", "b"),
        input_shape=(1, 24, 24),
        sizes={"train": 20, "test": 10},
        data={"seed": seed, "shared": shared},
        load=functools.partial(load, seed, shared),
        code=("harness.tasks.base",),
    )


def test_pairs_are_counted_as_made() -> None:
    one, other = toy("one", 1, 3), toy("other", 2)
    found = compare_tasks([(one, one), (one, other), (other, one), (other, other)])
    assert [compared.count().exact for compared in found] == [3, 0, 0, 0]
    assert all(compared.count().of == 10 for compared in found)
    assert sorted(READS) == ["1 test", "1 train", "2 test", "2 train"], "each split is read once"


def test_the_cache_spares_reading_and_changed_data_are_read() -> None:
    one = toy("one", 1, 3)
    said: list[str] = []
    first = compare_tasks([(one, one)], said.append)
    assert said == ["reading one train (20 examples)", "reading one test (10 examples)"]
    READS.clear()
    assert compare_tasks([(one, one)])[0].count() == first[0].count() and READS == []
    compare_tasks([(toy("one", 1, 4),) * 2])
    assert sorted(READS) == ["1 test", "1 train"]


def test_changed_code_of_a_plugin_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "drawn_task.py"
    monkeypatch.syspath_prepend(tmp_path)
    task = dataclasses.replace(toy("drawn", 3), code=("harness.tasks.base", "drawn_task"))
    for body, reads in (("SIZE = 1", 2), ("SIZE = 1  # the same", 0), ("SIZE = 2", 2)):
        plugin.write_text(f"{body}\n", encoding="utf-8")
        READS.clear()
        compare_tasks([(task, task)])
        assert len(READS) == reads, body


def test_data_that_cannot_be_read_are_one_sentence() -> None:
    def broken(_name: str) -> Split:
        raise FileNotFoundError("images.bin")

    task = dataclasses.replace(toy("gone", 4), load=broken)
    with pytest.raises(
        HarnessError, match=r"task 'gone': split 'train' cannot be read: FileNotFoundError: images\.bin"
    ):
        compare_tasks([(task, task)])


def test_pairs_to_look_at_come_from_all_pairs_of_tasks_in_turn() -> None:
    many, few, none = toy("many", 1, 6), toy("few", 2, 2), toy("none", 3)
    found = compare_tasks([(task, task) for task in (none, few, many)])
    shown = [(one.learned.name, pair.tested) for one, pair in closest(found, 6)]
    assert shown == [("many", 0), ("few", 0), ("many", 1), ("few", 1), ("many", 2), ("many", 3)]
    assert len(closest(found, 100)) == 8 and FEWEST_KEPT >= 6


def study(folder: Path) -> Path:
    path = folder / "small.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def test_a_study_is_checked_and_written_down(tmp_path: Path) -> None:
    loaded = harness.load_study(study(tmp_path))
    found = check_leakage(loaded, expand(loaded), tmp_path)
    entries = json.loads(leakage_path("small", tmp_path).read_text(encoding="utf-8"))
    pairs = {(entry["source"], entry["target"]) for entry in entries}
    sources = ("digits_upright", "digits_invert", "digits_noise", "digits_flip")
    assert pairs == {(source, target) for source in sources for target in ("digits_upright", "digits_invert")}
    for entry in entries:
        assert {"source", "target", "split", "exact", "near", "of"} <= set(entry)
        assert entry["split"] == "test" and entry["of"] == 540 and entry["exact"] == 0
    assert read_leakage("small", tmp_path) == [one.count() for one in found]
    assert [path.name for path in leakage_path("small", tmp_path).parent.iterdir()] == ["leakage.json"]


def test_planning_and_preparing_know_of_it(tmp_path: Path) -> None:
    path, results = study(tmp_path), tmp_path / "results"
    assert harness.api.known_leakage(path, results).missing == 8
    assert not results.exists(), "nothing is compared, nothing is written"
    harness.prepare(path, results)
    known = harness.api.known_leakage(path, results)
    assert (known.pairs, known.missing) == (8, 0)


def test_the_report_reads_what_is_written(tmp_path: Path) -> None:
    shared = pytest.importorskip("analysis.shared_examples")
    harness.api.leakage(study(tmp_path), tmp_path)
    read: Any = shared.read_shared(tmp_path / "small")
    assert len(read) == 8 and {entry.of for entry in read} == {540}


def test_digits_of_one_domain_have_no_twin_in_another_split() -> None:
    """Within one drawing of the digits no test picture equals a training picture: the set has no exact repeats."""
    from harness.tasks.digits import digits_upright

    (found,) = compare_tasks([(digits_upright(), digits_upright())])
    assert isinstance(found, Compared) and found.found.exact == 0
    inputs = {name: digits_upright().split(name).inputs for name in ("train", "test")}
    train = {row.numpy().tobytes() for row in inputs["train"][:]}
    assert not train & {row.numpy().tobytes() for row in inputs["test"][:]}
