"""The runs of a layer transfer: their own bases, what is independent of what, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.attributes import Attributes, attributes_of
from analysis.layer_runs import COLUMNS, layer_runs, linked_tasks
from harness.errors import HarnessError
from tests.analysis.layers import EFFECTS, attributes, completed, half, outcomes, published, published_frame

ATTRIBUTES = attributes_of({"task_attributes": attributes()})


def test_the_published_runs_are_all_there():
    runs = published()
    assert tuple(runs.runs.columns) == COLUMNS and len(runs.runs) == 125 and len(runs.base) == 11
    assert runs.treatments == ("BnB", "AnB", "BnB+", "AnB+", "random")
    assert runs.levels == ("random halves", "dissimilar", "whole")
    assert runs.layers == [1, 2, 3, 4, 5, 6, 7]
    assert runs.where("dissimilar") == "group: dissimilar"
    assert len(runs.of("AnB", "random halves")) == 56 and len(runs.of("AnB+", "random halves", 5, 7)) == 3
    assert len(runs.of("BnB", "random halves", 4)) == 4 and len(runs.bases("random halves")) == 8


def test_published_halves_of_one_split_are_one_group():
    runs = published()
    groups = runs.base[runs.base.level == "random halves"].groupby("group").target.apply(sorted).tolist()
    assert sorted(groups) == [[f"split{k}_A", f"split{k}_B"] for k in range(4)]
    assert runs.counted == {"random halves": ("splits", 4), "dissimilar": ("splits", 1), "whole": ("splits", 1)}
    assert runs.of("AnB", "dissimilar")["group"].nunique() == 1


def test_a_gain_is_over_the_own_targets_base():
    frame = published_frame()
    base = frame[frame.role == "baseline"].set_index("target").value
    rows = published().runs
    assert rows["gain"].to_numpy() == pytest.approx((rows.value - rows.target.map(base)).to_numpy())


def test_a_gain_is_over_the_base_of_the_same_seed_however_often_a_study_repeats_it():
    frame = outcomes()
    found = layer_runs(frame)
    assert found.base_name == "base" and len(found.base) == 3 * 2 * 2
    base = frame[frame.role == "baseline"].groupby(["target", "seed"]).value.first()
    mine = [v - base[t, int(s)] for v, t, s in zip(found.runs.value, found.runs.target, found.runs.seed, strict=True)]
    assert found.runs["gain"].to_numpy() == pytest.approx(mine)
    assert len(found.runs) == 3 * 2 * 2 * 3 * len(EFFECTS)
    pd.testing.assert_frame_equal(layer_runs(outcomes(crossed=False)).runs, found.runs.assign(trial_id=layer_runs(
        outcomes(crossed=False)).runs.trial_id))  # fmt: skip


def test_a_baseline_that_copies_layers_itself_is_refused():
    frame = outcomes()
    frame.loc[(frame.role == "baseline") & (frame.layers == 2), "value"] += 0.1
    with pytest.raises(HarnessError, match="other values for other numbers of 'layers'"):
        layer_runs(frame)


def test_runs_without_copied_layers_are_the_base_where_no_baseline_is_declared():
    frame = outcomes()
    base = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"])
    plain = pd.concat(
        [frame[frame.role == "outcome"], base.assign(role="outcome", baseline=None, layers=0, frozen=True)]
    )
    found, declared = layer_runs(plain), layer_runs(frame)
    assert found.base_name == "0 layers" and found.layers == declared.layers
    assert found.runs["gain"].to_numpy() == pytest.approx(declared.runs["gain"].to_numpy())


def test_outcomes_without_a_source_are_no_treatment():
    frame = outcomes()
    scratch = frame[frame.role == "baseline"].assign(role="outcome", baseline=None, trial_id=lambda r: "n" + r.trial_id)
    both = pd.concat([frame, scratch], ignore_index=True)
    assert layer_runs(both).treatments == layer_runs(frame).treatments
    without = both[both.role == "outcome"]
    assert layer_runs(without).base["value"].tolist() == pytest.approx(layer_runs(frame).base["value"].tolist())


def test_several_baselines_must_be_told_apart_and_the_others_are_controls():
    frame = outcomes()
    longer = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"]).assign(
        baseline="longer", method="from_scratch_matched", layers=None, frozen=None, value=lambda r: r.value + 0.05
    )  # fmt: skip
    longer = longer.assign(trial_id=[f"l{k}" for k in range(len(longer))])
    both = pd.concat([frame, longer], ignore_index=True)
    with pytest.raises(HarnessError, match=r"relative_to.*base, longer"):
        layer_runs(both)
    found = layer_runs(both, relative_to="base")
    assert list(found.controls) == ["longer"]
    assert found.controls["longer"]["gain"].to_numpy() == pytest.approx(np.full(12, 0.05))
    assert set(found.controls["longer"]["group"]) == set(found.runs["group"])
    assert layer_runs(frame).controls == {}


def test_similar_and_dissimilar_by_an_attribute_of_the_target():
    frame = outcomes((0, 1, "named"), seeds=(0, 1, 2))
    known = attributes_of({"task_attributes": attributes((0, 1, "named"))})
    found = layer_runs(frame, similar_by="parting", attributes=known)
    assert found.levels == ("random", "named")
    assert set(found.of("AnB", "named")["target"]) == {half("named", "a"), half("named", "b")}
    # One dissimilar split says nothing about others, but its seeds are told apart.
    assert found.counted == {"random": ("splits", 2), "named": ("seeds", 3)}
    assert set(found.of("AnB", "named")["group"]) == {"0", "1", "2"} == set(found.bases("named")["group"])
    with pytest.raises(HarnessError, match=r"'partng'.*did you mean 'parting'"):
        layer_runs(frame, similar_by="partng", attributes=known)


def test_what_is_independent_may_be_said():
    found = layer_runs(outcomes(), independent="side", attributes=ATTRIBUTES)
    assert set(found.runs["group"]) == {"a", "b"} and found.counted == {"": ("splits", 2)}
    assert set(layer_runs(outcomes(), independent="seed").runs["group"]) == {"0", "1"}


@pytest.mark.parametrize("named", [False, True])
def test_tasks_are_linked_by_transfers_or_by_being_halves_of_one_split(named):
    pairs = [("a1", "b1"), ("b1", "a1"), ("untrained", "c"), ("hub/net", "c"), ("hub/net", "d"), ("x", "x"), ("y", "y")]
    both = {name: {"of": "w", "split": "0", "parting": "random"} for name in ("x", "y")} if named else {}
    found = linked_tasks(pairs, Attributes(both))
    groups: dict[str, set[str]] = {}
    for task, group in found.items():
        groups.setdefault(group, set()).add(task)
    expected = [{"a1", "b1"}, {"c"}, {"d"}] + ([{"x", "y"}] if named else [{"x"}, {"y"}])
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, expected))


def test_chains_of_transfers_are_one_group():
    found = linked_tasks([("a", "b"), ("b", "c"), ("d", "c"), ("e", "e"), ("d", "d"), ("a", "a")], Attributes())
    assert len({found[t] for t in "abcd" if t in found}) == 1 and found["e"] != found["c"]


def test_runs_of_other_settings_are_never_averaged_silently():
    frame = outcomes()
    few = frame[frame.role == "outcome"].assign(shots=5, trial_id=lambda r: "s" + r.trial_id)
    both = pd.concat([frame.assign(shots="all"), few], ignore_index=True)
    with pytest.raises(HarnessError, match=r"'shots' varies \(5, all\)"):
        layer_runs(both)
    found = layer_runs(both, filter={"shots": "all"})
    assert len(found.runs) == len(layer_runs(frame).runs) and found.warnings == ()


def test_runs_without_a_base_are_told_and_left_out_of_paired_readings():
    frame = outcomes()
    gone = frame[~((frame.role == "baseline") & (frame.seed == 1) & (frame.target == half(0, "a")))]
    found = layer_runs(gone)
    lacking = found.runs["gain"].isna()
    assert set(found.runs[lacking].target) == {half(0, "a")} and set(found.runs[lacking].seed) == {"1"}
    assert found.warnings == ("15 of 180 runs have no base of their target and seed; paired readings lack them.",)


def test_failed_and_flagged_runs_are_told():
    frame = outcomes()
    random = (frame.source == "untrained") & (frame.layers == 3)
    frame.loc[random, "flags"] = "not_trained"
    frame.loc[frame.index[(frame.source == half(0, "a")) & (frame.layers == 1)][:2], ["value", "status"]] = [
        np.nan,
        "oom",
    ]
    frame.loc[frame.value.isna(), ["metric", "split", "task"]] = None
    found = layer_runs(frame)
    assert found.warnings[0] == "Runs without a value: 2 failed."
    assert found.warnings[1] == "12 of 178 runs are flagged (not_trained): random (12); marked †."
    dead = frame.assign(flags=frame["flags"].where(frame["role"] == "outcome", "not_trained"))
    assert layer_runs(dead).warnings[-1].startswith("12 of 12 runs of the base are flagged")
    clean = layer_runs(frame, flagged="drop")
    assert len(clean.of("random", "")) == 24 and len(clean.runs) == 166


def test_any_score_of_a_training_may_be_the_value():
    frame = outcomes()
    best = frame.assign(metric="accuracy_best10_mean", value=frame.value + 0.01)
    both = pd.concat([frame, best], ignore_index=True)
    for metric, more in (("accuracy", 0.0), ("accuracy_best10_mean", 0.01)):
        found = layer_runs(both, metric)
        assert (found.metric, found.unit.name, found.unit.decimals) == (metric, "%", 2)
        assert found.base.value.mean() == pytest.approx(layer_runs(frame).base.value.mean() + more)
    with pytest.raises(HarnessError, match="accuracy_best10_mean"):
        layer_runs(both, "accuracy_best10_men")


def test_what_is_no_layer_transfer_is_refused():
    frame = outcomes()
    with pytest.raises(HarnessError, match="'depth'"):
        layer_runs(frame, x="depth")
    with pytest.raises(HarnessError, match="must be a number, not 'four'"):
        layer_runs(frame.assign(layers=frame.layers.map(lambda n: "four" if n == 3 else n)))
    with pytest.raises(HarnessError, match="needs runs, and a baseline"):
        layer_runs(completed([{"source": "a", "target": "b", "seed": 0, "method": "m", "layers": 1, "frozen": True,
                               "value": 0.5}]))  # fmt: skip
    with pytest.raises(HarnessError, match="'bse'"):
        layer_runs(frame, relative_to="bse")
