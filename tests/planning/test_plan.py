"""Plans of small studies against numbers counted by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import harness
from harness.errors import HarnessError
from harness.graph import Choice
from harness.planning import PastRuns, Plan, build_plan, plan_json, plan_text
from tests.planning.recorded import Done, Recorded

PLUGIN = """
from typing import Literal

from harness.graph import stage
from harness.methods.base import Trial, method
from harness.graph import Measurements, Stage, Weights
from harness.errors import HarnessError
from harness.tasks.base import Task


@stage(version=1, name="{p}_train")
def train(task: Task, init: Weights | None = None, lr: float = 0.1, splits: tuple[str, ...] = ("train",),
          seed: int = 0) -> Weights: ...


@stage(version=1, name="{p}_score")
def score(net: Weights, task: Task, splits: tuple[str, ...]) -> Measurements: ...


@method("{p}_tune_it")
def tune_it(trial: Trial, *, lr: float = 0.1, source_lr: float = 0.1) -> Stage:
    base = None
    if trial.source is not None:
        base = train.bind(task=trial.source, lr=source_lr, seed=trial.source_seed)
    net = train.bind(task=trial.target, init=base, lr=lr, splits=trial.fit_splits, seed=trial.seed)
    return score.bind(net=net, task=trial.target, splits=trial.eval_splits)


@method("{p}_picky")
def picky(trial: Trial) -> Stage:
    raise HarnessError("it never works")
"""

STUDY = """
study: small
plugins: [./{p}_plugin.py]
sources: [digits_upright, digits_flip, digits_noise]
targets: [digits_upright, digits_flip]
backbones: [mlp]
methods: [{p}_tune_it]
seeds: [0, 1]
baselines: {{own: {{source: none}}}}
exclude:
  - match: {{source: digits_noise, target: digits_flip}}
    reason: known to fail
"""

TUNE = """
tune:
  grid: {lr: [0.01, 0.1, 1.0]}
  refit: REFIT
"""


@dataclass
class History:
    known: dict[str, Done] = field(default_factory=dict)
    files: Mapping[str, str] | None = None
    past: Mapping[str, PastRuns] = field(default_factory=dict)

    def records(self) -> Recorded:
        return Recorded(self.known)

    def code_files(self, _digest: str, /) -> Mapping[str, str] | None:
        return self.files

    def past_runs(self, device: str = "") -> Mapping[str, PastRuns]:
        return {} if device else self.past


class Bench:
    """Writes studies of one plugin and plans them."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        (folder / f"{prefix}_plugin.py").write_text(PLUGIN.replace("{p}", prefix))

    def plan(self, extra: str = "", history: History | None = None, rerun: bool = False, edit: str = "") -> Plan:
        text = STUDY.format(p=self.prefix)
        if edit:
            before, after = edit.split(" -> ")
            assert before in text
            text = text.replace(before, after)
        path = self.folder / "small.yaml"
        path.write_text(text + extra)
        study = harness.load_study(path)
        return build_plan(study, study.expansion, history, plugins=study.plugins, rerun_stale=rerun)


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, f"p{abs(hash(request.node.name)) % 10**8}")


def by_kind(plan: Plan) -> dict[str, tuple[int, int]]:
    return {count.kind.split("_")[1]: (count.needed, count.done) for count in plan.counts}


def all_done(plan: Plan, code: str | None = None) -> dict[str, Done]:
    stages = plan.graph.stages()
    return {
        stage.key: Done(code=plan.code_of(stage).digest if code is None else code, kind=stage.kind.name)
        for stage in stages
    }


def test_counts_of_a_small_study(bench: Bench) -> None:
    plan = bench.plan()
    # 3 sources x 2 targets - 1 excluded pair = 5 pairs x 2 seeds, and 2 targets x 2 seeds of the baseline
    assert plan.trials == 10 + 4
    assert plan.excluded == {"known to fail": 2}
    # 3 sources x 2 seeds train; the baselines of two targets are two of these; 10 adaptations
    assert by_kind(plan) == {"train": (6 + 10, 0), "score": (14, 0)}
    train, score = plan.counts
    assert (train.alone, train.saved) == (2 * 10 + 4, 24 - 16)
    assert (score.alone, score.saved) == (14, 0)
    assert (plan.stages_needed, plan.stages_done, plan.trials_done) == (30, 0, 0)


def test_a_finished_study_needs_nothing_and_a_new_source_only_its_cells(bench: Bench) -> None:
    records = all_done(bench.plan())
    again = bench.plan(history=History(records))
    assert (again.stages_needed, again.trials_done) == (0, 14)
    wider = bench.plan(history=History(records), edit="digits_noise] -> digits_noise, digits_invert]")
    # one more source on 2 targets and 2 seeds: 2 trainings, 4 adaptations, 4 scores
    assert by_kind(wider) == {"train": (6, 16), "score": (4, 14)}


def test_ids_and_keys_do_not_depend_on_the_order_of_the_axes(bench: Bench) -> None:
    plain = bench.plan()
    turned = bench.plan(edit="[digits_upright, digits_flip] -> [digits_flip, digits_upright]")
    rows = [dict(zip(p.trial_columns()["trial_id"], p.trial_columns()["key"], strict=True)) for p in (plain, turned)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 16


def test_trial_columns(bench: Bench) -> None:
    plan = bench.plan()
    table = plan.trial_columns()
    assert {len(column) for column in table.values()} == {16}
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    assert sum(row["role"] == "baseline" and row["source"] is None and row["baseline"] == "own" for row in rows) == 4
    excluded = [row for row in rows if row["key"] is None]
    assert {row["reason"] for row in excluded} == {"known to fail"} and len(excluded) == 2
    assert {row["seed"] for row in rows} == {"0", "1"}
    assert set(table["plan"]) == {plan.fingerprint}


def test_the_fingerprint_follows_the_rows(bench: Bench) -> None:
    assert bench.plan().fingerprint == bench.plan().fingerprint
    assert bench.plan().fingerprint != bench.plan(edit="seeds: [0, 1] -> seeds: [0, 1, 2]").fingerprint
    assert bench.plan().fingerprint != bench.plan(edit="known to fail -> does not work").fingerprint


@pytest.mark.parametrize(
    ("refit", "trains", "scores"),
    [
        # sources 6; candidates 3 x 14 trials, of which those of the 4 baselines with lr .1 are sources (4);
        # scores 3 x 14 on val + one of 14 on test
        ("none", 6 + 3 * 14 - 4, 3 * 14 + 14),
        # and one refitting a trial
        ("train+val", 6 + 3 * 14 - 4 + 14, 3 * 14 + 14),
    ],
)
def test_counts_with_candidates(bench: Bench, refit: str, trains: int, scores: int) -> None:
    plan = bench.plan(TUNE.replace("REFIT", refit))
    assert plan.candidates == 42
    found = {count.kind.split("_")[-1]: count for count in plan.counts}
    assert (found["train"].needed, found["score"].needed, found["select"].needed) == (trains, scores, 14)
    assert found["score"].chosen_later == 14
    assert len(plan.choices) == 14 and not any(isinstance(node, Choice) for node in plan.needed.values())


def test_only_the_chosen_option_is_asked_for(bench: Bench) -> None:
    plan = bench.plan(TUNE.replace("REFIT", "train+val"))
    choice = next(iter(plan.choices.values()))
    asked = plan.resolve(choice, 2)
    assert [stage.kind.name.split("_")[1] for stage in asked] == ["train", "score"]
    assert asked[-1] is choice.options[2]
    assert asked[0].arguments["splits"] == ("train", "val") and asked[0].arguments["lr"] == 1.0
    assert asked[1].arguments["splits"] == ("test",)


def test_a_selection_of_an_earlier_run_is_remembered(bench: Bench) -> None:
    first = bench.plan(TUNE.replace("REFIT", "none"))
    records = {key: Done(code="") for key in first.needed}
    chosen = {}
    for choice in first.choices.values():
        records[choice.selector.key] = Done(value=json.dumps({"index": 1}))
        chosen[choice.options[1].key] = choice
    second = bench.plan(TUNE.replace("REFIT", "none"), History(records))
    assert set(second.needed) == set(chosen)
    assert second.stages_needed == 14


def test_candidates_never_see_the_test_split(bench: Bench) -> None:
    plan = bench.plan(TUNE.replace("REFIT", "none"))
    for choice in plan.choices.values():
        for score in choice.selector.inputs:
            assert score.arguments["splits"] == ("val",)
    audited = bench.plan(TUNE.replace("REFIT", "none") + "  audit: true\n")
    assert audited.candidates == 84


@pytest.mark.parametrize(("seeds", "selectors"), [("each", 14), ("mean", 7)])
def test_one_choice_for_all_seeds(bench: Bench, seeds: str, selectors: int) -> None:
    plan = bench.plan(TUNE.replace("REFIT", "none") + f"  seeds: {seeds}\n")
    assert len({choice.selector.key for choice in plan.choices.values()}) == selectors


def test_one_choice_for_each_target(bench: Bench) -> None:
    plan = bench.plan(TUNE.replace("REFIT", "none") + "  per: [target]\n  seeds: mean\n")
    outcome = [c for c in plan.choices.values() if c.options[0].arguments["net"].arguments["init"] is not None]
    assert len({choice.selector.key for choice in outcome}) == 2
    # digits_upright has 3 sources x 2 seeds, digits_flip 2 x 2: the scores of each of 3 candidates on all of them
    assert sorted({len(choice.selector.inputs) for choice in outcome}) == [12, 18]


def test_source_parameters_are_chosen_on_the_source_itself(bench: Bench) -> None:
    plan = bench.plan("tune:\n  grid: {lr: [0.01, 0.1]}\n  scope: source\n")
    tuned = list(plan.choices.values())
    assert len(tuned) == 10
    for choice in tuned:
        judged = {score.arguments["task"].name for score in choice.selector.inputs}
        base = choice.options[0].arguments["net"].arguments["init"]
        assert judged == {base.arguments["task"].name}
        rates = [option.arguments["net"].arguments["init"].arguments["lr"] for option in choice.options]
        assert rates == [0.01, 0.1]
        assert {score.arguments["net"].key for score in choice.selector.inputs} == {
            option.arguments["net"].arguments["init"].key for option in choice.options
        }


def test_stale_records_are_named_with_what_changed(bench: Bench) -> None:
    fresh = bench.plan()
    stage = next(iter(fresh.needed.values()))
    files = dict(fresh.code_of(stage).files)
    assert "harness.tasks.digits" in files and any(name.startswith("harness_plugin_") for name in files)
    earlier = {**files, "harness.tasks.digits": "other"}
    records = all_done(fresh, code="old")
    plan = bench.plan(history=History(records, earlier))
    assert {(item.kind.split("_")[1], item.count, item.changed) for item in plan.stale} == {
        ("train", 16, ("harness.tasks.digits",)),
        ("score", 14, ("harness.tasks.digits",)),
    }
    assert plan.stages_needed == 0
    assert bench.plan(history=History(records, earlier), rerun=True).stages_needed == 30
    assert bench.plan(history=History(all_done(fresh))).stale == []


def test_what_was_made_from_a_stale_record_runs_again(bench: Bench) -> None:
    fresh = bench.plan()
    records = all_done(fresh)
    base = next(stage for stage in fresh.needed.values() if stage.arguments.get("init") is None)
    records[base.key] = replace(records[base.key], code="old")
    plan = bench.plan(history=History(records), rerun=True)
    # the source, its adaptations to both targets, its own baseline's score and the two scores (noise has one target)
    assert set(plan.needed) >= {base.key}
    assert all(base.key in {node.key for node in _below(stage)} for stage in plan.needed.values())


def _below(stage: object) -> list[object]:
    found = [stage]
    for needed in stage.inputs:  # type: ignore[attr-defined]  # a Stage
        found += _below(needed)
    return found


def test_cost_and_bytes_come_from_past_runs(bench: Bench) -> None:
    prefix = bench.prefix
    past = {f"{prefix}_train": PastRuns(10, 2.0, 0.0, 1000.0), f"{prefix}_score": PastRuns(10, 0.5, 0.0)}
    plan = bench.plan(history=History(past=past))
    assert plan.cost.seconds == pytest.approx(16 * 2.0 + 14 * 0.5)
    assert plan.bytes_needed == 16_000
    assert bench.plan().cost.seconds is None and bench.plan().bytes_needed is None


def test_a_recipe_that_refuses_names_the_cell(bench: Bench) -> None:
    with pytest.raises(HarnessError, match=r"picky', source digits_upright, target digits_upright: it never works"):
        bench.plan(edit=f"[{bench.prefix}_tune_it] -> [{bench.prefix}_picky]")


def test_json_and_text_tell_the_same(bench: Bench) -> None:
    plan = bench.plan(TUNE.replace("REFIT", "none"))
    told = json.loads(json.dumps(plan_json(plan)))
    assert (told["trials"], told["stages_done"], told["candidates"]) == (14, 0, 42)
    assert told["stages_needed"] == sum(kind["needed"] for kind in told["stages"].values())
    text = plan_text(plan)
    assert "14 trials" in text and "known to fail" in text and "(14 chosen later)" in text
