"""Pictures changed at random: against plain loops over pixels, and found from seed, task and step alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.errors import HarnessError
from harness.graph import derive_seed
from harness.training import augmentation
from harness.training.augmentation import (
    Augmentation,
    augmented,
    boxes,
    brightness,
    check_augment,
    colour_jitter,
    horizontal_flip,
    random_crop,
    random_resized_crop,
)
from tests.training.toys import cloud

NAMES: tuple[Augmentation, ...] = get_args(Augmentation)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, channels: int = 3, height: int = 16, width: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=generator(seed))


def test_a_random_crop_is_the_picture_moved_over_black() -> None:
    """Every result is found among all places where it could have been cut out, and all of these occur."""
    whole = pictures(400, 1, 8, 16)
    cut = random_crop(whole, generator(1))
    tall, wide = 1, 2  # an eighth of each side
    seen = set()
    for before, after in zip(whole, cut, strict=True):
        padded = np.pad(before.numpy(), ((0, 0), (tall, tall), (wide, wide)))
        places = [
            (top, left)
            for top in range(2 * tall + 1)
            for left in range(2 * wide + 1)
            if np.array_equal(padded[:, top : top + 8, left : left + 16], after.numpy())
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 3 * 5


def test_small_pictures_are_moved_too() -> None:
    assert random_crop(pictures(2, 1, 2, 2), generator()).shape == (2, 1, 2, 2)


def test_half_of_the_pictures_are_mirrored() -> None:
    whole = pictures(600)
    mirrored = 0
    for before, after in zip(whole, horizontal_flip(whole, generator()), strict=True):
        same, other = torch.equal(after, before), torch.equal(after, torch.from_numpy(before.numpy()[..., ::-1].copy()))
        assert same != other
        mirrored += other
    assert abs(mirrored - 300) < 4 * math.sqrt(600 / 4)


def test_brightness_is_a_factor_cut_at_white() -> None:
    whole = pictures(300)
    factors = []
    for before, after in zip(whole, brightness(whole, generator()), strict=True):
        dark = before < 0.7  # below white at any factor
        found = after[dark] / before[dark]
        assert float(found.max() - found.min()) < 1e-4
        factors.append(float(found.mean()))
        torch.testing.assert_close(after, (before * found.mean()).clamp(max=1), rtol=1e-4, atol=1e-5)
    assert 0.6 <= min(factors) < 0.63 and 1.37 < max(factors) <= 1.4
    assert np.mean(factors) == pytest.approx(1, abs=0.04)


def plain_jitter(picture: np.ndarray, factors: tuple[float, float, float]) -> np.ndarray:
    """Brightness, contrast about the mean grey, saturation about the grey picture, pixel by pixel."""

    def grey(one: np.ndarray) -> np.ndarray:
        return 0.299 * one[0] + 0.587 * one[1] + 0.114 * one[2] if len(one) == 3 else one[0]

    bright = np.clip(factors[0] * picture, 0, 1)
    contrast = np.clip(factors[1] * bright + (1 - factors[1]) * grey(bright).mean(), 0, 1)
    return np.clip(factors[2] * contrast + (1 - factors[2]) * grey(contrast), 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_jitter_is_brightness_contrast_and_saturation(channels: int) -> None:
    whole = pictures(20, channels)
    drawn = generator(5)
    factors = [0.6 + 0.8 * torch.rand(20, generator=drawn).double().numpy() for _ in range(3)]
    for place, after in enumerate(colour_jitter(whole, generator(5))):
        own = (factors[0][place], factors[1][place], factors[2][place])
        expected = plain_jitter(whole[place].double().numpy(), own)
        np.testing.assert_allclose(after.numpy(), expected, atol=2e-6)


def plain_stretch(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation by its definition: the middles of the new pixels, neighbours weighted by nearness."""
    channels, tall, wide = picture.shape
    result = np.zeros((channels, height, width))
    for row in range(height):
        for column in range(width):
            y, x = max((row + 0.5) * tall / height - 0.5, 0), max((column + 0.5) * wide / width - 0.5, 0)
            top, left = int(y), int(x)
            below, right = min(top + 1, tall - 1), min(left + 1, wide - 1)
            down, across = y - top, x - left
            upper = picture[:, top, left] * (1 - across) + picture[:, top, right] * across
            lower = picture[:, below, left] * (1 - across) + picture[:, below, right] * across
            result[:, row, column] = upper * (1 - down) + lower * down
    return result


def test_a_resized_crop_is_a_box_stretched() -> None:
    whole = pictures(12, 3, 10, 14)
    made = random_resized_crop(whole, generator(3))
    for place, (top, left, tall, wide) in enumerate(zip(*boxes(12, 10, 14, generator(3)), strict=True)):
        box = whole[place, :, top : top + tall, left : left + wide].double().numpy()
        np.testing.assert_allclose(made[place].numpy(), plain_stretch(box, 10, 14), atol=2e-6)


def test_boxes_have_the_stated_areas_and_sides() -> None:
    side = 200
    tops, lefts, talls, wides = (np.array(numbers) for numbers in boxes(4000, side, side, generator()))
    assert (tops >= 0).all() and (tops + talls <= side).all() and (lefts >= 0).all() and (lefts + wides <= side).all()
    whole = (talls < side) & (wides < side)  # else cut to the picture
    areas, ratios = (talls * wides / side**2)[whole], (wides / talls)[whole]
    assert 0.078 < areas.min() < 0.1 and areas.max() <= 1
    assert 0.74 < ratios.min() < 0.76 and 1.32 < ratios.max() < 1.35
    assert np.median(np.log(ratios)) == pytest.approx(0, abs=0.02), "as often tall as wide"
    small = areas[areas < 0.5]
    assert np.mean(small < (0.08 + 0.5) / 2) == pytest.approx(0.5, abs=0.04), "areas are equally likely"


@settings(max_examples=30, deadline=None)
@given(
    names=st.permutations(NAMES).flatmap(lambda names: st.integers(0, 5).map(lambda count: tuple(names[:count]))),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_pictures_stay_pictures(
    names: tuple[Augmentation, ...], channels: int, height: int, width: int, seed: int
) -> None:
    whole = pictures(3, channels, height, width, seed % 1000)
    kept = whole.clone()
    made = augmented(whole, names, seed, "t", 5)
    assert made.shape == whole.shape and made.dtype == torch.float32
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    assert torch.equal(whole, kept), "what was given is not written to"
    assert torch.equal(made, augmented(whole, names, seed, "t", 5))


@pytest.mark.parametrize("name", NAMES)
def test_seed_task_and_step_each_draw_anew(name: Augmentation) -> None:
    whole = pictures(16)
    base = augmented(whole, (name,), 1, "t", 7)
    others = [
        augmented(whole, (name,), 2, "t", 7),
        augmented(whole, (name,), 1, "u", 7),
        augmented(whole, (name,), 1, "t", 8),
    ]
    assert not any(torch.equal(base, other) for other in others)
    draws = torch.Generator().manual_seed(derive_seed(1, "augmentation", "t", 7, name))
    assert torch.equal(base, augmentation._CHANGES[name](whole, draws)), "a purpose of its own"


def test_one_more_change_leaves_the_draws_of_the_others() -> None:
    whole = pictures(16)
    flipped = augmented(whole, ("horizontal_flip",), 0, "t", 0)
    both = augmented(whole, ("brightness", "horizontal_flip"), 0, "t", 0)
    bright = augmented(whole, ("brightness",), 0, "t", 0)
    mirrored = [not torch.equal(one, other) for one, other in zip(whole, flipped, strict=True)]
    for place, turned in enumerate(mirrored):
        assert torch.equal(both[place], bright[place].flip(-1) if turned else bright[place])


def test_nothing_asked_for_changes_nothing() -> None:
    whole = pictures()
    assert augmented(whole, (), 0, "t", 0) is whole


def test_what_cannot_be_changed_is_one_sentence() -> None:
    with pytest.raises(HarnessError, match=r"augment changes pictures; cloud has inputs of shape \(5,\)"):
        check_augment(cloud(), ("horizontal_flip",))
    check_augment(cloud(), ())
    drawn = replace(cloud(), input_shape=(1, 8, 8))
    check_augment(drawn, NAMES)
    with pytest.raises(HarnessError, match="names a change twice: brightness, brightness"):
        check_augment(drawn, ("brightness", "brightness"))
