"""Readings with and without cells of one family: what is left out, marked, summed up, and drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import correlate, matrix_table, transfer_matrix
from analysis.attributes import attributes_of, leave_out_related
from analysis.figures import style
from analysis.heatmap_layout import FRAME
from analysis.heatmaps import clustered, draw
from analysis.related import Reading, mark_related, readings, related_summary
from analysis.sections import ReportData, section
from harness.errors import HarnessError

FAMILY = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "z"}
STUDY = {"study": "s", "targets": list("abcde"), "task_attributes": {t: {"family": f} for t, f in FAMILY.items()}}
ATTRIBUTES = attributes_of(STUDY)
RELATED = np.array([[FAMILY[s] == FAMILY[t] for t in "abcde"] for s in "abcde"])


@pytest.fixture
def rows(grid_frame):
    return grid_frame(methods=("probe",))


def both(rows, **options):
    masked = leave_out_related(rows, ATTRIBUTES, ["family"])
    return transfer_matrix(rows, **options), transfer_matrix(masked, **options)


def test_the_readings_that_an_analysis_asks_for():
    assert readings(STUDY, {})[0] == [Reading()]
    assert readings(STUDY, {"same": {"family": "keep"}})[0] == [Reading("", (), ("family",))]
    assert readings(STUDY, {"same": {"family": "drop"}})[0] == [
        Reading(", without cells of one family", ("family",), ())
    ]
    first, second = readings(STUDY, {"same": {"family": "both"}})[0]
    assert first == Reading("", (), ("family",))
    assert second == Reading(", without cells of one family", ("family",), ())
    with pytest.raises(HarnessError, match=r"'dropp'.*'drop'"):
        readings(STUDY, {"same": {"family": "dropp"}})
    with pytest.raises(HarnessError, match="'domain'"):
        readings(STUDY, {"same": {"domain": "both"}})


def test_several_attributes_at_once():
    study = {"task_attributes": {"a": {"family": "x", "domain": "u"}}}
    first, second = readings(study, {"same": {"family": "both", "domain": "keep"}})[0]
    assert (first.dropped, first.marked) == ((), ("family", "domain"))
    assert (second.dropped, second.marked) == (("family",), ("domain",))


@pytest.mark.parametrize("relative_to", [None, "own", "target_best", "z"])
def test_left_out_cells_are_empty_with_a_reason_and_others_are_as_they_were(rows, relative_to):
    everything, without = both(rows, relative_to=relative_to)
    assert (without.reasons[RELATED] == "related").all() and np.isnan(without.values[RELATED]).all()
    assert without.values[~RELATED] == pytest.approx(everything.values[~RELATED])
    assert without.spread[~RELATED] == pytest.approx(everything.spread[~RELATED])
    assert "source and target agree in family" in without.cell("a", "b").detail
    assert without.cell("a", "a").trial_ids == ()


def test_left_out_rows_leave_means_over_sources(rows):
    masked = leave_out_related(rows, ATTRIBUTES, ["family"])
    found = transfer_matrix(masked, "method", "target", over=["source"])
    other = rows[(rows.role == "outcome") & (rows.source.map(FAMILY) != rows.target.map(FAMILY))]
    truth = other.groupby(["target", "seed"]).value.mean().groupby("target").mean()
    assert found.values[0] == pytest.approx(truth[list(found.col_labels)].to_numpy())


def test_a_failed_trial_of_related_tasks_is_left_out_too_and_is_no_failure(rows):
    rows.loc[(rows.source == "a") & (rows.target == "b"), ["value", "status"]] = [np.nan, "failed"]
    masked = leave_out_related(rows, ATTRIBUTES, ["family"])
    assert transfer_matrix(rows).cell("a", "b").reason == "failed"
    assert transfer_matrix(masked).cell("a", "b").reason == "related"
    assert transfer_matrix(masked, failed="worst").cell("a", "b").reason == "related"


def test_planned_trials_of_related_tasks(rows, trials_of):
    trials = trials_of(rows)
    gone = rows[~((rows.source == "c") & (rows.target == "d"))]
    masked = (leave_out_related(f, ATTRIBUTES, ["family"]) for f in (gone, trials))
    found = transfer_matrix(next(masked), trials=next(masked))
    assert found.cell("c", "d").reason == "related"


def test_marks_follow_the_axes_and_the_order(rows):
    marked = mark_related(transfer_matrix(rows), ATTRIBUTES, ("family",))
    (mark,) = marked.marks
    assert mark.outlined and (mark.cells == RELATED).all()
    turned = mark_related(transfer_matrix(rows, "target", "source"), ATTRIBUTES, ("family",))
    assert (turned.marks[0].cells == RELATED.T).all()
    order = np.array([4, 2, 0])
    assert (marked.reordered(order, np.arange(5)).marks[0].cells == RELATED[order]).all()
    shuffled, _ = clustered(marked, "both")
    again = [[FAMILY[s] == FAMILY[t] for t in shuffled.col_labels] for s in shuffled.row_labels]
    assert (shuffled.marks[0].cells == np.array(again)).all()
    other = transfer_matrix(rows, "method", "target", over=["source"])
    assert mark_related(other, ATTRIBUTES, ("family",)) is other
    assert mark_related(marked, ATTRIBUTES, ()) is marked


def test_tables_and_heatmaps_show_marks(rows):
    marked = mark_related(transfer_matrix(rows), ATTRIBUTES, ("family",))
    table = matrix_table(marked)
    assert [["§" in cell.text for cell in row[1:6]] for row in table.rows[:5]] == RELATED.tolist()
    assert any(note.startswith("§ source and target are of one family") for note in table.notes)
    assert "\\S{}" in table.to_latex()
    assert [r["same family"] for r in table.records] == ["yes" if c else "" for c in RELATED.ravel()]
    with style():
        figure = draw(marked)
    texts = [t.get_text() for t in figure.texts]
    assert "same family (9)" in texts
    assert len(figure.axes[0].collections) > len(_plain(rows).axes[0].collections)
    assert FRAME not in texts and not any("§" in t.get_text() for t in figure.axes[0].texts)


def _plain(rows):
    with style():
        return draw(transfer_matrix(rows))


def test_the_summary_has_best_source_and_mean_both_ways(rows):
    everything, without = both(rows, relative_to="own")
    table = related_summary(everything, without, "family")
    gain = rows[rows.role == "outcome"].set_index(["source", "target", "seed"]).value
    own = rows[rows.role == "baseline"].set_index(["target", "seed"]).value
    cells = (gain - gain.index.map(lambda k: own[k[1:]])).groupby(["source", "target"]).mean().unstack() * 100
    for row in table.rows[:-1]:
        target = row[0].text
        column = cells[target]
        rest = column[[s for s in column.index if FAMILY[s] != FAMILY[target]]]
        assert row[1].text == f"{column.idxmax()} ({column.max():+.1f})" and row[4].text.startswith(
            f"{rest.idxmax()} ("
        )
        assert float(row[2].text) == pytest.approx(column.mean(), abs=0.051)
        assert float(row[5].text) == pytest.approx(rest.mean(), abs=0.051)
        assert (row[3].text, row[6].text) == ("5", str(len(rest)))
    means = [[float(row[k].text) for row in table.rows[:-1]] for k in (2, 5)]
    assert [float(table.rows[-1][k].text) for k in (2, 5)] == pytest.approx([np.mean(m) for m in means], abs=0.1)
    assert "mean gain" in table.header and "family" in table.title


def test_no_summary_where_there_is_nothing_to_tell(rows):
    everything, without = both(rows)
    assert related_summary(everything, everything, "family") is None
    assert related_summary(transfer_matrix(rows, "target", "source"), without, "family") is None
    alone = {"task_attributes": {t: {"family": "one"} for t in "abcde"}}
    empty = transfer_matrix(leave_out_related(rows, attributes_of(alone), ["family"]))
    assert related_summary(everything, empty, "family") is None
    low = (
        transfer_matrix(rows, higher_is_better=False),
        transfer_matrix(leave_out_related(rows, ATTRIBUTES, ["family"]), higher_is_better=False),
    )
    table = related_summary(*low, "family")
    worst = rows[rows.role == "outcome"].groupby(["source", "target"]).value.mean().unstack()["a"].idxmin()
    assert table.rows[0][1].text.startswith(f"{worst} (")


# --- in a report ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(rows, trials_of):
    scores = rows[(rows.role == "outcome") & (rows.seed == 0)]
    noise = np.random.default_rng(0).normal(size=len(scores)) * 0.02
    scores = scores.assign(role="estimator", method="knn", metric="score", seed=None, value=scores.value + noise,
                           trial_id=lambda f: "e" + f.trial_id)  # fmt: skip
    frame = pd.concat([rows, scores], ignore_index=True)
    return ReportData(frame, trials_of(frame), STUDY | {"baselines": {"own": {"source": "none"}}})


def made(data, **analysis):
    found = section(data, analysis)
    with style():
        for drawing in found.drawings:
            drawing.make()
    return found


def test_a_matrix_in_both_readings(data):
    found = made(data, kind="matrix", name="m", relative_to="own", same={"family": "both"})
    assert found.problem == ""
    assert [name for name, _ in found.tables] == [
        "m",
        "m-without-cells-of-one-family",
        "m-without-cells-of-one-family-summary",
    ]
    second = found.tables[1][1]
    assert [[cell.text == "related" for cell in row[1:6]] for row in second.rows[:5]] == RELATED.tolist()
    assert "§" in found.tables[0][1].to_markdown() and "§" not in second.to_markdown()
    assert not any("failed-as" in name for name, _ in found.tables)


def test_a_table_in_both_readings_counts_no_left_out_trial_as_failed(data):
    found = made(data, kind="table", name="t", over=["source"], same={"family": "both"})
    assert [name for name, _ in found.tables] == ["t", "t-without-cells-of-one-family"]
    assert found.tables[0][1].rows != found.tables[1][1].rows
    assert any("related" in warning for warning in found.warnings)


def test_a_correlation_in_both_readings_uses_the_other_cells(data):
    found = made(data, kind="correlation", name="c", x="knn", y="accuracy", same={"family": "both"})
    names = [name for name, _ in found.tables]
    assert names == ["c", "c-estimators", "c-without-cells-of-one-family", "c-without-cells-of-one-family-estimators"]
    masked = leave_out_related(data.frame, ATTRIBUTES, ["family"])
    x = transfer_matrix(masked, value="score", role="estimator")
    truth = correlate(x, transfer_matrix(masked), n_resamples=0)
    assert (
        truth.per_target["a"].n == 3 and correlate(transfer_matrix(data.frame), x, n_resamples=0).per_target["a"].n == 3
    )
    shown = {row[0].text: row[1].text for row in found.tables[2][1].rows}
    assert shown["a"].startswith(f"{truth.per_target['a'].estimate:.2f}")


def test_dropping_keeping_and_comparing(data):
    dropped = made(data, kind="matrix", name="m", same={"family": "drop"})
    assert [d.name for d in dropped.drawings] == ["m-without-cells-of-one-family"]
    kept = made(data, kind="matrix", name="m", same={"family": "keep"})
    assert [d.name for d in kept.drawings] == ["m"] and "§" in kept.tables[0][1].to_markdown()
    unknown = made(data, kind="matrix", same={"famly": "drop"})
    assert "did you mean 'family'" in unknown.problem


def test_facets_and_readings_together(data):
    found = made(data, kind="matrix", name="m", facet="seed", same={"family": "both"})
    plain = [f"m-seed-{k}" for k in range(3)]
    assert {d.name for d in found.drawings} == {*plain, *(f"{name}-without-cells-of-one-family" for name in plain)}
    assert sum(name.endswith("summary") for name, _ in found.tables) == 3
