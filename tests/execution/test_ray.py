"""Running plans on Ray: the same values, and what happens to workers that die, hang or grow old."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import HarnessError
from tests.execution.lab import Lab, chains, toys, tuned_choice

pytestmark = pytest.mark.slow


def test_values_equal_those_of_this_process_bit_for_bit(lab: Lab, ray_lab: Lab, tmp_path: Path) -> None:
    terminals = chains()
    lab.run(terminals)
    ray_lab.results = tmp_path / "ray"
    summary = ray_lab.run(random.Random(0).sample(terminals, len(terminals)))
    assert (summary.done, summary.stages_run) == (12, 26)
    assert ray_lab.values(terminals) == lab.values(terminals)
    choice, tests = tuned_choice([0.1, 500.0, 0.9], seed=5)
    lab.run([choice])
    ray_lab.run([choice])
    assert ray_lab.values([choice, *tests]) == lab.values([choice, *tests])


def test_a_poisonous_stage_in_a_batch_fails_alone(ray_lab: Lab) -> None:
    stages = [toys.herd.bind(index=i, how="exit" if i == 5 else "ok") for i in range(16)]
    summary = ray_lab.run(stages)
    assert (summary.done, summary.failed) == (15, 1)
    assert ray_lab.values(stages) == [None if i == 5 else float(i) for i in range(16)]
    last = ray_lab.attempts(stages[5])[-1]
    assert last.status == "crashed" and last.log is not None and (ray_lab.store.root / "logs").is_dir()
    neighbour = [row.reason for row in ray_lab.attempts(stages[4])]
    assert all("run together" in reason or "tried again" in reason for reason in neighbour)


def test_a_stage_that_kills_its_worker_once_gets_another_try(ray_lab: Lab, tmp_path: Path) -> None:
    stage = toys.fussy.bind(index=3, how="exit", marker=str(tmp_path / "marker"))
    assert ray_lab.run([stage]).done == 1
    assert ray_lab.value(stage) == 3.0
    assert ray_lab.statuses(stage) == ["crashed"]


def test_a_stage_deaf_to_its_time_limit_is_ended_and_nothing_else(ray_lab: Lab) -> None:
    deaf, rest = toys.fussy.bind(index=1, how="hang"), [toys.noop.bind(index=i) for i in range(20)]
    summary = ray_lab.run([deaf, *rest], time_limit=2.5, grace=2.0)  # unless ended it sleeps for a quarter of an hour
    assert (summary.done, summary.failed) == (20, 1)
    (row,) = ray_lab.attempts(deaf)
    assert row.status == "timeout" and "2.5 s" in row.reason


def test_failures_of_all_kinds_have_their_rows(ray_lab: Lab) -> None:
    stages = {how: toys.fussy.bind(index=1, how=how) for how in ("raise", "nan", "memory", "ok")}
    summary = ray_lab.run(stages.values())
    assert (summary.done, summary.failed, summary.diverged) == (1, 2, 1)
    (row,) = ray_lab.attempts(stages["raise"])
    assert "ValueError: this stage always fails" in (row.error or "")


def test_a_stage_that_cannot_travel_fails_with_the_reason(ray_lab: Lab) -> None:
    stage = toys.noop.bind(index=1)
    stage.values = (threading.Lock(),)
    fine = toys.noop.bind(index=2)
    summary = ray_lab.run([stage, fine])
    assert (summary.done, summary.failed) == (1, 1)
    assert "could not be run" in ray_lab.attempts(stage)[-1].reason


def test_a_damaged_artifact_is_made_again(ray_lab: Lab) -> None:
    source = toys.base.bind(seed=0)
    first, second = toys.score.bind(net=source, split="val"), toys.score.bind(net=source, split="test")
    ray_lab.run([first])
    ray_lab.store.artifacts.path(ray_lab.store.records().artifact(source.key)).unlink()
    assert ray_lab.run([second]).done == 1
    assert ray_lab.value(second) == ray_lab.value(first)


def test_old_workers_are_replaced(ray_lab: Lab) -> None:
    """Each ends after 8 to 12 stages: at the call that reaches the number, or with one more that it had in hand."""
    stages = [toys.where.bind(index=i, pause=0.02) for i in range(30)]
    ray_lab.run(stages, workers=1, max_stages=8, batch=4)
    assert len(set(ray_lab.values(stages))) >= 3


def test_workers_of_several_classes_take_turns(ray_lab: Lab) -> None:
    resources = {"where": {"cpus": 2.0}}
    study = {"execution": SimpleNamespace(resources=resources, retention={})}
    stages = [toys.where.bind(index=i) for i in range(3)] + [toys.noop.bind(index=i) for i in range(40)]
    assert ray_lab.run(stages, study, workers=None).done == 43
    assert ray_lab.store.records().field(stages[0].key, "threads") == 2


def test_more_than_the_machine_has_is_refused_in_a_sentence(ray_lab: Lab) -> None:
    study = {"execution": SimpleNamespace(resources={"noop": {"gpus": 3.0}}, retention={})}
    with pytest.raises(HarnessError, match="needs 1 cores and 3 GPUs"):
        ray_lab.run([toys.noop.bind(index=0)], study)


def test_a_gang_runs_a_stage_together(ray_lab: Lab) -> None:
    gathered = toys.gathered.bind(index=2)
    score = toys.score.bind(net=gathered)
    assert ray_lab.run([score]).done == 1
    assert ray_lab.value(score) == 33.0


def workers_of(process: int) -> list[int]:
    """The process ids of Ray workers that are running a call of ours."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if title.startswith("ray::Actor.run"):
                found.append(int(entry.name))
    return found


def test_workers_killed_at_random_moments_lose_nothing(ray_lab: Lab, lab: Lab, tmp_path: Path) -> None:
    ray_lab.results = tmp_path / "ray"
    stages = chains(10, 2) + [toys.where.bind(index=i, pause=0.03) for i in range(150)]
    over = threading.Event()
    killed: list[int] = []

    def kill_some() -> None:
        chance = random.Random(1)
        while not over.wait(chance.uniform(0.0, 0.5)) and len(killed) < 5:
            mine = [process for process in workers_of(os.getpid()) if is_descendant(process, os.getpid())]
            if mine:
                victim = chance.choice(mine)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    killer = threading.Thread(target=kill_some)
    killer.start()
    try:
        # On a slow machine all five may hit one stage, which then has not failed by itself.
        summary = ray_lab.run(stages, crash_retries=5)
    finally:
        over.set()
        killer.join()
    assert killed
    assert (summary.done, summary.failed) == (170, 0)
    lab.run(stages[:20])
    assert ray_lab.values(stages[:20]) == lab.values(stages[:20])
    records = ray_lab.store.records()
    assert len(list(records)) == 2 + 20 + 20 + 150


def is_descendant(process: int, ancestor: int) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        try:
            text = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            return False
        process = int(text.rpartition(")")[2].split()[1])
    return False
