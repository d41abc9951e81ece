"""A report's pictures and small tables as a folder of the gallery, with one page that shows them all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.errors import HarnessError

MOST_PICTURE_BYTES = 290_000
MOST_TABLE_BYTES = 60_000
_WIDEST = 1300
_PAGE = "README.md"


def shrink(path: Path) -> None:
    """Scale a picture down and, if it is still heavy, reduce its colours, so that the gallery stays light."""
    from PIL import Image

    with Image.open(path) as image:
        scale = min(1.0, _WIDEST / max(image.size))
        size = (round(image.width * scale), round(image.height * scale))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.save(path, optimize=True)
    if path.stat().st_size > MOST_PICTURE_BYTES:
        small.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def from_report(report: Path, gallery: Path, name: str) -> tuple[Path, list[str]]:
    """Copy what is small of a report to ``gallery/name``; give the page and the names of what was too large.

    Pictures are scaled down; of tables the CSV and Markdown files are taken. Files of an earlier copy are removed.

    Raises:
        HarnessError: when ``report`` holds no report.
    """
    manifest = report / "files.json"
    if not manifest.is_file():
        raise HarnessError(f"{str(report)!r} holds no report: make one first, with harness report {report.name}.")
    files = [Path(str(entry)) for entry in json.loads(manifest.read_text(encoding="utf-8"))]
    target = gallery / name
    _clear(target)
    pictures = [_copy(report / file, target) for file in files if file.suffix == ".png"]
    for picture in pictures:
        shrink(picture)
    tables = [file for file in files if file.parent.name == "tables" and file.suffix in (".csv", ".md")]
    large = [file.name for file in tables if (report / file).stat().st_size > MOST_TABLE_BYTES]
    kept = [_copy(report / file, target) for file in tables if file.name not in large]
    page = target / _PAGE
    page.write_text(_page(name, pictures, [t for t in kept if t.suffix == ".md"], large), encoding="utf-8")
    return page, large


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.suffix in (".png", ".csv", ".md"):
            path.unlink()


def _copy(file: Path, folder: Path) -> Path:
    return Path(shutil.copyfile(file, folder / file.name))


def _page(name: str, pictures: list[Path], tables: list[Path], large: list[str]) -> str:
    """Pictures with the tables called like them, then the other tables."""
    parts = [f"# {name}\n"]
    rest = {table.stem: table for table in tables}
    for picture in pictures:
        parts.append(f"![{picture.stem}]({picture.name})\n")
        if picture.stem in rest:
            parts.append(_table(rest.pop(picture.stem)))
    parts += [_table(table) for table in rest.values()]
    if large:
        parts.append(f"Only in the report, being large: {', '.join(large)}\n")
    return "\n".join(parts)


def _table(file: Path) -> str:
    return f"**{file.stem}** ([CSV]({file.stem}.csv))\n\n{file.read_text(encoding='utf-8')}"
