"""Running plans in this process: what is run, what is kept, what is skipped and why."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.errors import HarnessError
from harness.execution import RunOptions, execute
from harness.graph import Choice, derive_seed
from tests.execution.lab import Lab, chains, toy_plan, toys, tuned_choice

CHAIN_KINDS = {"base": 2, "tune": 12, "score": 12}


def expected_score(seed: int, lr: float, own_seed: int) -> float:
    """The score of a chain, worked out without any of the engine."""
    start = torch.randn(4, generator=torch.Generator().manual_seed(derive_seed(seed, "initialisation", *())))
    noise = torch.randn(4, generator=torch.Generator().manual_seed(derive_seed(own_seed, "order")))
    w = start
    for _ in range(3):
        w = w - lr * (w - noise)
    return float(w.sum())


def test_values_are_those_of_the_functions(lab: Lab) -> None:
    terminals = chains()
    summary = lab.run(terminals)
    assert (summary.done, summary.stages_run, summary.exit_status) == (12, 26, 0)
    found = lab.values(terminals)
    wanted = [expected_score(seed, 0.1 * (i + 1), i) for seed in (0, 1) for i in range(6)]
    assert found == wanted


def test_every_stage_runs_once_and_leaves_one_record(lab: Lab) -> None:
    lab.run(chains())
    records = lab.store.records()
    kinds = [records.field(key, "kind") for key in records]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == CHAIN_KINDS


def test_a_record_says_how_it_was_made(lab: Lab) -> None:
    terminal = toys.score.bind(net=toys.tune.bind(init=toys.base.bind(seed=3)))
    lab.run([terminal])
    (tuned,) = terminal.inputs
    (source,) = tuned.inputs
    record = lab.store.records()[tuned.key]
    assert (record.kind, record.keep, record.width, record.threads, record.device) == ("tune", "transient", 4, 1, "cpu")
    assert record.artifact is None and record.code == toy_plan([]).code_of(tuned).digest
    assert json.loads(record.inputs) == {source.key: lab.store.records()[source.key].artifact.sha256}
    assert json.loads(record.preimage)["stage"] == "tune"
    assert record.seconds is not None and record.seconds > 0
    assert lab.store.provenance_of(record.provenance)["study"] == {"study": "toy"}
    assert [point.step for point in lab.store.curves(tuned.key)] == [0, 1, 2]


def test_a_second_run_runs_nothing(lab: Lab) -> None:
    terminals = chains()
    lab.run(terminals)
    again = lab.run(terminals)
    assert (again.done, again.stages_run, again.exit_status) == (12, 0, 0)


def test_a_finished_study_needs_neither_ray_nor_torch(lab: Lab) -> None:
    terminals = [toys.noop.bind(index=i) for i in range(3)]
    lab.run(terminals)
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.execution.lab import Lab, toys\n"
        f"lab = Lab(Path({str(lab.results)!r}), {{}})\n"
        "summary = lab.run([toys.noop.bind(index=i) for i in range(3)])\n"
        "print(summary.done, summary.stages_run, 'ray' in sys.modules, 'torch' in sys.modules)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["3", "0", "False", "False"], done.stderr


def test_any_order_and_any_neighbours_give_the_same_values(lab: Lab, tmp_path: Path) -> None:
    terminals = chains()
    lab.run(terminals)
    whole = lab.values(terminals)
    for turn in range(3):
        other = Lab(tmp_path / f"other{turn}", lab.defaults)
        shuffled = random.Random(turn).sample(terminals, len(terminals))
        for first in range(0, len(shuffled), 5):
            other.run(shuffled[first : first + 5])
        assert other.values(terminals) == whole


def test_a_transient_artifact_is_kept_only_for_a_consumer_elsewhere(lab: Lab) -> None:
    alone = toys.tune.bind(init=toys.base.bind(seed=0))
    lab.run([toys.score.bind(net=alone, split=split) for split in ("val", "test")])
    assert lab.store.records()[alone.key].artifact is None
    shared = toys.tune.bind(init=toys.base.bind(seed=1))
    resources = {"score": {"cpus": 2.0}}
    lab.run([toys.score.bind(net=shared)], {"execution": SimpleNamespace(resources=resources, retention={})})
    assert lab.store.records()[shared.key].artifact is not None


def test_retention_of_the_study_counts(lab: Lab) -> None:
    kept = toys.tune.bind(init=toys.base.bind(seed=0))
    lab.run([toys.score.bind(net=kept)], {"execution": SimpleNamespace(resources={}, retention={"tune": "durable"})})
    assert lab.store.records()[kept.key].artifact is not None


def test_a_transient_done_before_is_made_again_without_a_second_record(lab: Lab) -> None:
    net = toys.tune.bind(init=toys.base.bind(seed=0))
    lab.run([toys.score.bind(net=net, split="val")])
    first = lab.store.records().attempt(net.key)
    summary = lab.run([toys.score.bind(net=net, split="test")])
    assert summary.stages_run == 2
    assert lab.store.records().attempt(net.key) == first
    assert lab.attempts() == []


# --- selection -----------------------------------------------------------------------------------------------------


def test_only_the_chosen_option_runs(lab: Lab) -> None:
    choice, tests = tuned_choice([0.1, 0.5, 0.9])
    summary = lab.run([choice])
    assert summary.done == 1 and summary.exit_status == 0
    best = max(range(3), key=lambda i: lab.value(choice.selector.inputs[i]) or 0.0)
    assert [value is not None for value in lab.values(tests)] == [i == best for i in range(3)]
    assert lab.value(choice) == lab.value(tests[best])
    assert json.loads(lab.store.records().value(choice.key) or "")["index"] == best
    assert lab.run([choice]).stages_run == 0


def test_a_diverged_candidate_is_never_chosen(lab: Lab) -> None:
    choice, tests = tuned_choice([500.0, 0.1])
    assert lab.run([choice]).done == 1
    assert lab.values(tests) == [None, lab.value(choice)]


def test_a_choice_whose_option_diverges_is_a_diverged_trial(lab: Lab) -> None:
    selector = toys.pick.bind(scores=(toys.noop.bind(index=1),))
    choice = Choice(selector, [toys.fussy.bind(index=1, how="nan")])
    summary = lab.run([choice])
    assert summary.diverged == 1 and summary.exit_status == 3
    assert lab.store.records().status(choice.key) == "diverged"


def test_an_option_decided_in_an_earlier_run_is_run_now(lab: Lab) -> None:
    choice, tests = tuned_choice([0.1, 0.9])
    lab.run([choice.selector])
    assert lab.values(tests) == [None, None]
    assert lab.run([choice]).done == 1
    assert lab.value(choice) in lab.values(tests)


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_failed_input_skips_what_needs_it_and_says_which(lab: Lab) -> None:
    source = toys.base.bind(seed=0)
    bad = toys.tune.bind(init=source, lr=500.0)
    terminal, good = toys.score.bind(net=bad), toys.score.bind(net=toys.tune.bind(init=source))
    summary = lab.run([terminal, good])
    assert (summary.done, summary.skipped, summary.exit_status) == (1, 1, 3)
    assert lab.store.records().status(bad.key) == "diverged"
    (row,) = lab.attempts(terminal)
    assert row.status == "skipped" and bad.key[:8] in row.reason and "diverged" in row.reason


def test_what_was_skipped_is_not_written_again(lab: Lab) -> None:
    terminal = toys.score.bind(net=toys.tune.bind(init=toys.base.bind(seed=0), lr=500.0))
    lab.run([terminal])
    again = lab.run([terminal])
    assert (again.skipped, again.stages_run) == (1, 0)
    assert lab.statuses(terminal) == ["skipped"]


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [("raise", "failed", "this stage always fails"), ("memory", "oom", "no memory for this")],
)
def test_a_failure_has_a_row_and_is_tried_again_by_the_next_run(lab: Lab, how: str, status: str, words: str) -> None:
    stage, fine = toys.fussy.bind(index=1, how=how), toys.noop.bind(index=5)
    summary = lab.run([stage, fine])
    assert (summary.done, summary.failed, summary.exit_status) == (1, 1, 3)
    (row,) = lab.attempts(stage)
    assert row.status == status and words in row.reason and "Traceback" in (row.error or "")
    assert lab.run([stage, fine]).stages_run == 1


def test_nan_is_an_outcome_and_is_not_tried_again(lab: Lab) -> None:
    stage = toys.fussy.bind(index=1, how="nan")
    assert lab.run([stage]).diverged == 1
    assert lab.store.records().status(stage.key) == "diverged"
    assert lab.run([stage]).stages_run == 0


def test_one_failing_member_fails_alone(lab: Lab) -> None:
    stages = [toys.herd.bind(index=i, how="raise" if i == 5 else "ok") for i in range(12)]
    assert lab.run(stages).failed == 1
    assert lab.values(stages) == [None if i == 5 else float(i) for i in range(12)]


def test_on_failure_stop_begins_nothing_more(lab: Lab) -> None:
    bad = toys.fussy.bind(index=1, how="raise")
    rest = [toys.score.bind(net=toys.base.bind(seed=i)) for i in range(3)]
    summary = lab.run([bad, *rest], {"on_failure": "stop"}, batch=1)
    assert summary.failed == 1 and summary.stopped == "stopped at the first failure"
    assert summary.done + summary.pending == 3 and summary.pending > 0
    assert lab.run([bad, *rest]).done == 3


def test_an_untrained_source_is_skipped_or_run_with_a_flag(lab: Lab) -> None:
    source = toys.base.bind(seed=0, flag="not_trained")
    tuned = toys.tune.bind(init=source)
    terminal = toys.score.bind(net=tuned)
    assert lab.run([terminal]).skipped == 1
    (row,) = lab.attempts(terminal)
    assert "was not trained" in row.reason and source.key[:8] in row.reason
    assert lab.run([terminal], {"on_untrained_source": "run"}).done == 1
    (measured,) = lab.store.measurements(terminal.key)
    assert measured.flags == ("untrained_source",)
    assert lab.store.records().flags(source.key) == ("not_trained",)


def test_a_stage_that_returns_something_else_fails_with_a_sentence(lab: Lab) -> None:
    stage = toys.loner.bind(net=toys.base.bind(seed=0))
    before = toys.loner.function
    try:
        toys.loner.function = lambda net, pause: 3
        lab.run([stage])
    finally:
        toys.loner.function = before
    (row,) = lab.attempts(stage)
    assert row.reason == "stage loner returned int instead of Measurements"


# --- memory --------------------------------------------------------------------------------------------------------


def test_the_ladder_halves_the_batch_and_the_row_says_so(lab: Lab) -> None:
    stages = [toys.hungry.bind(index=i, fits=2) for i in range(8)]
    assert lab.run(stages).done == 8
    assert lab.values(stages) == [float(i) for i in range(8)]
    assert {lab.store.records().field(stage.key, "width") for stage in stages} == {2}
    reasons = [row.reason for row in lab.attempts(stages[0])]
    assert ["batch width 8" in reasons[0], "batch width 4" in reasons[-1]] == [True, True]
    assert set(lab.statuses(stages[0])) == {"oom"}


def test_the_ladder_then_cuts_batches_of_examples(lab: Lab) -> None:
    stage = toys.hungry.bind(index=3, fits=1, micro=4)
    assert lab.run([stage]).done == 1
    assert lab.value(stage) == 3.0


def test_the_ladder_ends(lab: Lab) -> None:
    stage = toys.hungry.bind(index=3, fits=0)
    assert lab.run([stage]).failed == 1
    assert set(lab.statuses(stage)) == {"oom"}
    assert "64 micro-batches" in lab.attempts(stage)[-1].reason


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_damaged_artifact_is_made_again(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    source = toys.base.bind(seed=0)
    first, second = toys.score.bind(net=source, split="val"), toys.score.bind(net=source, split="test")
    lab.run([first])
    path = lab.store.artifacts.path(lab.store.records().artifact(source.key))
    path.write_bytes(path.read_bytes()[:-3])
    summary = lab.run([second], progress="plain")
    assert summary.done == 1
    assert lab.value(second) == lab.value(first)
    assert "damaged" in capsys.readouterr().err
    assert "damaged" in lab.statuses(source)
    assert lab.run([first, second]).stages_run == 0


def test_a_cached_artifact_may_vanish(lab: Lab, tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = toys.features.bind(net=toys.base.bind(seed=0), log=str(log))
    terminals = [toys.read_features.bind(found=made, task=name) for name in "abc"]
    lab.run(terminals[:1])
    assert lab.store.records().artifact(made.key) is None
    lab.run(terminals[1:2])
    assert log.read_text() == "made\n"
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.unlink()
    lab.run(terminals[2:])
    assert log.read_text() == "made\nmade\n"
    assert len(set(lab.values(terminals))) == 1
    assert lab.attempts() == []


def test_a_checkpoint_is_gone_on_with_after_a_time_limit(lab: Lab, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stage = toys.patient.bind(index=0, steps=12, log=str(log), pause=0.05)
    summary = lab.run([stage], time_limit=0.3)
    assert summary.failed == 1
    (row,) = lab.attempts(stage)
    assert row.status == "timeout" and "0.3 s" in row.reason
    assert lab.run([stage]).done == 1
    assert lab.value(stage) == float(sum(range(12)))
    assert [int(line.split()[1]) for line in log.read_text().splitlines()] == list(range(12))
    assert not (lab.store.root / "scratch" / stage.key).exists()


# --- decisions -----------------------------------------------------------------------------------------------------


def stale_plan(terminals: list, code: str) -> object:
    plan = toy_plan(terminals)
    plan.code = code
    plan.stale = [SimpleNamespace(kind="noop", count=1, changed=("toys",))]
    plan.demand.withdrawn = frozenset(node.key for node in terminals)
    return plan


def test_stale_records_need_a_decision(lab: Lab) -> None:
    stage = toys.noop.bind(index=1)
    lab.run([stage])
    options = {"in_process": True, "progress": "none", "compact": False}
    with pytest.raises(HarnessError, match=r"1 records .*\(toys changed\).*--stale keep.*--stale rerun"):
        execute(stale_plan([stage], "new"), lab.store, RunOptions(**options))
    kept = stale_plan([stage], "new")
    kept.demand.withdrawn = frozenset()
    assert execute(kept, lab.store, RunOptions(stale="keep", **options)).stages_run == 0
    again = execute(stale_plan([stage], "new"), lab.store, RunOptions(stale="rerun", **options))
    assert again.stages_run == 1
    assert lab.store.records().code(stage.key) == stale_plan([stage], "new").code_of(stage).digest


def test_options_given_win_over_the_study() -> None:
    study = SimpleNamespace(workers=3, time_limit=5.0, memory_limit=7)
    merged = RunOptions(workers=2).over(study)
    assert (merged.workers, merged.time_limit, merged.memory_limit) == (2, 5.0, 7)
