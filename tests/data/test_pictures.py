"""Pictures: what is drawn, where it comes to lie, and what cannot be decoded."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.data import pictures

Image = pytest.importorskip("PIL.Image")

RED_SQUARE = """<svg xmlns="http://www.w3.org/2000/svg" width="{page}pt" height="{page}pt" viewBox="0 0 100 100">
<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="#ff0000"/></svg>"""


def png(image: object) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG")  # type: ignore[attr-defined]
    return held.getvalue()


def test_a_wide_picture_is_padded_on_the_background() -> None:
    wide = Image.new("RGB", (40, 20), (255, 0, 0))
    array = np.asarray(pictures.square(wide, 40, (0, 0, 255)))
    assert array.shape == (40, 40, 3)
    assert (array[:10] == (0, 0, 255)).all() and (array[30:] == (0, 0, 255)).all()
    assert (array[10:30] == (255, 0, 0)).all()


def test_transparency_shows_the_background() -> None:
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert (np.asarray(pictures.square(clear, 10, (200, 200, 200))) == 200).all()
    palette = Image.new("P", (10, 10))
    assert pictures.square(palette, 10).mode == "RGB"


def test_grey_pictures_stay_grey_and_untouched_at_their_size() -> None:
    array = np.arange(100, dtype=np.uint8).reshape(10, 10)
    image = pictures.from_array(array, 10)
    assert (np.asarray(pictures.square(image, 10)) == array).all()
    assert pictures.square(image, 20).size == (20, 20)


def test_squash_and_crop_differ_in_what_they_keep() -> None:
    halves = Image.new("RGB", (40, 20), (255, 0, 0))
    halves.paste((0, 0, 255), (30, 0, 40, 20))
    squashed, cropped = np.asarray(pictures.squash(halves, 20)), np.asarray(pictures.centre_crop(halves, 20))
    assert squashed[:, -1, 2].min() > 200, "the blue edge is still there"
    assert cropped[..., 2].max() == 0, "the blue edge is cut off"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_one_error(content: bytes) -> None:
    with pytest.raises(pictures.PictureError, match="cannot be decoded"):
        pictures.from_bytes(content)


def test_a_picture_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 50)
    with pytest.raises(pictures.PictureError, match="too large"):
        pictures.from_bytes(png(Image.new("L", (10, 10))))


def test_a_truncated_picture_is_one_error() -> None:
    content = png(Image.effect_noise((64, 64), 50))
    with pytest.raises(pictures.PictureError):
        pictures.from_bytes(content[: len(content) // 2])


class TestDrawings:
    """SVG."""

    @pytest.fixture(autouse=True)
    def renderer(self) -> None:
        pytest.importorskip("resvg_py")

    def test_a_drawing_is_rendered_at_the_wanted_width(self) -> None:
        image = pictures.from_svg(RED_SQUARE.format(page=100, x=0, y=0, side=50).encode(), 80)
        assert image.size == (80, 80)
        array = np.asarray(image.convert("RGBA"))
        assert (array[10, 10] == (255, 0, 0, 255)).all() and array[70, 70, 3] == 0

    def test_what_is_drawn_fills_the_trimmed_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "small.svg"
        path.write_text(RED_SQUARE.format(page=1000, x=10, y=80, side=15))
        image = pictures.from_svg_trimmed(path, 60)
        assert abs(image.width - 60) <= 3 and abs(image.height - 60) <= 3
        assert (np.asarray(image.convert("RGBA"))[20:40, 20:40] == (255, 0, 0, 255)).all()

    def test_an_empty_page_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.svg"
        path.write_text(RED_SQUARE.format(page=100, x=0, y=0, side=0))
        with pytest.raises(pictures.PictureError, match="nothing is drawn"):
            pictures.from_svg_trimmed(path, 60)

    def test_entities_of_old_drawings_are_written_out(self) -> None:
        old = (
            '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "a" "b" [ <!ENTITY ns_svg "http://www.w3.org/2000/svg"> ]>\n'
            '<svg xmlns="&ns_svg;" width="10" height="10"><rect width="10" height="10"/></svg>'
        )
        assert "DOCTYPE" not in pictures.plain_svg(old.encode())
        assert np.asarray(pictures.from_svg(old.encode(), 10).convert("RGBA"))[5, 5, 3] == 255

    def test_no_font_of_the_machine_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import resvg_py

        told: dict[str, object] = {}
        real = resvg_py.svg_to_bytes

        def spy(**options: object) -> object:
            told.update(options)
            return real(**options)

        monkeypatch.setattr(resvg_py, "svg_to_bytes", spy)
        text = '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><text x="5" y="40">A</text></svg>'
        image = pictures.from_svg(text.encode(), 50)
        assert told["skip_system_fonts"] is True
        assert image.getchannel("A").getbbox() is not None, "the letter is drawn with the fonts that come along"

    def test_a_broken_drawing_is_one_error(self) -> None:
        with pytest.raises(pictures.PictureError, match="cannot be rendered"):
            pictures.from_svg(b"<svg", 10)

    def test_files_by_ending(self, tmp_path: Path) -> None:
        content = RED_SQUARE.format(page=10, x=0, y=0, side=100).encode()
        (tmp_path / "a.svg").write_bytes(content)
        (tmp_path / "a.svgz").write_bytes(gzip.compress(content))
        (tmp_path / "a.png").write_bytes(png(Image.new("RGB", (7, 7))))
        assert pictures.from_file(tmp_path / "a.svg", 30).size == (30, 30)
        assert pictures.from_file(tmp_path / "a.svgz", 30).size == (30, 30)
        assert pictures.from_file(tmp_path / "a.png", 30).size == (7, 7)
        assert pictures.rendered_sheet(tmp_path / "a.svgz", 26) is pictures.rendered_sheet(tmp_path / "a.svgz", 26)


def test_a_cell_of_a_sheet(tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (68, 34), (0, 0, 0, 255))
    sheet.paste((0, 255, 0, 255), (35, 1, 67, 33))
    (tmp_path / "sheet.png").write_bytes(png(sheet))
    cell = pictures.sheet_cell(tmp_path / "sheet.png", 35, 1, 32, 96)
    assert cell.size == (32, 32)
    assert (np.asarray(cell) == (0, 255, 0, 255)).all()


def test_a_member_of_a_zip_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("in/1.png", png(Image.new("RGB", (5, 5), (1, 2, 3))))
    assert pictures.from_zip(tmp_path / "a.zip", "in/1.png", 96).getpixel((2, 2)) == (1, 2, 3)
    with pytest.raises(pictures.PictureError, match=r"in/2\.png"):
        pictures.from_zip(tmp_path / "a.zip", "in/2.png", 96)


@pytest.mark.parametrize("letter", ["i", "W", "ǅ"])
def test_a_glyph_lies_whole_within_its_picture(letter: str) -> None:
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    ink = 255 - np.asarray(pictures.from_glyph(font, letter, 64)).astype(int)
    assert ink.sum() > 0
    edges = [ink[0].sum(), ink[-1].sum(), ink[:, 0].sum(), ink[:, -1].sum()]
    assert max(edges) < 255, "nothing is cut off"
