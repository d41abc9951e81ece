"""What the command line says before it does anything: help at once, one sentence for a slip, status 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
QUICKSTART = str(Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml")
COMMANDS = (
    "run", "plan", "prepare", "check", "status", "export", "report", "show", "studies", "tasks", "methods",
    "backbones", "estimators", "schema",
)  # fmt: skip


def seconds_of_children() -> float:
    """Return the processor time of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def test_help_is_instant_and_imports_nothing_heavy(harness_command: Command, root: object) -> None:
    spent = []
    for _ in range(3):
        begun = seconds_of_children()
        done = harness_command("--help")
        spent.append(seconds_of_children() - begun)
        assert done.returncode == 0
        assert "exit status" in done.stdout
    # Processor time, the best of three: a loaded machine may be slow, an import of torch is slow always.
    assert min(spent) < 0.5
    code = (
        "import sys\nfrom harness.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ray', 'pandas', 'scipy', 'numpy', 'pyarrow', 'deltalake', 'pydantic', 'omegaconf'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=str(root), capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_a_results_folder(harness_command: Command, command: str) -> None:
    done = harness_command(command, "--help")
    assert done.returncode == 0
    assert "--results DIR" in done.stdout
    assert "--debug" in done.stdout


@pytest.mark.parametrize("operation", ["parts", "verify", "compact", "prune"])
def test_store_operations_explain_themselves(harness_command: Command, operation: str) -> None:
    done = harness_command("store", operation, "--help")
    assert done.returncode == 0
    assert "--results DIR" in done.stdout
    assert ("--dry-run" in done.stdout) == (operation == "prune")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rn"], "unknown command 'rn' (did you mean 'run'?)"),
        (["store", "prun"], "unknown command 'prun' (did you mean 'prune'?)"),
        (["run", "x", "--worker", "3"], "unknown option --worker (did you mean '--workers'?)"),
        (["plan", "x", "--jsn"], "unknown option --jsn (did you mean '--json'?)"),
        (["run", "x", "--stale", "kep"], "unknown value for --stale 'kep' (did you mean 'keep'?)"),
        (["run", "x", "--workers", "0"], "expected a whole number from 1 on, not '0'"),
        (["run"], "the following arguments are required: STUDY"),
        (["export", "x"], "the following arguments are required: --to"),
        (["run", "x", "y"], "unexpected argument 'y'"),
        ([], "the following arguments are required: COMMAND"),
        (["submit", QUICKSTART, "--dry-run", "--sbatch=--"], "'--' is no option of sbatch"),
        (["run", "--workers=--", "quickstart"], "argument --workers"),
    ],
)
def test_a_slip_gets_one_sentence(harness_command: Command, arguments: list[str], sentence: str) -> None:
    done = harness_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_abbreviated_options_are_refused(harness_command: Command) -> None:
    done = harness_command("run", "x", "--in-proc")
    assert done.returncode == 2
    assert "did you mean '--in-process'?" in done.stderr


def test_version(harness_command: Command) -> None:
    import harness

    assert harness_command("--version").stdout == f"transfer-harness {harness.__version__}\n"
