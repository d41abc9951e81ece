"""The ``harness`` command: parses, calls `harness.api`, prints.

Exit status: 0 done, 1 a fault of the program itself, 2 something the user can put right (one sentence on standard
error), 3 finished with failures, 130 and 143 interrupted by Ctrl-C and SIGTERM, 141 the reader of our output left.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from harness.cli.parser import build_parser
from harness.errors import HarnessError

FAULT = 1
USER_ERROR = 2
INTERRUPTED = 130
READER_LEFT = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; ``--debug`` lets tracebacks through."""
    _mend_output()
    arguments = build_parser().parse(argv)
    try:
        status: int = arguments.handler(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python flushes standard output once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except KeyboardInterrupt:
        _say("harness: interrupted")
        return INTERRUPTED
    except Exception as error:
        if arguments.debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    """Print what went wrong in one sentence and return the exit status."""
    if isinstance(error, HarnessError):
        # A study's problems come one a line, each with its file and line number: those stand for themselves.
        text = str(error)
        _say(text if getattr(error, "problems", None) else f"harness: {text}")
        return error.exit_status
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        _say(f"harness: {error.strerror or error}{where}")
        return USER_ERROR
    summary = " ".join(str(error).split())
    _say(
        f"harness: a fault of the program: {type(error).__name__}: {summary}; run again with --debug for the traceback"
    )
    return FAULT


def _mend_output() -> None:
    """Let every text be printed: to closed streams in vain, in characters that the encoding lacks as escapes."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # stays open as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # likewise
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
