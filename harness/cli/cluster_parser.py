"""The grammar of `harness submit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def add_submit(
    commands: Any,
    command: Callable[[Any, str, str, str, str], Any],
    add_study: Callable[[Any], None],
    positive: Callable[[str], int],
) -> None:
    """Add the command; the other arguments are the parser's own helpers."""
    submit = command(commands, "submit", "cluster", "submit", "hand a study to Slurm")
    add_study(submit)
    submit.add_argument("--slurm", action="store_true", help="to Slurm (the default, and the only one there is)")
    how = submit.add_mutually_exclusive_group()
    how.add_argument("--nodes", metavar="N", type=positive, default=1, help="one allocation of N nodes, one Ray")
    how.add_argument("--array", metavar="N", type=positive, help="N shards as an array of jobs, one Ray on each node")
    submit.add_argument("--partition", metavar="NAME", help="as in sbatch")
    submit.add_argument("--account", metavar="NAME", help="as in sbatch")
    submit.add_argument("--qos", metavar="NAME", help="as in sbatch")
    submit.add_argument("--time", metavar="LIMIT", help="as in sbatch, e.g. 04:00:00; the job goes on after it")
    submit.add_argument("--mem", metavar="SIZE", help="memory of each node, e.g. 32G")
    submit.add_argument("--cpus-per-node", metavar="N", type=positive, help="cores of each node")
    submit.add_argument("--gpus-per-node", metavar="N", type=positive, help="GPUs of each node")
    submit.add_argument(
        "--notice", metavar="S", type=positive, default=120, help="seconds before the time limit to save and leave"
    )
    submit.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="another option, e.g. --sbatch=--constraint=a100",
    )
    submit.add_argument("--spare-head", action="store_true", help="with --nodes: no work on the first node")
    submit.add_argument("--stale", choices=("stop", "keep", "rerun"), default="stop", help="as in harness run")
    submit.add_argument("--dry-run", action="store_true", help="print the scripts and submit nothing")
