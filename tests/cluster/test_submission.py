"""Scripts and submissions, against stand-ins for Slurm's commands that note how they were called."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

import harness
from harness.cluster import Request, jobs_of, plan_submission, states_of, submit
from harness.cluster.jobs import FORGOTTEN, Job, note_job, over
from harness.cluster.submission import max_array_size, render
from harness.errors import HarnessError

STUDY = """
study: small
sources: [digits_flip, digits_noise]
targets: [digits_upright]
backbones: [{backbone: mlp, hidden: 4}]
methods: [fine_tune]
seeds: [0, 1, 2]
params: {shots: 2, steps: 2, source: {steps: 2}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it's a study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs that stand for Slurm's, first on the path; each call is a line of `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def numbered(folder: Path) -> None:
    """An sbatch that counts from 101."""
    program(
        folder,
        "sbatch",
        f'n=$(cat {folder}/n 2>/dev/null || echo 100); n=$((n+1)); echo $n > {folder}/n; echo "$n;lab"',
    )


def test_a_script_runs_the_command_with_its_words_untouched(file: Path, tmp_path: Path) -> None:
    """The script is executed with a stand-in for the interpreter that prints what it was given."""
    request = Request(
        nodes=3, partition="gpu", time="04:00:00", cores=8, gpus=2, memory="32G", more=("--constraint=a100",)
    )
    words = ["--set", "params.steps=3; rm -rf $HOME `date`", "--only", "source=digits_flip"]
    (one,) = plan_submission(harness.load_study(file), file, tmp_path / "results", request, words)
    head = [line.removeprefix("#SBATCH ") for line in one.script.splitlines() if line.startswith("#SBATCH")]
    assert {
        "--job-name=harness-small", "--nodes=3", "--ntasks-per-node=1", "--partition=gpu", "--time=04:00:00",
        "--cpus-per-task=8", "--gpus-per-node=2", "--mem=32G", "--signal=B:USR1@120", "--requeue", "--constraint=a100",
    } <= set(head)  # fmt: skip
    assert one.script.startswith("#!/usr/bin/env bash\n#SBATCH ") and one.arguments == () and not one.after
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    echo.chmod(0o700)
    import sys

    script = one.script.replace(shlex.quote(sys.executable), str(echo))
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "SLURM_JOB_ID": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    given = [line[1:-1] for line in done.stdout.splitlines()]
    assert given == [
        "-m",
        "harness",
        "run",
        str(file),
        "--results",
        str(tmp_path / "results"),
        *words,
        "--address",
        "slurm",
    ]


@pytest.mark.parametrize("value", ["a b", "x\n#SBATCH --wrap=evil", "$(id)", "a;b", ""])
def test_a_value_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(HarnessError, match="no option of sbatch"):
        Request(more=(f"--comment={value}" if value else "comment",)).options("name", "log")
    if value:
        with pytest.raises(HarnessError, match="no option of sbatch"):
            Request(partition=value).options("name", "log")


def test_arrays_wait_for_what_they_share_and_fit_slurms_limit(file: Path, tmp_path: Path, commands: Path) -> None:
    """Six trials of six sources: nothing is shared, until a second target makes it so."""
    program(commands, "scontrol", "echo 'MaxArraySize            = 3'")
    numbered(commands)
    text = STUDY.replace("[digits_upright]", "[digits_upright, digits_invert]")
    file.write_text(text, encoding="utf-8")
    results = tmp_path / "results"
    parts = plan_submission(harness.load_study(file), file, results, Request(array=5), [])
    assert [(part.what, part.arguments, part.after) for part in parts] == [
        ("shared", ("--array=0",), False),
        ("shards 1-2", ("--array=1-2",), True),
        ("shards 3-4", ("--array=1-2",), True),
        ("shards 5-5", ("--array=1-1",), True),
    ]
    (cut,) = (results / "small").glob("shards-*.json")
    assert len(json.loads(cut.read_text())["bounds"]) == 6
    assert [f"set -- {cut} {offset} " in part.script for part, offset in zip(parts, (0, 0, 2, 4), strict=True)] == [
        True
    ] * 4
    jobs = submit("small", results, parts)
    assert [job.number for job in jobs] == ["101", "102", "103", "104"] and jobs == jobs_of(results / "small")
    said = [line for line in calls(commands) if line.startswith("sbatch")]
    assert "dependency" not in said[0]
    assert all("--dependency=afterany:101" in line and "--parsable" in line for line in said[1:])
    for job, part in zip(jobs, parts, strict=True):
        assert (results / "small" / job.script).read_text() == part.script


def test_a_refusal_is_an_error_with_sbatchs_words(file: Path, tmp_path: Path, commands: Path) -> None:
    program(commands, "sbatch", "echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1")
    parts = plan_submission(harness.load_study(file), file, tmp_path / "results", Request(), [])
    with pytest.raises(HarnessError, match="sbatch refused: sbatch: error: invalid partition specified: nowhere"):
        submit("small", tmp_path / "results", parts)
    assert jobs_of(tmp_path / "results" / "small") == []
    program(commands, "sbatch", "echo Submitted")
    with pytest.raises(HarnessError, match="gave no job number but 'Submitted'"):
        submit("small", tmp_path / "results", parts)


@pytest.mark.parametrize(
    "said", ["4243;cl", "Welcome to the cluster!\\n4243", "Submitted batch job 4243", "\\377 hello\\n4243;cl\\n"]
)
def test_a_jobs_number_may_follow_a_greeting(file: Path, tmp_path: Path, commands: Path, said: str) -> None:
    program(commands, "sbatch", f"printf '{said}'")
    parts = plan_submission(harness.load_study(file), file, tmp_path / "results", Request(), [])
    (job,) = submit("small", tmp_path / "results", parts)
    assert job.number == "4243" and jobs_of(tmp_path / "results" / "small") == [job]


@pytest.mark.parametrize("said", ["4243 jobs", "²", ""])
def test_a_job_that_may_be_there_is_not_passed_over(file: Path, tmp_path: Path, commands: Path, said: str) -> None:
    program(commands, "sbatch", f"printf '{said}'")
    parts = plan_submission(harness.load_study(file), file, tmp_path / "results", Request(), [])
    with pytest.raises(HarnessError, match=r"no job number but .*; a job may have been submitted: `squeue --me`"):
        submit("small", tmp_path / "results", parts)


def test_what_was_submitted_before_a_refusal_is_named(file: Path, tmp_path: Path, commands: Path) -> None:
    """A shared part and two shards; the third of them is one too many."""
    numbered(commands)
    program(commands, "scontrol", "echo 'MaxArraySize = 3'")
    file.write_text(STUDY.replace("[digits_upright]", "[digits_upright, digits_invert]"), encoding="utf-8")
    parts = plan_submission(harness.load_study(file), file, tmp_path / "results", Request(array=5), [])
    once = (commands / "sbatch").read_text()
    (commands / "sbatch").write_text(once + f'\n[ "$(cat {commands}/n)" -lt 103 ] || {{ echo no more >&2; exit 1; }}\n')
    told = r"no more; submitted before that: 101 \(shared\), 102 \(shards 1-2\), to be ended by `scancel 101 102`"
    with pytest.raises(HarnessError, match=told):
        submit("small", tmp_path / "results", parts)
    assert [job.number for job in jobs_of(tmp_path / "results" / "small")] == ["101", "102"]


def test_logs_lie_where_slurm_can_name_them(file: Path, tmp_path: Path) -> None:
    study = harness.load_study(file)
    with pytest.raises(HarnessError, match=r"no log of a job can lie in .*: choose results whose path has no blanks"):
        plan_submission(study, file, tmp_path / "two words", Request(), [])
    (one,) = plan_submission(study, file, tmp_path / "per%j", Request(), [])
    assert f"#SBATCH --output={tmp_path}/per%%j/small/slurm-%j.log\n" in one.script


@pytest.mark.parametrize(("status", "requeued"), [(0, 0), (1, 0), (3, 0), (137, 0), (139, 0), (138, 1), (143, 1)])
@pytest.mark.parametrize("template", ["run_study.sbatch", "run_array.sbatch"])
def test_only_a_run_that_was_told_to_end_goes_back_into_the_queue(
    commands: Path, template: str, status: int, requeued: int
) -> None:
    """What a lack of memory (137) or a fault (139) ends would end in the same way for ever."""
    program(commands, "squeue", "echo RUNNING")
    program(commands, "scontrol", "true")
    program(commands, "harness", f"exit {status}")
    words = ["bash", str(Path(__file__).resolve().parents[2] / "slurm" / template), "shards.json", "0", "study.yaml"]
    numbers = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_ON_NODE": "1"}
    done = subprocess.run(words, env={**os.environ, **numbers}, capture_output=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    assert sum("requeue" in line for line in calls(commands)) == requeued


def test_a_machine_without_slurm_says_so(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = plan_submission(harness.load_study(file), file, tmp_path / "results", Request(), [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="sbatch is not installed here: is this a login node of a Slurm cluster"):
        submit("small", tmp_path / "results", parts)
    assert max_array_size() == 1001


def test_states_come_from_one_question_for_all_jobs(tmp_path: Path, commands: Path) -> None:
    for number in ("7", "8", "9", "70"):
        note_job(tmp_path, Job(number, "study", "a.sbatch", "now"))
    program(commands, "squeue", "printf '7 RUNNING\\n8 COMPLETED\\n8 COMPLETED\\n8 FAILED\\n55 RUNNING\\n'")
    program(commands, "sacct", "printf '9|TIMEOUT\\n9.batch|CANCELLED\\n70_1|COMPLETED\\n70_2|CANCELLED by 0\\n'")
    states = states_of(jobs_of(tmp_path))
    assert states == {
        "7": {"RUNNING": 1}, "8": {"COMPLETED": 2, "FAILED": 1}, "9": {"TIMEOUT": 1, "CANCELLED": 1},
        "70": {"COMPLETED": 1, "CANCELLED by 0": 1},
    }  # fmt: skip
    assert len(calls(commands)) == 2, "one call of each, however many jobs"
    assert [over(states[number]) for number in ("7", "8", "9", "70")] == [False, True, True, True]


def test_jobs_that_nobody_remembers_have_ended(tmp_path: Path, commands: Path) -> None:
    note_job(tmp_path, Job("7", "study", "a.sbatch", "now"))
    with (tmp_path / "jobs.jsonl").open("ab") as lines:
        lines.write(b'{"number": 5, "what": "study", "script": "a", "submitted": "now"}\n[]\n\xff\n{"torn": ')
    program(commands, "squeue", "true")
    program(commands, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert states_of(jobs_of(tmp_path)) == {"7": {FORGOTTEN: 1}}
    program(commands, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(HarnessError, match="squeue refused: Unable to contact"):
        states_of(jobs_of(tmp_path))


def test_nothing_left_is_not_submitted(file: Path, tmp_path: Path) -> None:
    harness.run(file, tmp_path / "results", in_process=True, progress="none")
    assert plan_submission(harness.load_study(file), file, tmp_path / "results", Request(), []) == []


@pytest.mark.parametrize("template", ["run_study.sbatch", "run_array.sbatch"])
def test_the_packages_scripts_are_those_of_the_folder_slurm(template: str) -> None:
    root = Path(__file__).resolve().parents[2]
    text = (root / "slurm" / template).read_text()
    assert subprocess.run(["bash", "-n", root / "slurm" / template], check=False, timeout=120).returncode == 0
    body = render(template, [], []).partition("set -- \n")[2]
    assert body and body.splitlines()[-1] == text.splitlines()[-1] == 'exit "$status"'
    assert "HARNESS" not in body
