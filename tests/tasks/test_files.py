"""What the providers of the user's own files share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from harness.data.items import Shares
from harness.errors import HarnessError
from harness.tasks.base import Task, task
from harness.tasks.files import Listing, Row, carve, completed, picture_files, text_files
from harness.tasks.inputs import Texts

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rows(count: int, label: int = 0, name: str = "r") -> list[Row]:
    return [Row(f"{name}{number}", (label,), 1, lambda number=number: f"text {number}") for number in range(count)]


def test_missing_splits_are_made_of_train() -> None:
    made = completed({"train": rows(100)}, Shares(test=0.2, val=0.2))
    assert {split: len(found) for split, found in made.items()} == {"train": 60, "val": 20, "test": 20}
    assert len({row.key for found in made.values() for row in found}) == 100


def test_a_test_split_that_is_there_stays_whole() -> None:
    test = rows(7, name="t")
    made = completed({"train": rows(100), "test": test}, Shares(test=0.2, val=0.2))
    assert made["test"] == test and len(made["val"]) == 20 and len(made["train"]) == 80


def test_val_alone_becomes_test() -> None:
    val = rows(7, name="v")
    made = completed({"train": rows(100), "val": val}, Shares(test=0.2, val=0.2))
    assert made["test"] == val and len(made["val"]) == 20


def test_all_three_are_left_alone() -> None:
    given = {"train": rows(5), "val": rows(3, name="v"), "test": rows(2, name="t")}
    assert completed(given, Shares()) == given


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(HarnessError, match="nothing to train on"):
        completed({"test": rows(3)}, Shares())


def test_another_file_moves_few_others() -> None:
    before, after = carve(rows(200), Shares()), carve(rows(201), Shares())
    place = {row.key: split for split, found in after.items() for row in found}
    moved = [row.key for split, found in before.items() for row in found if place[row.key] != split]
    assert len(moved) <= 2


def test_each_class_is_carved_by_itself() -> None:
    made = carve([*rows(50), *rows(10, 1, "s")], Shares(test=0.2, val=0.2))
    assert Counter(row.labels[0] for row in made["test"]) == {0: 10, 1: 2}


def test_the_digest_tells_what_differs_and_no_times() -> None:
    one = Listing(("a",), {"train": rows(3)})
    assert one.digest == Listing(("a",), {"train": rows(3)}).digest
    assert one.digest != Listing(("b",), {"train": rows(3)}).digest
    assert one.digest != Listing(("a",), {"test": rows(3)}).digest
    assert one.digest != Listing(("a",), {"train": rows(4)}).digest
    assert one.digest != Listing(("a",), {"train": rows(3)}, content="x").digest
    later = Listing(("a",), {"train": [Row(row.key, row.labels, row.size, row.read, changed=9) for row in rows(3)]})
    assert later.digest == one.digest and later.state != one.state


class Shelf:
    """A listing whose pictures can be exchanged."""

    def __init__(self, colour: int = 0) -> None:
        self.colour = colour
        self.names = ["a", "b", "c"]
        self.changed = 0

    def __call__(self) -> Listing:
        made = [Row(name, (0,), 10, lambda: Image.new("L", (8, 8), self.colour), self.changed) for name in self.names]
        return Listing(("thing",), {"train": made, "test": made[:1]})


def toy(shelf: Shelf, revision: str = "") -> Task:
    return picture_files("toy", "shelf", shelf, size=8, fit="crop", revision=revision)


def test_pictures_are_loaded_in_the_order_of_the_listing() -> None:
    split = toy(Shelf(9)).split("train")
    assert split.inputs.shape == (3, 3, 8, 8)
    assert (split.inputs.bytes() == 9).all() and split.labels.tolist() == [0, 0, 0]


def test_files_that_changed_since_planning_are_noticed() -> None:
    shelf = Shelf()
    made = toy(shelf)
    shelf.names.append("d")
    with pytest.raises(HarnessError, match="plan again"):
        made.split("train")


def test_other_content_under_the_same_names_needs_another_revision() -> None:
    shelf = Shelf(1)
    toy(shelf).split("train")
    shelf.colour, shelf.changed = 2, 1
    with pytest.raises(HarnessError, match="another `revision`"):
        toy(shelf).split("train")
    assert (toy(shelf, "second").split("train").inputs.bytes() == 2).all()
    assert toy(shelf, "second").identity() != toy(shelf).identity()


def test_the_same_content_written_again_is_the_same() -> None:
    shelf = Shelf(1)
    toy(shelf).split("train")
    shelf.changed = 5
    assert (toy(shelf).split("train").inputs.bytes() == 1).all()


def test_several_labels_become_zeros_and_ones() -> None:
    def listing() -> Listing:
        made = [Row("a", (0, 2), 1, lambda: Image.new("L", (8, 8))), Row("b", (1,), 1, lambda: Image.new("L", (8, 8)))]
        return Listing(("x", "y", "z"), {"train": made, "test": made}, multi_label=True)

    made = picture_files("toy", "several", listing, size=8, fit="pad", metric="map_11")
    assert made.multi_label and made.metric == "map_11"
    assert made.split("train").labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert made.class_sizes["train"] == (1, 1, 1)


def test_texts_are_read_when_loaded() -> None:
    made = text_files("toy", "texts", lambda: Listing(("x",), {"train": rows(3), "test": rows(1)}))
    inputs = made.split("train").inputs
    assert isinstance(inputs, Texts) and list(inputs) == ["text 0", "text 1", "text 2"]


def test_a_given_name_keeps_paths_out_of_names_and_keys() -> None:
    @task("toy_files_of_a_test")
    def entry(name: str, path: str) -> Task:
        """Files."""
        return text_files("toy", name, lambda: Listing(("x",), {"train": rows(3), "test": rows(1)}))

    made = entry(name="mine", path="/some/where")
    assert made.name == "mine"
    assert "/some/where" not in str(made.identity())
    assert made.identity() == entry(name="mine", path="/else/where").identity()
    assert isinstance(made.split("test").labels, torch.Tensor)
