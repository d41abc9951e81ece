"""What `main` makes of whatever happens below it: a status, one sentence, and never a traceback."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.errors import HarnessError
from harness.store import StoreWriteError

ROOT = Path(__file__).resolve().parents[2]
Handler = Callable[[argparse.Namespace], int]


class Stubborn(HarnessError):
    """An error with a status of its own."""

    exit_status = 7


class Listed(HarnessError):
    """An error of several lines that stand for themselves."""

    problems = ("one",)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `harness schema` with another handler in its place."""
    from harness.cli import catalogue

    def run(does: Handler, *more: str) -> int:
        monkeypatch.setattr(catalogue, "schema", does)
        return cli.main(["schema", *more])

    return run


def raising(error: BaseException) -> Handler:
    def handler(arguments: argparse.Namespace) -> int:
        raise error

    return handler


@pytest.mark.parametrize("status", [0, 3, 130, 143])
def test_the_status_of_the_command_is_the_status_of_the_program(run: Callable[..., int], status: int) -> None:
    assert run(lambda arguments: status) == status


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (HarnessError("put the fuse in"), 2, "harness: put the fuse in"),
        (Stubborn("no"), 7, "harness: no"),
        (Listed("a.yaml:1: x\na.yaml:2: y"), 2, "a.yaml:1: x\na.yaml:2: y"),
        (StoreWriteError("full"), 2, "harness: full"),
        (FileNotFoundError(2, "No such file or directory", "a.bin"), 2, "harness: No such file or directory (a.bin)"),
        (PermissionError(13, "Permission denied"), 2, "harness: Permission denied"),
        (OSError("no number"), 2, "harness: no number"),
        (KeyboardInterrupt(), 130, "harness: interrupted"),
        (
            ValueError("one\n   two"),
            1,
            "harness: a fault of the program: ValueError: one two; run again with --debug for the traceback",
        ),
    ],
)
def test_what_is_raised_becomes_a_sentence_and_a_status(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    assert run(raising(error)) == status
    assert capsys.readouterr() == ("", said + "\n")


@pytest.mark.parametrize("error", [HarnessError("x"), ValueError("x"), OSError("x")])
def test_debug_lets_it_through(run: Callable[..., int], error: Exception) -> None:
    with pytest.raises(type(error), match="x"):
        run(raising(error), "--debug")


def test_ctrl_c_is_no_traceback_even_with_debug(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyboardInterrupt()), "--debug") == 130
    assert capsys.readouterr().err == "harness: interrupted\n"


def started(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $H is the program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "H": f"{sys.executable} -m harness", **variables}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "studies").mkdir()
    for name in ("plain", "größe"):
        (folder / "studies" / f"{name}.yaml").write_text("study: x\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("command", "status", "out", "err"),
    [
        ("$H studies plain >&-", 0, "", ""),
        ("$H studies nothing >&-", 2, "", "harness: there is no study 'nothing'"),
        ("$H studies nothing 2>&-", 2, "", ""),
        ("$H studies plain >&- 2>&- <&-", 0, "", ""),
        ("$H studies plain >/dev/full", 2, "", "harness: No space left on device\n"),
        ("$H studies plain | :; exit ${PIPESTATUS[0]}", (0, 141), "", ""),
        ("PYTHONIOENCODING=ascii $H studies größe", 0, "gr\\xf6\\xdfe  studies/gr\\xf6\\xdfe.yaml\n", ""),
        ("$H studies $'gr\\xff'", 2, "", "harness: there is no study 'gr\\udcff'"),
    ],
)
def test_streams_that_are_closed_full_or_narrow(
    folder: Path, command: str, status: int | tuple[int, ...], out: str, err: str
) -> None:
    done = started(folder, command)
    assert done.returncode in (status if isinstance(status, tuple) else (status,)), done.stderr
    assert done.stdout == out
    assert done.stderr.startswith(err) and bool(done.stderr) == bool(err)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
