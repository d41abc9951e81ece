"""``harness bundle``: one file with a study's results, or the check of such a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.lookup import find
from harness.cli.text import plural, size
from harness.errors import HarnessError

DONE = 0
DAMAGED = 3


def bundle(arguments: argparse.Namespace) -> int:
    """Write a bundle, or with ``--verify`` check one; status 3 when it is not what was packed."""
    if arguments.verify is not None:
        return _verify(arguments)
    if arguments.study is None:
        raise HarnessError("name the study to bundle, or a file with --verify")
    if arguments.hide and not arguments.anonymous:
        raise HarnessError("--hide takes words out of an anonymous bundle: add --anonymous")
    import harness.api
    from harness.bundle import bundle as make
    from harness.store.places import local_folder

    found = find(arguments.study, arguments.results)
    results = arguments.results
    file = "anonymous.zip" if arguments.anonymous else f"{found.name}.zip"  # a study's name may tell, too
    to = Path(arguments.to) if arguments.to else local_folder(results) / found.name / file
    study = None if found.file is None else harness.api.load_study(found.file)
    made = make(
        found.name, results, to, study, anonymous=arguments.anonymous, hide=arguments.hide, weights=arguments.weights
    )
    print(f"{plural(made.rows['outcomes'], 'row')} and {plural(made.weights, 'artifact')} "
          f"in {plural(made.members, 'file')}, {size(made.nbytes)}: {made.path}")  # fmt: skip
    if arguments.anonymous:
        print("replaced: " + ", ".join(f"{count:,} {what}" for what, count in made.replaced.items()))
        print("Pictures of your own, data and other words that tell who you are: look yourself, or name them by --hide")
    for note in made.notes:
        print(f"note: {note}")
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    from harness.bundle import verify

    if arguments.study is not None or arguments.anonymous or arguments.weights or arguments.to or arguments.hide:
        raise HarnessError("--verify FILE stands alone")
    found = verify(Path(arguments.verify))
    for problem in found.problems:
        print(f"error: {problem}")
    if found.problems:
        return DAMAGED
    print(f"{plural(found.members, 'file')}, {size(found.nbytes)}: all as they were packed")
    return DONE
