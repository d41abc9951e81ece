"""``harness tasks``: the table, one task, JSON, pictures; without reading data and at once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.cli.tasks import HEAD, file_name, kind_of, packages_of
from harness.data.catalogue import PACKAGES
from harness.data.fetch import INVENTORY
from harness.registry import TASKS
from harness.tasks.manifest import rules

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["tasks", *words]) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(printed(capsys, *words, "--json"))


def have(name: str) -> None:
    """Make a package look unpacked."""
    PACKAGES[name].folder.mkdir(parents=True)
    (PACKAGES[name].folder / INVENTORY).write_text("{}", encoding="utf-8")


def test_every_packaged_task_has_a_line_with_what_its_manifest_says(capsys: pytest.CaptureFixture[str]) -> None:
    table, _, makers = printed(capsys).partition("\n\n")
    lines = table.splitlines()
    assert tuple(lines[0].split()) == HEAD
    starts = [lines[0].index(word) for word in HEAD]
    rows = {
        line.split()[0]: [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines
    }
    for name, rule in rules().items():
        task = TASKS.get(name)()
        _, kind, classes, *sizes, metric, family, where, licence = rows[name]
        assert (kind, classes, metric, licence) == (rule.kind, str(task.n_classes), "accuracy", rule.licences())
        assert [size.replace(",", "") for size in sizes] == [
            str(task.sizes[split]) for split in ("train", "val", "test")
        ]
        megabytes = sum(PACKAGES[package].size for package in rule.packages) / 1e6
        assert where == (f"not fetched ({megabytes:.1f} MB)" if rule.packages else "here") and family != "-"
    assert {line.split()[0] for line in makers.splitlines()[1:]} >= {"half", "subset", "at_most", "imagefolder"}
    assert "half" not in rows


def test_where_the_data_are_follows_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    have("flag_icons")
    assert as_json(capsys, "flag_continent")["bytes_to_fetch"] == PACKAGES["circle_flags"].size
    have("circle_flags")
    found = as_json(capsys, "flag_continent")
    assert found["here"] and found["bytes_to_fetch"] == 0 and found["packages"] == ["flag_icons", "circle_flags"]


def seconds_of_children() -> float:
    """Return the processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_list_is_fast_and_imports_nothing_heavy(harness_command: Command) -> None:
    spent = []
    for _ in range(3):
        begun = seconds_of_children()
        assert harness_command("tasks").returncode == 0
        spent.append(seconds_of_children() - begun)
    # Processor time, the best of three: a loaded machine may be slow, an import of torch is slow always.
    assert min(spent) < 1.0
    code = (
        "import sys\nfrom harness.cli import main\nmain(['tasks', '--json'])\n"
        "print(sorted({'torch', 'pandas', 'PIL', 'scipy', 'numpy', 'sklearn'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_json_of_all_is_json_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["name"]: entry for entry in as_json(capsys)}
    assert set(rules()) <= set(found)
    one = as_json(capsys, "bbc_topic")
    assert one.pop("class_names") == ["business", "entertainment", "politics", "sports", "technology"]
    assert [sum(counts) for counts in one.pop("class_sizes").values()] == list(one["sizes"].values())
    assert one == found["bbc_topic"]
    assert found["bbc_topic"]["kind"] == "text" and found["mnist"]["kind"] == "image"


def test_one_task_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "emoji_face")
    for wanted in (
        "task emoji_face: ", "family: emoji", "licence: MIT for the data", "10 classes: ", "inputs 3x96x96",
        "accuracy, higher is better", "style ", "7 domains: ", "divided: ", "emoji-datasource 16.0.0", "CC-BY-SA-4.0",
        "harness data fetch emoji openmoji fluent_emoji_3d",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_many_class_names_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    names = TASKS.get("script_id")().class_names
    text = printed(capsys, "script_id")
    assert f"20 classes: {', '.join(names[:12])} and 8 more\n" in text


def test_derived_tasks_are_described_like_others(capsys: pytest.CaptureFixture[str]) -> None:
    reference = "half(of=at_most(of=mnist, n=10), split=0, side=a)"
    found = as_json(capsys, reference)
    assert found["name"] == reference and found["classes"] == 5 and found["sizes"]["train"] == 50
    assert found["packages"] == ["mnist"] and not found["here"]
    assert "harness data fetch mnist" in printed(capsys, reference)


def test_what_makes_tasks_is_described_by_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "half")
    assert "required" in text and '"a" or "b"' in text and "classes:" not in text


def test_a_folder_of_pictures_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    for split in ("train", "val", "test"):
        (tmp_path / "pets" / split / "cat").mkdir(parents=True)
        image.new("RGB", (8, 8)).save(tmp_path / "pets" / split / "cat" / "a.png")
    found = as_json(capsys, f"imagefolder(name=pets, path={tmp_path / 'pets'})")
    assert found["sizes"] == {"train": 1, "val": 1, "test": 1} and found["here"] and found["class_names"] == ["cat"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["digits_upwrite"], "'digits_upright'"),
        (["half(of=minst, split=0, side=a)"], "'mnist'"),
        (["half(of=mnist, split=0)"], "needs the parameter 'side'"),
        (["half", "--json"], "half(...)"),
        (["--show", "x.png"], "needs the name of a task"),
        (["--show"], "needs the name of a task"),
        (["half", "--show", "x.png"], "has no examples of its own"),
        (["mnist", "--show"], "harness data fetch mnist"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tasks", *words]) == 2
    told = capsys.readouterr()
    assert sentence in told.err and told.err.count("\n") == 1


def test_show_writes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    first, second = tmp_path / "upright.png", tmp_path / "invert.png"
    printed(capsys, "digits_upright", "--show", str(first))
    assert "digits_invert" in printed(capsys, "digits_invert", "--show", str(second))
    assert first.read_bytes().startswith(b"\x89PNG")
    assert hashlib.sha256(first.read_bytes()).digest() != hashlib.sha256(second.read_bytes()).digest()


def test_without_a_file_name_pictures_go_into_the_cache(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    said = printed(capsys, "half(of=digits_upright, split=0, side=a)", "--show")
    (sheet,) = (empty_cache / "data" / "sheets").iterdir()
    assert str(sheet) in said and sheet.suffix == ".png"


def test_names_make_file_names() -> None:
    assert file_name("half(of=a/b, split=0)") == "half_of_a_b__split_0"
    assert len(file_name("x" * 500)) == 100


def test_kinds_and_packages() -> None:
    assert kind_of(TASKS.get("mnist")()) == "image" and kind_of(TASKS.get("spam3")()) == "text"
    nested = {"of": [{"provider": "packaged", "packages": {"mnist": "0"}}, {"provider": "packaged", "packages": {}}]}
    assert [package.name for package in packages_of(nested)] == ["mnist"]
    assert packages_of({"provider": "files", "packages": {"mnist": "0"}}) == ()
