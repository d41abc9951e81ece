"""The section on layer transfer in a report: its parts, both readings of flagged runs, facets, what is wrong."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.figures import style
from analysis.sections import ReportData, section
from tests.analysis.layers import attributes, outcomes, published_frame

ANALYSIS = {"kind": "layer_transfer", "name": "L", "relative_to": "base"}


def data(frame, splits=(0, 1, 2), **study):
    trials = frame.drop_duplicates("trial_id").assign(state="done")
    return ReportData(frame, trials, {"study": "demo", "task_attributes": attributes(splits), **study})


def made(frame, analysis=ANALYSIS, **options):
    found = section(data(frame, **options), analysis)
    with style():
        for drawing in found.drawings:
            assert drawing.make().get_size_inches().min() > 1
    return found


def names(found):
    return [d.name for d in found.drawings], [name for name, _ in found.tables]


def test_one_level():
    found = made(outcomes())
    assert found.problem == "" and found.warnings == []
    assert names(found) == (["l", "l-drop", "l-similar"], ["l", "l-drop", "l-boost"])
    (note,) = found.notes
    assert note.startswith("Treatments (BnB, AnB, BnB+, AnB+, random)") and "paired" in note


def test_similar_and_dissimilar_splits_have_a_picture_each_and_one_together():
    splits = (0, 1, "named")
    found = made(outcomes(splits), {**ANALYSIS, "similar_by": "parting", "pairing": "pooled"}, splits=splits)
    assert names(found)[0] == ["l-random", "l-random-drop", "l-named", "l-named-drop", "l-similar"]
    assert "pooled" in found.notes[0]


def test_what_flagged_runs_change_is_read_with_and_without():
    frame = outcomes()
    frame.loc[(frame.source == "untrained") & (frame.layers >= 2), "flags"] = "not_trained"
    found = made(frame)
    figures, tables = names(found)
    assert figures == ["l", "l-drop", "l-similar", "l-without-flagged", "l-without-flagged-similar"]
    assert tables == ["l", "l-drop", "l-boost", "l-without-flagged"]
    kept, dropped = (dict(found.tables)[name].to_csv() for name in ("l", "l-without-flagged"))
    assert kept.count("\nrandom,") == 3 and dropped.count("\nrandom,") == 1
    assert "24 of 180 runs are flagged (not_trained): random (24); marked †." in found.warnings


@pytest.mark.parametrize(
    ("treatment", "more"),
    [("BnB", ["", "-drop"]), ("AnB+", ["", "-boost"]), ("base", ["", "-drop", "-boost"])],
)
def test_only_tables_on_flagged_treatments_come_again(treatment, more):
    frame = outcomes((0, 1, 2, 3))
    own = frame.source == frame.target
    kinds = {
        "BnB": own & frame.frozen.eq(True),
        "AnB+": ~own & frame.frozen.eq(False) & (frame.role == "outcome"),
        "base": frame.role == "baseline",
    }
    frame.loc[kinds[treatment] & (frame.target == "half(1, a)"), "flags"] = "not_trained"
    found = made(frame, splits=(0, 1, 2, 3))
    assert names(found)[1] == ["l", "l-drop", "l-boost", *(f"l-without-flagged{end}" for end in more)]


def test_levels_without_flagged_runs_are_not_shown_again():
    frame = outcomes((0, 1, "named"))
    frame.loc[(frame.source == "untrained") & frame.target.str.contains("named"), "flags"] = "not_trained"
    found = made(frame, {**ANALYSIS, "similar_by": "parting"}, splits=(0, 1, "named"))
    again = [name for name in names(found)[1] if "without-flagged" in name]
    assert again == ["l-without-flagged-named"]


def test_where_all_runs_are_flagged_the_other_reading_is_empty_and_the_first_stands():
    found = made(outcomes().assign(flags="not_trained"))
    assert found.problem == "" and names(found)[1][0] == "l"


def test_controls_and_ranges():
    frame = outcomes()
    longer = frame[frame.role == "baseline"].drop_duplicates(["target", "seed"])
    longer = longer.assign(baseline="longer", trial_id="l" + longer.trial_id, value=longer.value + 0.04)
    found = made(pd.concat([frame, longer], ignore_index=True), {**ANALYSIS, "ranges": [[2, 3]]})
    assert names(found)[1] == ["l", "l-drop", "l-boost", "l-controls"]
    assert [row[0].text for row in dict(found.tables)["l-boost"].rows] == ["2-3"]


def test_a_facet_and_another_score():
    frame = outcomes()
    best = frame.assign(metric="accuracy_best", value=frame.value + 0.01)
    both = pd.concat([part.assign(shots=s, trial_id=s + part.trial_id) for part in (frame, best) for s in ("5", "all")])
    found = made(both.reset_index(drop=True), {**ANALYSIS, "value": "accuracy_best", "facet": "shots"})
    assert found.problem == "" and {"l-shots-5", "l-shots-all"} <= set(names(found)[0])
    assert any("accuracy_best" in d.alt for d in found.drawings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"relative_to": "bas"}, "'bas'"),
        ({"x": "depth"}, "'depth'"),
        ({"similar_by": "partin"}, "did you mean 'parting'"),
        ({"same": {"split": "drop"}}, "no cells to leave out"),
        ({"filter": {"method": "layr_transfer"}}, "did you mean 'layer_transfer'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(change, words):
    assert words in made(outcomes(), {**ANALYSIS, **change}).problem


def test_without_a_name_the_section_says_what_it_is():
    assert section(data(outcomes()), {"kind": "layer_transfer"}).title == "Layer transfer"
    best = section(data(outcomes()), {"kind": "layer_transfer", "value": "accuracy"})
    assert best.title == "Layer transfer: accuracy"


def test_the_published_section_has_every_part():
    frame = published_frame()
    analysis = {**ANALYSIS, "similar_by": "group", "filter": {"method": "layer_transfer"}, "pairing": "pooled"}
    found = made(frame, analysis)
    assert found.problem == "" and len(found.drawings) == 5
    assert names(found)[1] == ["l-random-halves", "l-random-halves-drop", "l-random-halves-boost", "l-dissimilar",
                               "l-whole"]  # fmt: skip
    assert sum("Unbalanced" in w for w in found.warnings) == 1
