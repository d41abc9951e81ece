"""Tasks whose data are arrays: digits, clothes and silhouettes, from small archives in the same formats."""

from __future__ import annotations

import gzip
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.data.items import Item
from harness.tasks import packaged_animals, packaged_clothing, packaged_digits
from harness.tasks.digits import load_domain


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def shown(item: Item) -> np.ndarray:
    pytest.importorskip("PIL.Image")
    assert item.draw is not None
    return np.asarray(item.draw(28))


def test_mnist_keeps_the_archives_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: np.random.Generator
) -> None:
    parts = (("train", 300), ("val", 200), ("test", 250))
    monkeypatch.setattr(packaged_digits, "MNIST_PARTS", parts)
    bytes_of = {name: chance.integers(0, 256, (count, 784), dtype=np.uint8) for name, count in parts}
    labels_of = {name: chance.integers(0, 10, count) for name, count in parts}
    whole = tuple(((bytes_of[name] / 256).astype("<f4"), labels_of[name].astype("<i8")) for name, _ in parts)
    path = tmp_path / "mnist" / "data" / "mnist.pkl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(pickle.dumps(whole, protocol=4)))
    items = list(packaged_digits.read_mnist({"mnist": tmp_path}))
    assert Counter(item.split for item in items) == dict(parts)
    for item in (items[0], items[301], items[-1]):
        assert item.split is not None
        number = int(item.key.split("/")[1])
        assert (shown(item).reshape(-1) == bytes_of[item.split][number]).all(), "the very bytes"
        assert item.label == packaged_digits.DIGITS[labels_of[item.split][number]]


def test_optdigits_are_the_digits_of_the_other_tasks_in_the_same_splits() -> None:
    items = list(packaged_digits.read_optdigits({}))
    assert Counter(item.split for item in items) == {"train": 897, "val": 360, "test": 540}
    for name in ("train", "val", "test"):
        split = load_domain("upright", name)
        chosen = [item for item in items if item.split == name]
        assert [packaged_digits.DIGITS.index(item.label) for item in chosen] == split.labels.tolist()
        for position in (0, 100, len(chosen) - 1):
            expected = np.rint(split.inputs[position, 0].numpy() * 255)
            assert (shown(chosen[position]) == expected).all()


def idx(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def test_fashion_keeps_the_test_split_and_leaves_the_rest_to_be_divided(
    tmp_path: Path, chance: np.random.Generator
) -> None:
    base = tmp_path / "usr" / "share" / "datasets" / "fashion-mnist"
    base.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 20)):
        (base / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(chance.integers(0, 256, (count, 28, 28))))
        (base / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(count) % 10))
    items = list(packaged_clothing.read_fashion({"fashion_mnist": tmp_path}))
    assert Counter(item.split for item in items) == {None: 30, "test": 20}
    assert [item.label for item in items[:10]] == list(packaged_clothing.CLOTHES)
    assert shown(items[0]).shape == (28, 28)


def test_equal_silhouettes_are_one_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: np.random.Generator
) -> None:
    monkeypatch.setattr(packaged_animals, "COUNT", 200)
    pictures = chance.integers(0, 256, (200, 28, 28), dtype=np.uint8)
    pictures[7] = pictures[3]
    labels = np.arange(200, dtype="<i8") % 10
    base = tmp_path / "animal_mnist" / "data" / "Animal_MNIST"
    base.mkdir(parents=True)
    for name, array in (("data", pictures), ("label", labels)):
        (base / f"animal_{name}_version_3.gz").write_bytes(gzip.compress(pickle.dumps(array, protocol=4)))
    items = list(packaged_animals.read_silhouettes({"animal_mnist": tmp_path}))
    assert len({item.group for item in items}) == 199 and items[3].group == items[7].group
    assert [item.label for item in items[:10]] == list(packaged_animals.ANIMALS)
    assert (shown(items[9]) == pictures[9]).all()
