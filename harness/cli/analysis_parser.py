"""The grammar of the commands that read outcomes: import, compare, heatmap, correlate, table, and show --cell."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Command = Callable[[Any, str, str, str, str], Any]


def add_analysis_commands(commands: Any, command: Command) -> None:
    """Add the commands; ``command`` makes one with the options that every command takes."""
    _add_import(command(commands, "import", "analyses", "import_", "bring outcomes from elsewhere into the results"))
    compare = command(commands, "compare", "analyses", "compare", "set a study beside published values")
    compare.add_argument("study", metavar="STUDY", nargs="?", help="study file or name")
    compare.add_argument("--paper", dest="papers", metavar="NAME", action="append", default=[],
                         help="published tables of this paper (default: the one called like the study)")  # fmt: skip
    compare.add_argument("--published", metavar="DIR", default="results/published", help="folder of published tables")
    compare.add_argument("--all", action="store_true", help="print what matches too")
    compare.add_argument("--averages", action="store_true", help="only check printed averages against their own cells")
    compare.add_argument("--json", action="store_true", help="print JSON")
    heatmap = command(commands, "heatmap", "analyses", "heatmap", "draw one transfer matrix")
    _add_selection(heatmap, matrix=True)
    heatmap.add_argument("--to", metavar="FILE", required=True, help="a file ending in .png, .svg or .pdf")
    heatmap.add_argument("--cluster", choices=("rows", "cols", "both"), help="order by likeness, with dendrograms")
    table = command(commands, "table", "analyses", "table", "print one transfer matrix as a table")
    _add_selection(table, matrix=True)
    _add_format(table)
    correlate = command(commands, "correlate", "analyses", "correlate", "correlate estimators, methods or metrics")
    _add_selection(correlate, matrix=False)
    correlate.add_argument("--x", metavar="WHAT", help="an estimator, method or metric (default: all estimators)")
    correlate.add_argument("--y", metavar="WHAT", default="accuracy", help="what is predicted (default: accuracy)")
    correlate.add_argument("--kind", default="weighted_kendall", metavar="KIND",
                           help="weighted_kendall (default), kendall, spearman, pearson, regret or rel")  # fmt: skip
    correlate.add_argument("--variant", metavar="VARIANT", help="of weighted_kendall: scipy, x, y, rank=None; of "
                           "regret and rel: top-K")  # fmt: skip
    _add_format(correlate)


def add_cell_option(show: argparse.ArgumentParser) -> None:
    """Let ``show`` also take a study and one cell of its matrix."""
    show.add_argument("--cell", metavar="row=A,col=B", help="TRIAL is a study: print the trials behind one cell")
    _add_matrix_options(show)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an import file (.yaml), or a table (.csv, .parquet)")
    parser.add_argument("--name", metavar="STUDY", help="name of the study (default: as the file says, or is called)")
    parser.add_argument("--rename", metavar="THEIRS=OURS", action="append", default=[],
                        help="column that is called otherwise (repeatable); THEIRS= leaves it out")  # fmt: skip
    parser.add_argument("--fix", metavar="COLUMN=VALUE", action="append", default=[],
                        help="column that the table lacks (repeatable), e.g. --fix method=fine_tune")  # fmt: skip
    parser.add_argument("--wide", metavar="AXIS", help="the table is a matrix; its first column is this axis")
    parser.add_argument("--cols", metavar="AXIS", default="target", help="axis of a wide table's heads")
    parser.add_argument("--value", metavar="COLUMN", default="value", help="column of the values (default: value)")
    parser.add_argument("--scale", metavar="X", type=float, default=1.0, help="multiply values, e.g. 0.01 for per cent")
    parser.add_argument("--to", metavar="FILE", help="write the outcomes here (.csv, .parquet), store nothing")


def _add_selection(parser: argparse.ArgumentParser, matrix: bool) -> None:
    parser.add_argument("study", metavar="STUDY", help="study file or name, or a table of outcomes (.csv, .parquet)")
    parser.add_argument("--wide", metavar="AXIS", help="the table is a matrix; its first column is this axis")
    _add_matrix_options(parser)
    if matrix:
        parser.add_argument("--relative-to", metavar="NAME", help="a baseline, own, target_best or z")
        parser.add_argument("--how", choices=("difference", "relative_gain", "relative_error_reduction"),
                            default="difference", help="how a value is set against its baseline")  # fmt: skip
        parser.add_argument("--pooled", action="store_true", help="one baseline mean over seeds and targets, unpaired")
        parser.add_argument("--failed", choices=("drop", "worst", "chance"), default="drop",
                            help="what failed trials count as")  # fmt: skip
        parser.add_argument("--chance", metavar="X", type=float, help="the level of guessing, for --failed chance")
        parser.add_argument("--flagged", choices=("keep", "drop"), default="keep", help="whether flagged values count")


def _add_matrix_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", metavar="AXIS", default="source", help="axis of the rows (default: source)")
    parser.add_argument("--cols", metavar="AXIS", default="target", help="axis of the columns (default: target)")
    parser.add_argument("--value", metavar="METRIC", help="metric or estimator (default: accuracy, or the only metric)")
    parser.add_argument(
        "--where", metavar="AXIS=VALUE,...", action="append", default=[], help="only these (repeatable)"
    )
    parser.add_argument("--over", metavar="AXIS", action="append", default=[], help="average over this axis too")


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("markdown", "latex", "csv", "html"), help="default: by --to, or markdown")
    parser.add_argument("--to", metavar="FILE", help="write it here instead of printing it")
