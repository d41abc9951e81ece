"""Eight domains of scikit-learn's hand-written digits: 1,797 real 8 x 8 images, ten classes.

The images are the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998) and
lie in the scikit-learn wheel: nothing is downloaded. Every domain shows the same images, changed in one way.

An image is in the same split in every domain. So no picture of a source's training split, in whatever domain, is in a
target's validation or test split, also when several domains are joined into one source.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError
from harness.tasks.base import Split, Task, task

if TYPE_CHECKING:
    from torch import Tensor

CONTENT_SHA256: Final = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
"""sha256 of the images as bytes 0..16, in the order of the package, row by row."""

LABELS_SHA256: Final = "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"
"""sha256 of the labels as bytes."""

CLASS_COUNTS: Final = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
TEST_PER_CLASS: Final = 54
VAL_PER_CLASS: Final = 36
SPLIT_SEED: Final = 0

SIZE: Final = 8
HALF: Final = SIZE // 2
BRIGHTEST: Final = 16
NOISE_SCALE: Final = 0.25
"""Standard deviation of the noise domain's noise; pixels are 0 to 1."""

QUADRANTS: Final = (3, 0, 1, 2)
"""Where each quadrant of the shuffled image comes from; quadrants count left to right, top to bottom."""

# Four bytes are added for each value of noise: their sum has this mean and standard deviation.
_NOISE_BYTES: Final = 4
_NOISE_MEAN: Final = _NOISE_BYTES * 255 / 2
_NOISE_DEVIATION: Final = (_NOISE_BYTES * (256**2 - 1) / 12) ** 0.5


@task("digits_upright", family="digits", domain="upright")
def digits_upright() -> Task:
    """Hand-written digits as they are."""
    return _domain("upright")


@task("digits_rotate90", family="digits", domain="rotate90")
def digits_rotate90() -> Task:
    """Hand-written digits, turned left by a quarter."""
    return _domain("rotate90")


@task("digits_rotate180", family="digits", domain="rotate180")
def digits_rotate180() -> Task:
    """Hand-written digits, upside down."""
    return _domain("rotate180")


@task("digits_flip", family="digits", domain="flip")
def digits_flip() -> Task:
    """Hand-written digits in a mirror, left for right."""
    return _domain("flip")


@task("digits_transpose", family="digits", domain="transpose")
def digits_transpose() -> Task:
    """Hand-written digits with rows and columns exchanged."""
    return _domain("transpose")


@task("digits_invert", family="digits", domain="invert")
def digits_invert() -> Task:
    """Hand-written digits, dark for bright."""
    return _domain("invert")


@task("digits_noise", family="digits", domain="noise")
def digits_noise() -> Task:
    """Hand-written digits under fixed noise."""
    return _domain("noise")


@task("digits_shuffle", family="digits", domain="shuffle")
def digits_shuffle() -> Task:
    """Hand-written digits with their four quadrants in another order."""
    return _domain("shuffle")


def _domain(domain: str) -> Task:
    train = tuple(count - VAL_PER_CLASS - TEST_PER_CLASS for count in CLASS_COUNTS)
    class_sizes = {"train": train, "val": (VAL_PER_CLASS,) * 10, "test": (TEST_PER_CLASS,) * 10}
    transform: dict[str, object] = {"domain": domain}
    if domain == "noise":
        transform["scale"] = NOISE_SCALE
    if domain == "shuffle":
        transform["quadrants"] = list(QUADRANTS)
    return Task(
        name=f"digits_{domain}",
        n_classes=10,
        class_names=tuple(str(digit) for digit in range(10)),
        input_shape=(1, SIZE, SIZE),
        sizes={split: sum(counts) for split, counts in class_sizes.items()},
        class_sizes=class_sizes,
        data={
            "provider": "scikit-learn digits",
            "sha256": CONTENT_SHA256,
            "split": {"rule": "by digest within class", "seed": SPLIT_SEED},
            "transform": transform,
        },
        load=functools.partial(load_domain, domain),
    )


def load_domain(domain: str, split: str) -> Split:
    """Load one split of one domain: inputs [n, 1, 8, 8] from 0 to 1, labels [n].

    Raises HarnessError when the installed scikit-learn holds other images than these.
    """
    images, labels = _images()
    chosen = split_indices()[split]
    return Split(transform_images(images, domain)[chosen].unsqueeze(1), labels[chosen])


def transform_images(images: Tensor, domain: str) -> Tensor:
    """Show all images, [1797, 8, 8] from 0 to 1 in the package's order, in one domain; same shape and range."""
    import torch

    if domain == "upright":
        return images
    if domain == "rotate90":
        return images.rot90(1, (1, 2)).contiguous()
    if domain == "rotate180":
        return images.rot90(2, (1, 2)).contiguous()
    if domain == "flip":
        return images.flip(2)
    if domain == "transpose":
        return images.transpose(1, 2).contiguous()
    if domain == "invert":
        return 1 - images
    if domain == "noise":
        return (images + NOISE_SCALE * _noise(images.shape[0])).clamp(0, 1)
    corners = [(0, 0), (0, HALF), (HALF, 0), (HALF, HALF)]
    shuffled = torch.empty_like(images)
    for (row, column), origin in zip(corners, QUADRANTS, strict=True):
        top, left = corners[origin]
        shuffled[:, row : row + HALF, column : column + HALF] = images[:, top : top + HALF, left : left + HALF]
    return shuffled


@functools.cache
def split_indices() -> dict[str, list[int]]:
    """Return the positions in the package's order of each split's images, ascending.

    Within a class, images are ranked by the digest of seed and position: no random number library is involved, so the
    splits are the same for ever.
    """
    _, labels = _images()
    splits: dict[str, list[int]] = {"test": [], "val": [], "train": []}
    for label in range(10):
        members = [index for index, value in enumerate(labels.tolist()) if value == label]
        members.sort(key=_rank)
        splits["test"] += members[:TEST_PER_CLASS]
        splits["val"] += members[TEST_PER_CLASS : TEST_PER_CLASS + VAL_PER_CLASS]
        splits["train"] += members[TEST_PER_CLASS + VAL_PER_CLASS :]
    return {name: sorted(indices) for name, indices in splits.items()}


def _rank(index: int) -> bytes:
    return hashlib.sha256(f"{SPLIT_SEED}:{index}".encode()).digest()


@functools.cache
def _images() -> tuple[Tensor, Tensor]:
    """Images [1797, 8, 8] float32 from 0 to 1 and labels [1797], verified once a process."""
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = digits.images.astype("uint8"), digits.target.astype("uint8")
    for what, array, expected in (("images", pixels, CONTENT_SHA256), ("labels", labels, LABELS_SHA256)):
        if hashlib.sha256(array.tobytes()).hexdigest() != expected:
            raise HarnessError(f"the {what} of the installed scikit-learn's digits are not the ones these tasks mean")
    return torch.from_numpy(pixels).float() / BRIGHTEST, torch.from_numpy(labels).long()


def _noise(count: int) -> Tensor:
    """Noise [count, 8, 8] of mean 0 and deviation 1, near normal: sums of four bytes of a digest, the same for ever."""
    import torch

    stream = bytearray(hashlib.shake_256(b"digits_noise").digest(count * SIZE * SIZE * _NOISE_BYTES))
    sums = torch.frombuffer(stream, dtype=torch.uint8).view(count, SIZE, SIZE, _NOISE_BYTES).float().sum(-1)
    return (sums - _NOISE_MEAN) / _NOISE_DEVIATION
