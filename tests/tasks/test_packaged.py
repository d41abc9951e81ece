"""What all packaged tasks share, on a rule that reads a small package made here."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.data import manifest as manifests
from harness.data.items import Item
from harness.errors import HarnessError
from harness.tasks import manifest as making
from harness.tasks import packaged
from harness.tasks.packaged import Folders, Rule, captions, picture_task, text_task

Image = pytest.importorskip("PIL.Image")
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def draw(name: str, number: int, size: int) -> object:
    image = Image.new("RGB", (size, size), COLOURS[name])
    image.paste((number * 8, 255 - number * 8, number), (0, 0, size, size // 2))
    return image


def read_colours(folders: Folders) -> Iterator[Item]:
    """Two styles of each of 20 things of two classes, one of which is drawn alike under two names."""
    count = int((folders["toy"] / "count").read_text())
    for name in COLOURS:
        for number in range(count):
            for style in ("thick", "thin"):
                shown = 0 if number == 1 else number
                yield Item(
                    f"{style}/{name}/{number}",
                    name,
                    f"{name} {number}",
                    style,
                    functools.partial(draw, name, shown),
                    caption=f"{style} {name}",
                )


def read_words(folders: Folders) -> Iterator[Item]:
    del folders
    for number in range(30):
        text = f"word {number % 29}"
        yield Item(f"{number}", "even" if number % 2 == 0 else "odd", f"{number}", text=text)


COLOUR = Rule("colour", ("toy",), read_colours, "one thing in both styles together")
WORDS = Rule("words", (), read_words, "each by itself", kind="text", classes=("odd", "even"))


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache, a fetched package and a folder of manifests, all of the test's own."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "count").write_text("20")
    (tmp_path / "manifests").mkdir()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(manifests, "FOLDER", tmp_path / "manifests")
    monkeypatch.setattr(packaged, "require", lambda name: tmp_path / name)
    entry = type("Entry", (), {"sha256": "0" * 64, "licence": "MIT"})()
    monkeypatch.setattr(packaged, "package", lambda name: entry)
    monkeypatch.setattr(making, "package", lambda name: entry)
    manifests.load.cache_clear()
    for rule in (COLOUR, WORDS):
        made, _ = making.make_manifest(rule)
        (tmp_path / "manifests" / f"{rule.name}.json").write_text(made.as_json(), encoding="utf-8")
    yield tmp_path
    manifests.load.cache_clear()


def test_a_task_is_known_without_its_data(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Path:
        raise HarnessError("not here")

    monkeypatch.setattr(packaged, "require", absent)
    task = picture_task(COLOUR, size=16)
    assert task.class_names == ("blue", "red") and task.input_shape == (3, 16, 16)
    assert sum(task.sizes.values()) == 80 and task.attributes["kind"] == "image"
    assert "not read" not in str(task.identity())
    with pytest.raises(HarnessError, match="not here"):
        task.split("train")


def test_pictures_labels_and_captions_belong_together() -> None:
    task = picture_task(COLOUR, size=16)
    for name in task.sizes:
        split = task.split(name)
        bottom = split.inputs[:][:, :, -1, 0]
        for row, label, words in zip(bottom, split.labels.tolist(), captions(COLOUR, name, 16), strict=True):
            assert (row * 255).round().int().tolist() == list(COLOURS[task.class_names[label]])
            assert words.endswith(task.class_names[label])


def test_class_sizes_are_those_of_what_is_loaded() -> None:
    for domain in ("all", "thin"):
        task = picture_task(COLOUR, domain, 16)
        for name, sizes in task.class_sizes.items():
            assert torch.bincount(task.split(name).labels, minlength=2).tolist() == list(sizes)


def test_domains_share_splits() -> None:
    thick, thin = picture_task(COLOUR, "thick", 16), picture_task(COLOUR, "thin", 16)
    assert thick.attributes["domain"] == "thick" and thick.sizes == thin.sizes
    assert thick.identity() != thin.identity()
    for name in thick.sizes:
        assert torch.equal(thick.split(name).inputs[:], thin.split(name).inputs[:]), "the same things in each split"


def test_groups_with_the_same_picture_are_joined() -> None:
    known = manifests.load("colour")
    assert [list(names) for names in known.joined] == [["blue 0", "blue 1"], ["red 0", "red 1"]]
    seen: dict[str, set[bytes]] = {}
    for name in ("train", "val", "test"):
        seen[name] = {row.numpy().tobytes() for row in picture_task(COLOUR, size=16).split(name).inputs[:]}
    assert not seen["train"] & seen["test"] and not seen["val"] & seen["test"] and not seen["train"] & seen["val"]


def test_equal_texts_are_joined_and_differing_labels_reported() -> None:
    made, doubts = making.make_manifest(WORDS)
    assert made.joined == (("0", "29"),)
    assert doubts == ["0 (even) and 29 (odd) are the same"]


def test_texts() -> None:
    task = text_task(WORDS)
    assert task.input_shape == () and task.class_names == ("odd", "even")
    split = task.split("train")
    for text, label in zip(split.inputs, split.labels.tolist(), strict=True):
        assert text.startswith("word ") and label in (0, 1)


def test_other_data_than_the_manifests_are_refused(world: Path) -> None:
    (world / "toy" / "count").write_text("19")
    with pytest.raises(HarnessError, match="not those of its manifest"):
        picture_task(COLOUR, size=16).split("train")


def test_data_once_decoded_need_no_package(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = picture_task(COLOUR, size=16)
    before = task.split("test").inputs[:]
    monkeypatch.setattr(packaged, "require", lambda name: world / "gone")
    assert torch.equal(task.split("test").inputs[:], before)


def test_size_and_data_are_in_the_identity_and_places_are_not(world: Path) -> None:
    small, large = picture_task(COLOUR, size=16), picture_task(COLOUR, size=24)
    assert small.identity() != large.identity()
    assert str(world) not in str(small.identity())
    assert small.identity()["data"]["packages"] == {"toy": "0" * 64}


def test_a_task_can_be_sent_to_another_process() -> None:
    task = picture_task(COLOUR, size=16)
    sent = pickle.loads(pickle.dumps(task.load.args[1:]))  # noqa: S301  (our own bytes)
    assert sent == ("all", 16)


@pytest.mark.parametrize(("domain", "size", "message"), [("all", 7, "not 7"), ("thik", 16, "no domain 'thik'")])
def test_what_cannot_be_is_one_sentence(domain: str, size: int, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        picture_task(COLOUR, domain, size)


def test_sets_are_united() -> None:
    assert making.unite([("b", "a"), ("c", "d"), ("b", "c"), ("x", "x")]) == [["a", "b", "c", "d"]]


def test_the_generator_names_an_unknown_task() -> None:
    with pytest.raises(HarnessError, match="did you mean 'mnist'"):
        making.rule("mnits")
