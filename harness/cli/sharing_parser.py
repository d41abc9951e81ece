"""The grammar of what passes results on: `store merge`, `bundle` and `track`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Command = Callable[..., Any]
TRACKERS = ("tensorboard", "mlflow", "wandb")


def add_merge(operations: Any, command: Command) -> None:
    """Add ``store merge``; ``command`` is the parser's own helper."""
    about = "add to A what only B has; what differs is reported and left as it is in A (status 3)"
    merge = command(operations, "merge", "merging", "merge", about, with_results=False)
    merge.add_argument("folder", metavar="A", help="results folder that receives")
    merge.add_argument("others", metavar="B", nargs="+", help="results folders that are only read")
    merge.add_argument("--into", metavar="NEW", help="receive in this folder instead; A is then only read, too")
    merge.add_argument("--dry-run", action="store_true", help="only say what would be added and what differs")
    merge.add_argument("--conflicts", metavar="FILE.csv", help="write everything that differs to this file")


def add_sharing_commands(commands: Any, command: Command, positive: Callable[[str], int]) -> None:
    """Add ``bundle`` and ``track``; the other arguments are the parser's own helpers."""
    _add_bundle(commands, command)
    track = command(commands, "track", "tracking", "track", "show curves and outcomes in an experiment tracker")
    track.add_argument("study", metavar="STUDY", help="study file or name")
    track.add_argument("--to", choices=TRACKERS, required=True, help="tensorboard, mlflow, or wandb (offline runs)")
    track.add_argument(
        "--at", metavar="PLACE", help="a folder, for mlflow a tracking URI (default: in the study's results folder)"
    )
    track.add_argument("--follow", action="store_true", help="go on as rows are stored, until Ctrl-C")
    track.add_argument(
        "--every", metavar="S", type=positive, default=10, help="seconds between two looks (default: 10)"
    )


def _add_bundle(commands: Any, command: Command) -> None:
    bundle = command(commands, "bundle", "bundling", "bundle", "put a study's results into one file for others")
    bundle.add_argument("study", metavar="STUDY", nargs="?", help="study file or name")
    bundle.add_argument("--to", metavar="FILE.zip", help="write it here (default: into the study's results folder)")
    bundle.add_argument("--anonymous", action="store_true", help="without users, hosts, mail addresses and paths")
    bundle.add_argument(
        "--hide", metavar="WORD", action="append", default=[], help="with --anonymous: a word to take out (repeatable)"
    )
    bundle.add_argument("--weights", action="store_true", help="with the artifacts: trained weights, predictions")
    bundle.add_argument("--verify", metavar="FILE.zip", help="compare a bundle with its checksums; unpacks nothing")
