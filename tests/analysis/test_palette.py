"""Colours: uniform in lightness, symmetric, and apart for colour-blind eyes."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.palette import categorical, diverging, ink_on, oklab_to_srgb, sequential, tint

# Machado, Oliveira and Fernandes (2009), severity 1.0, applied to linear RGB.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(rgb):
    rgb = np.asarray(rgb)[..., :3]
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def oklab(linear_rgb):
    cones = np.cbrt(
        linear_rgb
        @ np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    return (
        cones
        @ np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        ).T
    )


def test_the_conversion_inverts():
    lab = np.array([[0.3, 0.02, -0.05], [0.7, -0.03, 0.04], [0.95, 0.0, 0.0]])
    assert oklab(linear(oklab_to_srgb(*lab.T))) == pytest.approx(lab, abs=1e-4)


def test_the_diverging_map_is_lightest_in_the_middle_and_symmetric():
    lightness = oklab(linear(diverging()(np.linspace(0, 1, 257))))[:, 0]
    assert lightness.argmax() == 128
    assert (np.diff(lightness[:129]) > -1e-3).all() and (np.diff(lightness[128:]) < 1e-3).all()
    assert np.abs(lightness - lightness[::-1]).max() < 0.04


def test_the_sequential_map_grows_in_lightness():
    lightness = oklab(linear(sequential()(np.linspace(0, 1, 256))))[:, 0]
    assert (np.diff(lightness) > -1e-6).all() and lightness[-1] - lightness[0] > 0.5


@pytest.mark.parametrize("eyes", [*BLIND, "usual"])
def test_both_arms_of_the_diverging_map_stay_apart_for_all_eyes(eyes):
    colours = linear(diverging()(np.array([0.0, 0.15, 0.3, 0.7, 0.85, 1.0])))
    seen = colours if eyes == "usual" else np.clip(colours @ np.array(BLIND[eyes]).T, 0, 1)
    lab = oklab(seen)
    for k in range(3):
        assert np.linalg.norm(lab[k] - lab[5 - k]) > 0.08


def test_reversed_maps():
    assert diverging(True)(0.0) == diverging()(1.0)
    assert sequential(True)(0.0) == sequential()(1.0)


def test_text_has_at_least_the_contrast_of_4_5_on_every_colour():
    colours = np.concatenate([sequential()(np.linspace(0, 1, 64)), diverging()(np.linspace(0, 1, 64))])
    luminance = linear(colours) @ np.array([0.2126, 0.7152, 0.0722])
    for light, ink in zip(luminance, ink_on(colours), strict=True):
        contrast = 1.05 / (light + 0.05) if ink == "#ffffff" else (light + 0.05) / 0.05
        assert contrast >= 4.5


def test_line_colours_differ():
    assert len(set(categorical())) == len(categorical()) == 8


@pytest.mark.parametrize("eyes", [*BLIND, "usual"])
def test_line_colours_stay_apart_for_all_eyes(eyes):
    colours = linear(np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in categorical()]))
    lab = oklab(colours if eyes == "usual" else np.clip(colours @ np.array(BLIND[eyes]).T, 0, 1))
    first = [np.linalg.norm(lab[a] - lab[b]) for a in range(4) for b in range(a)]
    assert min(first) > 0.05
    assert lab[:, 0].max() < 0.8  # dark enough on white


def test_a_tint_lies_between_white_and_the_colour():
    assert tint("#0173b2", 1.0) == "#0173b2" and tint("#0173b2", 0.0) == "#ffffff"
    middle = [int(tint("#0173b2", 0.5)[k : k + 2], 16) for k in (1, 3, 5)]
    assert middle == pytest.approx([(255 + v) / 2 for v in (0x01, 0x73, 0xB2)], abs=1.5)
