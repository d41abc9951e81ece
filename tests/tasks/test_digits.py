"""The eight domains against scikit-learn's own images and numpy's own transforms."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks import digits

DOMAINS = ("upright", "rotate90", "rotate180", "flip", "transpose", "invert", "noise", "shuffle")
SPLITS = ("train", "val", "test")


def originals() -> np.ndarray:
    """The package's images, [1797, 8, 8], from 0 to 1."""
    return load_digits().images.astype(np.float32) / 16


def shuffled(images: np.ndarray) -> np.ndarray:
    """Lower right, upper left, upper right, lower left: where each quadrant comes from."""
    upper = np.concatenate([images[:, 4:, 4:], images[:, :4, :4]], axis=2)
    lower = np.concatenate([images[:, :4, 4:], images[:, 4:, :4]], axis=2)
    return np.concatenate([upper, lower], axis=1)


@pytest.mark.parametrize(
    ("domain", "transform"),
    [
        ("upright", lambda images: images),
        ("rotate90", lambda images: np.rot90(images, 1, (1, 2))),
        ("rotate180", lambda images: images[:, ::-1, ::-1]),
        ("flip", lambda images: images[:, :, ::-1]),
        ("transpose", lambda images: np.swapaxes(images, 1, 2)),
        ("invert", lambda images: 1 - images),
        ("shuffle", shuffled),
    ],
)
def test_a_domain_shows_the_original_images(domain: str, transform: Callable[[np.ndarray], np.ndarray]) -> None:
    expected = transform(originals())
    for split in SPLITS:
        chosen = digits.split_indices()[split]
        shown = digits.load_domain(domain, split)
        np.testing.assert_array_equal(shown.inputs[:, 0].numpy(), expected[chosen])
        np.testing.assert_array_equal(shown.labels.numpy(), load_digits().target[chosen])


def test_noise_is_fixed_and_of_the_stated_size() -> None:
    noise = digits._noise(1797)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert abs(float(torch.corrcoef(torch.stack([noise[0].flatten(), noise[1].flatten()]))[0, 1])) < 0.4
    middling = (originals() > 0.4) & (originals() < 0.6)  # where clipping to 0..1 hardly matters
    shown = digits.transform_images(torch.from_numpy(originals()), "noise").numpy()
    assert np.std((shown - originals())[middling]) == pytest.approx(digits.NOISE_SCALE, rel=0.05)
    assert shown.min() >= 0 and shown.max() <= 1


def test_noise_is_the_same_in_another_process() -> None:
    program = (
        "import hashlib; from harness.tasks.digits import digits_noise; "
        "print(hashlib.sha256(digits_noise().split('val').inputs.numpy().tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    here = TASKS.get("digits_noise")().split("val").inputs.numpy().tobytes()
    assert told == hashlib.sha256(here).hexdigest()


def test_every_image_is_in_one_split() -> None:
    chosen = digits.split_indices()
    assert sorted(index for indices in chosen.values() for index in indices) == list(range(1797))
    assert {split: len(indices) for split, indices in chosen.items()} == {"train": 897, "val": 360, "test": 540}


def test_splits_are_stratified_and_as_declared() -> None:
    for domain in DOMAINS:
        task = TASKS.get(f"digits_{domain}")()
        assert task.input_shape == (1, 8, 8) and task.n_classes == 10
        assert task.attributes == {"family": "digits", "domain": domain}
        for split in SPLITS:
            loaded = task.split(split)
            assert tuple(np.bincount(loaded.labels.numpy())) == task.class_sizes[split]
            assert loaded.inputs.dtype == torch.float32 and loaded.labels.dtype == torch.int64


def test_no_image_of_a_training_split_is_in_the_test_split_of_any_domain() -> None:
    """Undo each domain's transform: what is left of its test images is no training image, upright."""
    chosen = digits.split_indices()
    seen = {image.tobytes() for image in originals()[chosen["train"]]}
    undone: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "upright": lambda images: images,
        "rotate90": lambda images: np.rot90(images, -1, (1, 2)),
        "rotate180": lambda images: images[:, ::-1, ::-1],
        "flip": lambda images: images[:, :, ::-1],
        "transpose": lambda images: np.swapaxes(images, 1, 2),
    }
    for domain, undo in undone.items():
        for split in ("val", "test"):
            images = undo(digits.load_domain(domain, split).inputs[:, 0].numpy())
            assert not seen & {np.ascontiguousarray(image).tobytes() for image in images}, domain


def test_identity_is_known_without_loading() -> None:
    program = (
        "import sys; from harness.registry import TASKS; "
        "[TASKS.get(name)().identity() for name in TASKS.names() if name.startswith('digits_')]; "
        "print([name for name in ('torch', 'numpy', 'sklearn') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert told == "[]"
    identities = [str(TASKS.get(f"digits_{domain}")().identity()) for domain in DOMAINS]
    assert len(set(identities)) == 8


@pytest.mark.parametrize(("constant", "what"), [("CONTENT_SHA256", "images"), ("LABELS_SHA256", "labels")])
def test_other_data_in_the_package_are_refused(monkeypatch: pytest.MonkeyPatch, constant: str, what: str) -> None:
    monkeypatch.setattr(digits, constant, "0" * 64)
    digits._images.cache_clear()
    with pytest.raises(HarnessError, match=f"the {what} of the installed scikit-learn's digits are not"):
        digits.load_domain("upright", "val")
    monkeypatch.undo()
    digits._images.cache_clear()
    assert len(digits.load_domain("upright", "val")) == 360


def test_upright_digits_can_be_learnt_and_shuffled_ones_look_different() -> None:
    """A nearest-mean classifier fitted upright does well upright and badly on shuffled quadrants."""
    train = digits.load_domain("upright", "train")
    means = torch.stack([train.inputs[train.labels == label].mean(0) for label in range(10)]).flatten(1)
    right = {}
    for domain in ("upright", "shuffle"):
        test = digits.load_domain(domain, "test")
        nearest = torch.cdist(test.inputs.flatten(1), means).argmin(1)
        right[domain] = float((nearest == test.labels).float().mean())
    assert right["upright"] > 0.85 > 0.4 > right["shuffle"]
