"""``harness store parts | verify | compact | prune``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness.cli.text import plural, size

if TYPE_CHECKING:
    from harness.store import Store

FOUND_DAMAGE = 3


def parts(arguments: argparse.Namespace) -> int:
    """Print the live Parquet files, one ``table<TAB>file`` a line."""
    for table, files in _open(arguments).parts().items():
        for file in files:
            print(f"{table}\t{file}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Print what is wrong; status 3 when data are lost or differ from what was recorded."""
    findings = _open(arguments).verify()
    for finding in findings:
        print(f"{finding.severity}: {finding.where}: {finding.message}")
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        print(f"{plural(errors, 'error')}: the next run computes again what is damaged and needed")
        return FOUND_DAMAGE
    print("everything recorded is there and as it was")
    return 0


def compact(arguments: argparse.Namespace) -> int:
    """Merge small files and say what that did."""
    done = _open(arguments).compact()
    print(f"{plural(done.parts_before, 'file')} before, {done.parts_after:,} after")
    print(f"{plural(done.files_deleted, 'file')} deleted ({size(done.bytes_deleted)}), {done.files_kept:,} still read")
    if done.rows_dropped:
        print(f"{plural(done.rows_dropped, 'row')} of unfinished commits dropped")
    return 0


def prune(arguments: argparse.Namespace) -> int:
    """Delete what no study's newest plan reaches, or say what would go."""
    done = _open(arguments).prune(dry_run=arguments.dry_run, force=arguments.force)
    verb = "would delete" if done.dry_run else "deleted"
    print(f"{verb} {plural(len(done.files), 'file')} ({size(done.nbytes)}) of {plural(len(done.records), 'stage')}")
    for file in done.files:
        print(f"  {file}")
    return 0


def _open(arguments: argparse.Namespace) -> Store:
    from harness.store import Store

    return Store.open(arguments.results)
