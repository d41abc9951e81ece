"""The packaged tasks against the real data; skipped where these were not fetched."""

from __future__ import annotations

import pytest
import torch

from harness.data import manifest as manifests
from harness.data.catalogue import PACKAGES
from harness.data.fetch import is_ready
from harness.data.leakage import between
from harness.registry import TASKS
from harness.tasks.manifest import rules
from harness.tasks.packaged import checked_items

pytestmark = pytest.mark.packaged
RULES = rules()
SMALL = 5_000


def needed(name: str) -> None:
    missing = [package for package in RULES[name].packages if not is_ready(PACKAGES[package])]
    if missing:
        pytest.skip(f"not fetched: {', '.join(missing)}")


@pytest.mark.parametrize("name", RULES)
def test_what_is_read_is_what_the_manifest_says(name: str) -> None:
    needed(name)
    items, splits = checked_items(RULES[name])
    assert len(items) == sum(sum(counts) for counts in manifests.load(name).class_sizes().values())
    places: dict[str, set[str]] = {}
    for item in items:
        places.setdefault(item.group, set()).add(item.split or splits[item.group])
    assert all(len(found) == 1 for found in places.values()), "no group lies in two splits"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.kind == "image"])
def test_pictures_can_be_decoded_and_show_something(name: str) -> None:
    needed(name)
    pytest.importorskip("resvg_py")
    task = TASKS.get(name)(size=32)
    if sum(task.sizes.values()) > 4 * SMALL:
        pytest.skip("decoded by the studies that use it")
    pictures = task.split("test").inputs[:]
    assert float(pictures.min()) >= 0 and float(pictures.max()) <= 1
    assert float(pictures.flatten(1).std(1).min()) > 0, "no picture is of one colour"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.kind == "text"])
def test_texts_hold_words(name: str) -> None:
    needed(name)
    texts = TASKS.get(name)().split("test").inputs
    assert all(text.strip() for text in texts)


@pytest.mark.parametrize(
    "name", ["emoji_symbol", "clipart_food", "flag_continent", "chess_piece", "bbc_topic", "sent_imdb"]
)
def test_no_exact_duplicate_is_in_two_splits(name: str) -> None:
    needed(name)
    if RULES[name].kind == "image":
        pytest.importorskip("resvg_py")
    task = TASKS.get(name)()
    assert between(task, task).exact == 0
    assert between(task, task, "train", "val").exact == 0


def test_mnist_is_mnist() -> None:
    needed("mnist")
    task = TASKS.get("mnist")(size=28)
    train = task.split("train")
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "the well-known first ten"
    assert torch.bincount(task.split("test").labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    first = train.inputs.bytes(0)[0]
    assert int(first.sum()) == 27525, "the sum of the first picture's pixels"


def test_fashion_mnist_is_fashion_mnist() -> None:
    needed("fashion_mnist")
    test = TASKS.get("fashion_mnist")(size=28).split("test")
    assert test.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert torch.bincount(test.labels).tolist() == [1000] * 10
