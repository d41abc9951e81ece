"""run, plan, status, export, report, show, prepare, check: what they print, and with which status they end."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster.jobs import Job, note_job

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

# Three pairs x two methods x two seeds, and two targets x two seeds from scratch.
TRIALS = 3 * 2 * 2 + 2 * 2
EXCLUDED = 2 * 2
# What the study needs, counted by hand: two sources and two targets are trained with two seeds; each source gives
# features of two splits of its targets (flip of two, noise of one); every trial has an evaluation of its own.
STAGES = {
    "train": 2 * 2 + 2 * 2,
    "extract_features": 3 * 2 * 2,
    "fit_probe": 3 * 2,
    "evaluate_probe": 3 * 2,
    "adapt": 3 * 2,
    "evaluate": 3 * 2 + 2 * 2,
}


def rows_of(harness: Command, folder: Path, study: str = "small.yaml") -> list[dict[str, str]]:
    done = harness(folder, "export", study, "--to", "out.csv")
    assert done.returncode == 0, done.stderr
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_plan_of_a_new_study(tmp_path: Path, harness_in: Command, small: str) -> None:
    (tmp_path / "small.yaml").write_text(small, encoding="utf-8")
    done = harness_in(tmp_path, "plan", "small.yaml", "--json")
    plan = json.loads(done.stdout)
    assert plan["trials"] == TRIALS
    assert plan["stages_done"] == 0
    assert {kind: count["needed"] for kind, count in plan["stages"].items()} == STAGES
    assert plan["stages_needed"] == sum(STAGES.values())
    assert plan["excluded"] == {"not asked for": EXCLUDED}
    assert not (tmp_path / "results").exists(), "plan writes nothing"
    text = harness_in(tmp_path, "plan", "small.yaml").stdout
    assert f"{TRIALS} trials" in text and "not asked for" in text


def test_plan_imports_nothing_heavy(finished: Path) -> None:
    code = (
        "import sys\nfrom harness.cli import main\nstatus = main(['plan', 'small.yaml', '--json'])\n"
        "assert status == 0\nheavy = {'torch', 'ray', 'pandas', 'scipy', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "[]"


def test_a_finished_study_needs_nothing(finished: Path, harness_in: Command) -> None:
    plan = json.loads(harness_in(finished, "plan", "small.yaml", "--json").stdout)
    assert plan["stages_needed"] == 0
    assert plan["stages_done"] == sum(STAGES.values())
    again = harness_in(finished, "run", "small.yaml")
    assert again.returncode == 0
    assert f"{TRIALS} done; 0 new stages" in again.stdout


def test_status_counts_trials(finished: Path, tmp_path: Path, harness_in: Command, small: str) -> None:
    counts = json.loads(harness_in(finished, "status", "small.yaml", "--json").stdout)
    assert counts == {"done": TRIALS, "failed": 0, "skipped": 0, "diverged": 0, "pending": 0, "excluded": EXCLUDED}
    (tmp_path / "small.yaml").write_text(small, encoding="utf-8")
    fresh = json.loads(harness_in(tmp_path, "status", "small.yaml", "--json").stdout)
    assert fresh["pending"] == TRIALS and fresh["done"] == 0
    lines = harness_in(finished, "status", "small.yaml").stdout.split()
    assert lines[:2] == ["done", str(TRIALS)]


def test_status_says_once_that_slurm_cannot_be_asked(
    tmp_path: Path, harness_in: Command, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.yaml").write_text(small, encoding="utf-8")
    commands, folder = tmp_path / "bin", tmp_path / "results" / "small"
    for made in (commands, folder):
        made.mkdir(parents=True)
    (commands / "squeue").write_text("#!/bin/sh\nprintf 'no \\377 controller' >&2\nexit 1\n")
    (commands / "squeue").chmod(0o700)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    for number in "789":
        note_job(folder, Job(number, "study", "a.sbatch", "now"))
    done = harness_in(tmp_path, "status", "small.yaml")
    assert done.returncode == 0 and done.stderr.count("squeue refused: no") == 1 and "squeue" not in done.stdout
    assert [line.split() for line in done.stdout.splitlines()][-3:] == [[n, "study", "unknown"] for n in "789"]
    jobs = json.loads(harness_in(tmp_path, "status", "small.yaml", "--json").stdout)["jobs"]
    assert [job["state"] for job in jobs] == ["unknown"] * 3


def test_export_is_long_and_has_a_column_an_axis(finished: Path, harness_in: Command) -> None:
    rows = rows_of(harness_in, finished)
    assert len(rows) == TRIALS
    promised = [
        "study",
        "trial_id",
        "role",
        "source",
        "target",
        "backbone",
        "method",
        "seed",
        "metric",
        "split",
        "value",
        "status",
    ]
    assert set(promised) <= set(rows[0])
    assert len({row["trial_id"] for row in rows}) == TRIALS
    assert Counter(row["method"] for row in rows) == {"linear_probe": 6, "fine_tune": 6, "from_scratch": 4}
    assert {row["status"] for row in rows} == {"ok"}
    assert all(0.0 <= float(row["value"]) <= 1.0 for row in rows)
    done = harness_in(finished, "export", "small", "--to", "out.parquet")
    assert done.returncode == 0, done.stderr
    import pyarrow.parquet as pq

    assert pq.read_table(finished / "out.parquet").num_rows == TRIALS


def test_export_refuses_other_formats(finished: Path, harness_in: Command) -> None:
    done = harness_in(finished, "export", "small", "--to", "out.xlsx")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert ".parquet" in done.stderr and ".csv" in done.stderr


@pytest.mark.slow
def test_report_says_where_it_is(finished: Path, harness_in: Command) -> None:
    for study in ("small.yaml", "small"):  # by its file, and by its name alone
        done = harness_in(finished, "report", study)
        assert done.returncode == 0, done.stderr
        path = Path(done.stdout.removeprefix("report: ").strip())
        assert (finished / path).suffix == ".html" and (finished / path).is_file()


def test_show_tells_all_of_a_trial(finished: Path, harness_in: Command) -> None:
    trial = next(row for row in rows_of(harness_in, finished) if row["method"] == "fine_tune")
    done = harness_in(finished, "show", trial["trial_id"][:10])
    assert done.returncode == 0, done.stderr
    assert f"trial {trial['trial_id']} of small: done" in done.stdout
    assert trial["value"] in done.stdout
    for kind in ("train", "adapt", "evaluate"):
        assert f"\n  {kind} " in done.stdout


def test_show_of_an_excluded_cell_gives_the_reason(finished: Path, harness_in: Command) -> None:
    from harness.store import trial_states

    states = trial_states(finished / "results", "small").to_pylist()
    excluded = next(row for row in states if row["state"] == "excluded")
    done = harness_in(finished, "show", excluded["trial_id"])
    assert "excluded: not asked for" in done.stdout


def test_show_of_nothing_known(finished: Path, harness_in: Command) -> None:
    done = harness_in(finished, "show", "zzzz")
    assert done.returncode == 2 and "no trial's id begins with 'zzzz'" in done.stderr
    assert harness_in(finished, "show", "").returncode == 2


def test_results_that_are_not_there(tmp_path: Path, harness_in: Command) -> None:
    for command in (["export", "x", "--to", "a.csv"], ["report", "x"], ["status", "x"], ["show", "abc"], ["run", "x"]):
        done = harness_in(tmp_path, *command)
        assert done.returncode == 2, command
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_only_and_set_change_what_is_planned(finished: Path, harness_in: Command) -> None:
    part = harness_in(finished, "plan", "small.yaml", "--json", "--only", "source=digits_flip", "--only", "seed=0")
    # One source, two targets, two methods and one seed, and the baselines of that seed.
    assert json.loads(part.stdout)["trials"] == 2 * 2 + 2
    other = json.loads(harness_in(finished, "plan", "small.yaml", "--json", "--set", "params.source.steps=5").stdout)
    assert other["stages"]["train"]["needed"] == 4, "the sources anew, the baselines not"


def test_mistakes_in_a_study_are_all_told_at_once(tmp_path: Path, harness_in: Command, small: str) -> None:
    (tmp_path / "bad.yaml").write_text(small.replace("digits_flip", "digit_flip").replace("steps: 4,", "stepz: 4,"))
    done = harness_in(tmp_path, "plan", "bad.yaml")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) >= 2 and all(line.startswith("bad.yaml:") for line in lines)
    assert "did you mean 'digits_flip'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in harness_in(tmp_path, "plan", "bad.yaml", "--debug").stderr


def test_prepare_locks_and_run_holds_to_it(tmp_path: Path, harness_in: Command, small: str) -> None:
    (tmp_path / "small.yaml").write_text(small, encoding="utf-8")
    done = harness_in(tmp_path, "prepare", "small.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("locked 4 tasks, 1 backbone, 0 checkpoints in ")
    lock = tmp_path / "results" / "small" / "study.lock.json"
    content = json.loads(lock.read_text(encoding="utf-8"))
    content["tasks"]["digits_flip"]["version"] = 99
    lock.write_text(json.dumps(content), encoding="utf-8")
    refused = harness_in(tmp_path, "run", "small.yaml", "--in-process")
    assert refused.returncode == 2 and "'digits_flip' is no longer what" in refused.stderr


@pytest.mark.slow
def test_check_runs_each_kind_once_and_keeps_nothing(tmp_path: Path, harness_in: Command, small: str) -> None:
    (tmp_path / "small.yaml").write_text(small.replace("steps: 4", "steps: 100000"), encoding="utf-8")
    done = harness_in(tmp_path, "check", "small.yaml", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {item["stage"] for item in found} == set(STAGES)
    assert all(item["error"] is None and item["seconds"] < 60 for item in found)
    assert not (tmp_path / "results").exists()


FAILING = '''
from harness.graph import Measurements, Stage, StageContext, stage
from harness.methods.base import Trial, method
from harness.tasks.base import Task


@stage(version=1)
def refuse(target: Task, seed: int) -> Measurements:
    raise ValueError("the sky is not blue enough")


@method("refusing")
def refusing(trial: Trial) -> Stage:
    """Never works."""
    return refuse.bind(target=trial.target, seed=trial.seed)
'''


@pytest.fixture(scope="session")
def failed(finished: Path, tmp_path_factory: pytest.TempPathFactory, harness_in: Command, small: str) -> Path:
    """A folder with a study of which every trial failed."""
    folder = tmp_path_factory.mktemp("failed")
    (folder / "refusing.py").write_text(FAILING, encoding="utf-8")
    text = small.replace("methods: [linear_probe, fine_tune]", "methods: [refusing]\nplugins: [./refusing.py]")
    kept = [line for line in text.splitlines() if not line.startswith(("params", "baselines", "exclude"))]
    (folder / "small.yaml").write_text("\n".join(kept), encoding="utf-8")
    done = harness_in(folder, "run", "small.yaml", "--in-process")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "8 failed" in done.stdout
    return folder


def test_failures_are_rows_with_their_reason(failed: Path, harness_in: Command) -> None:
    counts = json.loads(harness_in(failed, "status", "small.yaml", "--json").stdout)
    assert (counts["done"], counts["failed"]) == (0, 8)
    rows = rows_of(harness_in, failed)
    assert {row["status"] for row in rows} == {"failed"}
    assert all("the sky is not blue enough" in row["reason"] and row["value"] == "" for row in rows)


def test_show_of_a_failure_has_traceback(failed: Path, harness_in: Command) -> None:
    done = harness_in(failed, "show", rows_of(harness_in, failed)[0]["trial_id"])
    assert done.returncode == 0
    assert ": failed" in done.stdout.splitlines()[0]
    assert "ValueError: the sky is not blue enough" in done.stdout
    assert "refusing.py" in done.stdout, "the traceback names the user's file"


def test_a_reader_that_leaves_is_no_fault(finished: Path) -> None:
    command = f"{sys.executable} -m harness plan small.yaml | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=finished,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 141)
    assert done.stderr == ""


def test_store_commands(finished: Path, tmp_path: Path, harness_in: Command) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    parts = harness_in(folder, "store", "parts")
    names = [line.split("\t") for line in parts.stdout.splitlines()]
    assert parts.returncode == 0 and all((folder / file).is_file() for _, file in names)
    assert {"records", "trials", "measurements"} <= {table for table, _ in names}
    assert harness_in(folder, "store", "compact").returncode == 0
    assert harness_in(folder, "store", "verify").stdout == "everything recorded is there and as it was\n"
    dry = harness_in(folder, "store", "prune", "--dry-run")
    assert dry.returncode == 0 and dry.stdout.startswith("would delete 0 files")
    artifact = max((folder / "results" / "store").rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    artifact.write_bytes(artifact.read_bytes()[:100])
    damaged = harness_in(folder, "store", "verify")
    assert damaged.returncode == 3 and "error" in damaged.stdout


def test_studies_that_the_results_know(finished: Path, harness_in: Command) -> None:
    assert harness_in(finished, "studies").stdout.split()[0] == "small"
