"""Turning what archives hold into square RGB pictures: files, drawings (SVG), cells of sheets, glyphs of fonts, arrays.

All give a `PIL.Image.Image` of mode RGB or L; `square` brings it to the wanted size. Drawings are rendered with the
fonts that matplotlib carries, so that no picture depends on the fonts of a machine.
"""

from __future__ import annotations

import functools
import gzip
import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.errors import HarnessError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

DECODING_VERSION: Final = 1
"""Part of the identity of every decoded picture: raised when this module draws differently."""

WHITE: Final = (255, 255, 255)
DPI: Final = 96.0
"""Old drawings give their size in points, which need a resolution."""

MOST_PIXELS: Final = 64_000_000

LARGEST_PAGE: Final = 8
"""A drawing is enlarged at most this many times to fill its picture."""

FAINTEST: Final = 8
"""Opacity, of 255, from which something counts as drawn."""

_ENTITY: Final = re.compile(rb'<!ENTITY\s+(\w+)\s+"([^"]*)"\s*>')
_DOCTYPE: Final = re.compile(rb"<!DOCTYPE[^\[>]*(\[.*?\]\s*)?>", re.DOTALL)


class PictureError(HarnessError):
    """A picture that cannot be decoded."""


def square(image: Image.Image, size: int, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Return a picture [size, size], RGB or L: on the background, padded to a square, resized (bicubic)."""
    from PIL import Image

    if image.mode == "L":
        return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BICUBIC)
    if image.mode != "RGB":
        image = on_background(image, background)
    width, height = image.size
    side = max(width, height)
    if width != height:
        padded = Image.new("RGB", (side, side), background)
        padded.paste(image, ((side - width) // 2, (side - height) // 2))
        image = padded
    return image if side == size else image.resize((size, size), Image.Resampling.BICUBIC)


def on_background(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Return a picture without its transparency."""
    from PIL import Image

    see_through = image.convert("RGBA")
    flat = Image.new("RGBA", image.size, (*background, 255))
    flat.alpha_composite(see_through)
    return flat.convert("RGB")


def squash(image: Image.Image, size: int, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Return a picture [size, size] of mode RGB, its sides stretched to fit (bicubic)."""
    from PIL import Image

    flat = image if image.mode == "RGB" else on_background(image, background)
    return flat.resize((size, size), Image.Resampling.BICUBIC)


def centre_crop(image: Image.Image, size: int, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Return the middle of a picture [size, size] of mode RGB, its shorter side filling it (bicubic)."""
    from PIL import Image, ImageOps

    flat = image if image.mode == "RGB" else on_background(image, background)
    return ImageOps.fit(flat, (size, size), Image.Resampling.BICUBIC)


def from_bytes(content: bytes) -> Image.Image:
    """Decode a picture file (PNG, JPEG, WebP, ...). Raises PictureError for anything else."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(content))
        if image.width * image.height > MOST_PIXELS:
            raise PictureError(f"a picture of {image.width} x {image.height} pixels is too large")
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"a picture cannot be decoded: {error}") from error
    return image


def from_file(path: Path, size: int) -> Image.Image:
    """Decode a file: a drawing is rendered `size` pixels wide, another picture is returned as it is."""
    content = path.read_bytes()
    if path.suffix in (".svg", ".svgz"):
        return from_svg(gzip.decompress(content) if path.suffix == ".svgz" else content, size)
    return from_bytes(content)


def from_svg(content: bytes, width: int) -> Image.Image:
    """Render a drawing `width` pixels wide, transparent where nothing is drawn. Raises PictureError when it cannot."""
    try:
        import resvg_py
    except ImportError:
        raise PictureError("drawings need the package resvg-py: install transfer-harness[vision]") from None
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=plain_svg(content),
            width=width,
            dpi=DPI,
            skip_system_fonts=True,
            font_files=list(_fonts()),
            font_family="DejaVu Sans",
            sans_serif_family="DejaVu Sans",
            serif_family="DejaVu Serif",
            monospace_family="DejaVu Sans Mono",
        )
    except ValueError as error:
        raise PictureError(f"a drawing cannot be rendered: {error}") from error
    return from_bytes(bytes(png))


def from_svg_trimmed(path: Path, size: int) -> Image.Image:
    """Render a drawing file without the empty page around it, its longer side at least `size` pixels if it can be.

    Drawings often lie in a corner of a sheet of paper. What is very small on its page comes out smaller.
    Raises PictureError when nothing is drawn at all.
    """
    content = path.read_bytes()
    image = from_svg(content, size)
    box = _drawn_box(image)
    share = max(box[2] - box[0], box[3] - box[1]) / size
    if share < 1:
        width = min(round(size / share), LARGEST_PAGE * size)
        image = from_svg(content, width)
        box = _drawn_box(image)
    return image.crop(box)


def _drawn_box(image: Image.Image) -> tuple[int, int, int, int]:
    """Return the box of what is not (nearly) transparent."""
    box = image.convert("RGBA").getchannel("A").point(lambda alpha: 255 if alpha > FAINTEST else 0).getbbox()
    if box is None:
        raise PictureError("nothing is drawn")
    return box


def plain_svg(content: bytes) -> str:
    """Return a drawing as text with the entities of its document type written out."""
    entities = dict(_ENTITY.findall(content))
    content = _DOCTYPE.sub(b"", content)
    for name, value in entities.items():
        content = content.replace(b"&" + name + b";", value)
    return content.decode("utf-8", "replace")


@functools.lru_cache(maxsize=8)
def sheet(path: Path) -> Image.Image:
    """Return a sheet of many small pictures, decoded once."""
    return from_bytes(path.read_bytes()).convert("RGBA")


def sheet_cell(path: Path, left: int, top: int, side: int, size: int) -> Image.Image:
    """Cut one square picture out of a sheet; `size` plays no part."""
    del size
    return sheet(path).crop((left, top, left + side, top + side))


@functools.lru_cache(maxsize=2)
def rendered_sheet(path: Path, width: int) -> Image.Image:
    """Return a sheet that is a drawing, rendered once."""
    return from_file(path, width)


@functools.lru_cache(maxsize=8)
def opened_zip(path: Path) -> zipfile.ZipFile:
    """Return a zip file, opened once."""
    return zipfile.ZipFile(path)


def from_zip(path: Path, member: str, size: int) -> Image.Image:
    """Decode a picture that is a member of a zip file; `size` plays no part."""
    del size
    try:
        content = opened_zip(path).read(member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PictureError(f"{path.name} has no readable picture {member!r}: {error}") from error
    return from_bytes(content)


def from_array(array: np.ndarray[Any, Any], size: int) -> Image.Image:
    """Return a grey picture [h, w] uint8 as an image; `size` plays no part."""
    from PIL import Image

    del size
    return Image.fromarray(array, mode="L")


GLYPH_SHARE: Final = 60 / 96
"""Size of a glyph's font as a share of the picture."""


def from_glyph(font: Path, character: str, size: int) -> Image.Image:
    """Draw one character black on white in the middle of a square of `size` pixels, smaller where it would not fit."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (size, size), 255)
    drawing = ImageDraw.Draw(image)
    middle = (size / 2, size / 2)
    points = round(size * GLYPH_SHARE)
    box = drawing.textbbox(middle, character, font=_font(font, points), anchor="mm")
    reach = max(size / 2 - box[0], size / 2 - box[1], box[2] - size / 2, box[3] - size / 2)
    if reach > size / 2:
        points = int(points * size / 2 / reach)
    drawing.text(middle, character, fill=0, font=_font(font, points), anchor="mm")
    return image


@functools.lru_cache(maxsize=64)
def _font(path: Path, points: int) -> FreeTypeFont:
    from PIL import ImageFont

    # The simple layout: the other one shapes text with a library that not every installation has.
    return ImageFont.truetype(str(path), points, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _fonts() -> tuple[str, ...]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono")
    return tuple(str(folder / f"{name}.ttf") for name in names)
