"""``harness store merge`` as users type it: what it prints and what its exit status says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.cli import main
from harness.store import CurveRow, Group, MeasurementRow, StageRecord, Store

KEYS = {name: f"{place:032x}" for place, name in enumerate("xyz")}


def results(folder: Path, values: dict[str, float], study: str = "s") -> Path:
    store = Store.open(folder, create=True)
    group = Group()
    for name, value in values.items():
        row = StageRecord(KEYS[name], "evaluate")
        group.records.append(row)
        group.measurements.append(MeasurementRow(row.key, row.attempt, "digits", "test", "accuracy", value))
        group.curves.append(CurveRow(row.key, row.attempt, "loss", 0, 1.0))
    store.commit(group)
    count = len(values)
    columns = {
        "source": ["mnist"],
        "target": ["digits"],
        "method": ["probe"],
        "params": ["{}"],
        "plan": ["".join(values)],
    }
    table = {name: value * count for name, value in columns.items()}
    store.write_trials(study, {**table, "trial_id": list(values), "key": [KEYS[name] for name in values]}, [])
    return folder


def test_two_halves_become_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = results(tmp_path / "a", {"x": 0.5}, "first"), results(tmp_path / "b", {"y": 0.25, "z": 1.0}, "second")
    assert main(["store", "merge", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    assert f"{b}: stages: 2 added" in said and "studies added: second" in said
    assert set(Store.open(a).records()) == set(KEYS.values())
    assert set(Store.open(b).records()) == {KEYS["y"], KEYS["z"]}
    assert main(["store", "merge", str(a / "store"), str(b / "store")]) == 0
    assert "stages: 2 there already" in capsys.readouterr().out


def test_into_a_new_folder_leaves_both_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = results(tmp_path / "a", {"x": 0.5}, "first"), results(tmp_path / "b", {"y": 0.25}, "second")
    new = tmp_path / "new"
    assert main(["store", "merge", str(a), str(b), "--into", str(new), "--dry-run"]) == 2
    assert "leave out --dry-run" in capsys.readouterr().err and not new.exists()
    assert main(["store", "merge", str(a), str(b), "--into", str(new)]) == 0
    assert set(Store.open(new).records()) == {KEYS["x"], KEYS["y"]}
    assert set(Store.open(a).records()) == {KEYS["x"]}


def test_what_differs_is_told_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = results(tmp_path / "a", {"x": 0.5, "y": 0.5}), results(tmp_path / "b", {"x": 0.5, "y": 0.75, "z": 1.0})
    table = tmp_path / "conflicts.csv"
    for dry in (["--dry-run"], []):
        assert main(["store", "merge", str(a), str(b), "--conflicts", str(table), *dry]) == 3
        said = capsys.readouterr().out
        assert "1 computed twice, equal" in said and "1 with other outcomes" in said
        assert ("1 would be added" if dry else "1 added") in said
        (line,) = (line for line in said.splitlines() if KEYS["y"] in line)
        assert line.split("  ")[0] == "stage" and "trial y (mnist > digits, probe)" in line
        assert line.split()[-2:] == ["0.5", "0.75"]
        (line,) = (line for line in said.splitlines() if line.startswith("plan"))
        assert "2 trials, 0 only here" in line and "3 trials, 1 only here" in line
        with table.open() as file:
            row = next(csv.DictReader(file))
        assert (row["what"], row["ours"], row["theirs"]) == ("stage", "0.5", "0.75")
    (row,) = Store.open(a).measurements(KEYS["y"])
    assert row.value == 0.5


def test_wrong_folders_get_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = results(tmp_path / "a", {"x": 0.5})
    assert main(["store", "merge", str(a), str(tmp_path / "no")]) == 2
    assert f"there are no results under '{tmp_path / 'no'}' to merge" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    assert main(["store", "merge", str(a), str(a)]) == 2
    assert "cannot be merged with itself" in capsys.readouterr().err
    assert main(["store", "merge", str(tmp_path / "no"), str(a)]) == 2
    assert not (tmp_path / "no").exists()
    assert main(["store", "merge", str(a), str(a / "store"), "--conflicts", str(tmp_path / "no" / "c.csv")]) == 2


def test_nothing_is_written_before_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = results(tmp_path / "a", {"x": 0.5}), results(tmp_path / "b", {"y": 0.5})
    for words, sentence in (
        (["--into", str(b)], f"'{b}' cannot be merged with itself"),
        (["--conflicts", str(tmp_path / "no" / "c.csv")], "there is no folder for"),
    ):
        assert main(["store", "merge", str(a), str(b), *words]) == 2
        said = capsys.readouterr()
        assert sentence in said.err and said.out == ""
        assert set(Store.open(b).records()) == {KEYS["y"]} and set(Store.open(a).records()) == {KEYS["x"]}


def test_a_folder_named_twice_is_merged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = results(tmp_path / "a", {"x": 0.5}), results(tmp_path / "b", {"x": 0.75})
    assert main(["store", "merge", str(a), str(b), str(b / "store")]) == 3
    said = capsys.readouterr().out
    assert said.count("with other outcomes") == said.count(KEYS["x"]) == 1
