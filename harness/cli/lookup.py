"""Which study a word on the command line means: a file, a name under ``studies/``, or one that the results know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, suggest

FOLDER = Path("studies")
SUFFIXES = (".yaml", ".yml")
_NAME = re.compile(r"^study:[ \t]*[\"']?([A-Za-z0-9_-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A study by its file, or, when only the results know it, by its name."""

    file: Path | None
    name: str


def study_files(folder: Path = FOLDER) -> dict[str, Path]:
    """Map what a study file may be called on the command line to the file, for every study under ``folder``.

    ``studies/a.yaml`` is ``a``; ``studies/a/mini.yaml`` is ``a/mini``; a file that is no study (a fragment that others
    extend has no ``study:`` line) is left out.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and declared_name(path) is not None:
            found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found


def declared_name(path: Path) -> str | None:
    """Return what the file's ``study:`` line says, or None when it has none or cannot be read."""
    try:
        match = _NAME.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return match.group(1) if match else None


def known_studies(results: str) -> list[str]:
    """Return the names of the studies planned in these results; none when there are no results yet."""
    import harness.api

    return harness.api.known_studies(results)


def find(text: str, results: str) -> Found:
    """Find the study that ``text`` means. Raises HarnessError naming the nearest one when there is none."""
    path = Path(text)
    if path.is_file():
        return Found(path, declared_name(path) or path.stem)
    if path.suffix in SUFFIXES:
        if path.is_dir():
            raise HarnessError(f"{text} is a folder, not a study file")
        near = [str(other) for other in path.parent.glob("*") if other.suffix in SUFFIXES and other.is_file()]
        raise HarnessError(f"there is no study file {text}{suggest(text, near)}")
    files = study_files()
    named = files.get(text) or _only_one(text, files)
    if named is not None:
        return Found(named, declared_name(named) or text)
    known = known_studies(results)
    if text in known:
        return Found(None, text)
    raise HarnessError(
        f"there is no study {text!r}, as a file, under {FOLDER}/ or in {results}{suggest(text, {*files, *known})}"
    )


def find_file(text: str, results: str) -> Path:
    """Find the file of a study; raises HarnessError when there is none or only the results know the study."""
    found = find(text, results)
    if found.file is None:
        raise HarnessError(f"study {text!r} is known to {results}, but its file is not here: give the file")
    return found.file


def _only_one(text: str, files: dict[str, Path]) -> Path | None:
    """Return the one file that declares the name ``text`` or stands alone in a folder of that name."""
    named = {called: path for called, path in files.items() if declared_name(path) == text}
    named = named or {called: path for called, path in files.items() if called.startswith(f"{text}/")}
    if len(named) > 1:
        raise HarnessError(f"{text!r} could be any of {', '.join(sorted(named))}")
    return next(iter(named.values()), None)
