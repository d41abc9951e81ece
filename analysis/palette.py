"""Colour maps: perceptually uniform, readable with colour-blindness and in grey.

Sequential is matplotlib's viridis. The diverging map is built in OKLab (Ottosson 2020): lightness falls linearly and
equally to both sides of a near-white centre, with blue below and orange above, a pair that all common kinds of
colour-blindness tell apart.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

_CENTRE, _END = 0.97, 0.42
_CHROMA = 0.125
_BELOW, _ABOVE = np.deg2rad(250.0), np.deg2rad(55.0)
MISSING = "#f2f2f2"
INK = "#22262b"
FAINT = "#8a9099"
_KEPT = (0, 3, 2, 4, 1, 9, 7, 5)  # of seaborn's ten colours, in an order that keeps neighbours apart


def oklab_to_srgb(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """OKLab [n] each to sRGB [n, 3] in [0, 1], clipped to the gamut."""
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_rgb @ cones**3, 0.0, 1.0)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).T)


@cache
def categorical() -> tuple[str, ...]:
    """Eight colours for lines and points: seaborn's palette "colorblind" without the two too pale for lines."""
    import seaborn

    colours = seaborn.color_palette("colorblind", 10).as_hex()
    return tuple(colours[k] for k in _KEPT)


def tint(colour: str, share: float = 0.5) -> str:
    """A colour mixed with white; ``share`` is that of the colour."""
    import seaborn
    from matplotlib.colors import to_hex

    return to_hex(seaborn.blend_palette(["white", colour], 101)[round(100 * share)])


@cache
def diverging(reverse: bool = False) -> Colormap:
    """Blue - near white - orange, 257 colours; with ``reverse`` orange is below (where less is better)."""
    from matplotlib.colors import ListedColormap

    t = np.linspace(-1.0, 1.0, 257)
    lightness = _CENTRE - (_CENTRE - _END) * np.abs(t)
    hue = np.where(t < 0, _BELOW, _ABOVE)
    # The chroma grows faster than linearly at first so that small effects have a colour at all.
    chroma = _CHROMA * np.sqrt(np.abs(t)) * np.minimum(1.0, 2.2 * np.abs(t) + 0.25)
    colours = oklab_to_srgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))
    return ListedColormap(colours[::-1] if reverse else colours, name="orange_blue" if reverse else "blue_orange")


@cache
def sequential(reverse: bool = False) -> Colormap:
    """Viridis; with ``reverse`` bright is low (where less is better)."""
    import matplotlib as mpl

    return mpl.colormaps["viridis_r" if reverse else "viridis"]


def ink_on(colours: np.ndarray) -> np.ndarray:
    """Text colour, black or white, of the higher contrast on backgrounds [n, 3 or 4] (WCAG 2: they meet at .179)."""
    rgb = np.asarray(colours)[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.where(linear @ np.array([0.2126, 0.7152, 0.0722]) > 0.179, "#000000", "#ffffff")
