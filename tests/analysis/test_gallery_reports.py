"""A report in the gallery: small pictures, small tables, one page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from analysis import gallery
from analysis.gallery_reports import MOST_PICTURE_BYTES, MOST_TABLE_BYTES, from_report, shrink
from harness.errors import HarnessError


@pytest.fixture
def made(tmp_path):
    """A report folder with two figures and three tables, one of them large."""
    folder = tmp_path / "results" / "demo"
    (folder / "figures").mkdir(parents=True)
    (folder / "tables").mkdir()
    for name, size in (("second", (2000, 900)), ("first", (400, 300))):
        Image.new("RGB", size, (30, 90, 200)).save(folder / "figures" / f"{name}.png")
        (folder / "figures" / f"{name}.svg").write_text("<svg/>")
    tables = {"second": "| a |\n|--|\n| 1 |\n", "other": "| b |\n|--|\n| 2 |\n", "large": "x" * (MOST_TABLE_BYTES + 1)}
    for name, text in tables.items():
        (folder / "tables" / f"{name}.md").write_text(text)
        (folder / "tables" / f"{name}.csv").write_text("a\n1\n")
        (folder / "tables" / f"{name}.tex").write_text("\\a")
    files = [f"figures/{n}.{e}" for n in ("second", "first") for e in ("png", "svg")]
    files += [f"tables/{n}.{e}" for n in tables for e in ("csv", "md", "tex")]
    (folder / "files.json").write_text(json.dumps([*files, "outcomes.csv", "report.html"]))
    return folder


def test_pictures_and_small_tables_are_taken(made, tmp_path):
    page, large = from_report(made, tmp_path / "gallery", "shown")
    folder = tmp_path / "gallery" / "shown"
    assert page == folder / "README.md" and large == ["large.md"]
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "first.png", "large.csv", "other.csv", "other.md",
                                                        "second.csv", "second.md", "second.png"]  # fmt: skip
    with Image.open(folder / "second.png") as image:
        assert max(image.size) == 1300
    with Image.open(made / "figures" / "second.png") as image:
        assert image.size == (2000, 900)


def test_the_page_shows_pictures_in_order_with_their_tables(made, tmp_path):
    text = from_report(made, tmp_path / "g", "shown")[0].read_text()
    places = [
        text.index(part) for part in ("# shown", "![second](second.png)", "| 1 |", "![first](first.png)", "| 2 |")
    ]
    assert places == sorted(places) and "[CSV](second.csv)" in text
    assert "Only in the report, being large: large.md" in text


def test_an_earlier_copy_is_replaced(made, tmp_path):
    target = tmp_path / "g" / "shown"
    target.mkdir(parents=True)
    (target / "old.png").write_bytes(b"x")
    (target / "notes.txt").write_text("mine")
    from_report(made, tmp_path / "g", "shown")
    assert not (target / "old.png").exists() and (target / "notes.txt").exists()


def test_heavy_pictures_lose_colours_not_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 40, (400, 900, 3), dtype=np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(noise).save(path)
    before = path.stat().st_size
    shrink(path)
    assert before > MOST_PICTURE_BYTES and path.stat().st_size < before
    with Image.open(path) as image:
        assert image.size == (900, 400) and image.mode == "P"


def test_a_folder_without_a_report_is_refused(tmp_path, capsys):
    with pytest.raises(HarnessError, match="harness report nowhere"):
        from_report(tmp_path / "nowhere", tmp_path, "x")
    with pytest.raises(SystemExit) as left:
        gallery.main([str(tmp_path), "--from-report", str(tmp_path / "nowhere")])
    assert left.value.code == 2 and capsys.readouterr().err.startswith("error: ")


def test_the_command_names_it_after_the_report_unless_told(made, tmp_path, capsys):
    gallery.main([str(tmp_path / "g"), "--from-report", str(made)])
    assert (tmp_path / "g" / "demo" / "README.md").is_file()
    gallery.main([str(tmp_path / "g"), "--from-report", str(made), "--as", "other"])
    assert (tmp_path / "g" / "other" / "README.md").is_file()
    assert "too large for it: large.md" in capsys.readouterr().out
