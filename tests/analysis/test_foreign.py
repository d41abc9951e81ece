"""Foreign outcomes: long and wide files give the frame that the same values typed by hand give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import import_outcomes, load_outcomes, rank_correlation, transfer_matrix
from analysis.foreign import parse_values, read_table, trial_ids
from harness.errors import HarnessError

WIDE = "model,birds,cars\nresnet,71.5,80\nvgg,,65.25\n"


@pytest.fixture
def wide(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(WIDE)
    return path


def test_a_wide_matrix_becomes_the_same_matrix(wide):
    frame = import_outcomes(wide, "grid", rows="source", scale=0.01, fixed={"method": "fine_tune"})
    matrix = transfer_matrix(frame)
    assert matrix.row_labels == ("resnet", "vgg") and matrix.col_labels == ("birds", "cars")
    assert np.allclose(matrix.values, [[0.715, 0.8], [np.nan, 0.6525]], equal_nan=True)
    assert matrix.cell("vgg", "birds").reason == "not run"
    assert set(frame.study) == {"grid"} and set(frame.role) == {"outcome"} and set(frame.method) == {"fine_tune"}
    assert matrix.unit.name == "%"


def test_a_long_file_with_other_names_seeds_and_axes(tmp_path):
    rows = [("a", "b", seed, shots, 0.5 + 0.1 * seed + 0.01 * shots) for seed in (0, 1) for shots in (1, 5)]
    long = pd.DataFrame(rows, columns=["from", "to", "run", "shots", "acc"]).assign(junk="x")
    for path in (tmp_path / "long.csv", tmp_path / "long.parquet"):
        long.to_csv(path, index=False) if path.suffix == ".csv" else long.to_parquet(path)
        frame = import_outcomes(
            path, value="acc", columns={"from": "source", "to": "target", "run": "seed", "junk": ""}
        )
        matrix = transfer_matrix(frame, cols="shots")
        assert matrix.col_labels == ("1", "5") and np.allclose(matrix.values, [[0.56, 0.6]])
        assert (matrix.seeds == 2).all() and np.allclose(matrix.spread, 0.1 / np.sqrt(2))
        assert frame.trial_id.nunique() == 4 and "junk" not in frame.columns


def test_an_exported_study_comes_back_as_it_was(tmp_path, grid_frame):
    rows = grid_frame(tasks="abc", seeds=(0, 1))
    path = tmp_path / "outcomes.csv"
    rows.to_csv(path, index=False)
    back = import_outcomes(path, "demo")
    for relative in (None, "own"):
        ours, theirs = (transfer_matrix(f, filter={"method": "probe"}, relative_to=relative) for f in (rows, back))
        assert np.allclose(ours.values, theirs.values) and ours.row_labels == theirs.row_labels
    assert list(back.trial_id) == list(rows.trial_id)


def test_empty_is_not_run_but_nan_was_measured():
    frame = pd.DataFrame({"source": list("abc"), "target": "t", "value": ["", "NaN", "1.5"]})
    got = import_outcomes(frame)
    assert list(got.source) == ["b", "c"] and np.isnan(got.value.iloc[0])
    assert transfer_matrix(got).cell("b", "t").reason == "undefined"
    assert list(parse_values(pd.Series(["1e-3", "inf", " -inf ", ""]))[:3]) == [0.001, np.inf, -np.inf]


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        ({"source": ["a"], "value": ["high"]}, {}, "Row 1 .*'high', which is no number"),
        ({"source": ["a"], "valu": [1.0]}, {}, "no column of values.*'valu'"),
        ({"source": ["a"], "value": [1.0]}, {"columns": {"sorce": "x"}}, "no column 'sorce'.*'source'"),
        ({"source": ["a"], "from": ["b"], "value": [1.0]}, {"columns": {"from": "source"}}, "Two columns.*'source'"),
        ({"source": ["a"], "value": [1.0]}, {"fixed": {"role": "outcom"}}, "role 'outcom'.*'outcome'"),
        ({"source": ["a", "a"], "value": [1.0, 2.0]}, {}, "two values of 'accuracy' for source=a"),
        ({"model": ["a", "a"], "t": [1.0, 2.0]}, {"rows": "source"}, "labels of a wide matrix must differ"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(frame, options, words):
    with pytest.raises(HarnessError, match=words):
        import_outcomes(pd.DataFrame(frame), **options)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(HarnessError, match="cannot be read as a table"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(HarnessError, match=r"\.csv and \.parquet files, not from 'x\.xlsx'"):
        read_table(tmp_path / "x.xlsx")


def test_trial_ids_depend_on_values_not_on_order():
    frame = pd.DataFrame({"source": ["a", "b"], "seed": [1, 2]})
    forward, backward = (list(trial_ids(f, ["source", "seed"])) for f in (frame, frame.iloc[::-1]))
    assert forward == backward[::-1] and len(set(forward)) == 2
    assert list(trial_ids(frame.assign(seed=["1", "2"]), ["source", "seed"])) == forward


def test_estimator_scores_and_outcomes_together_correlate(wide):
    outcomes = import_outcomes(wide, rows="source")
    scores = import_outcomes(
        pd.DataFrame({"m": ["resnet", "vgg"], "birds": [1.0, 0.5], "cars": [0.2, 0.1]}),
        rows="source",
        fixed={"role": "estimator", "method": "leep", "metric": "score"},
    )
    both = pd.concat([outcomes, scores], ignore_index=True)
    x = transfer_matrix(both, value="score", role="estimator", filter={"method": "leep"})
    y = transfer_matrix(both)
    assert rank_correlation(x.values[:, 1], y.values[:, 1], "kendall").estimate == pytest.approx(1.0)


def test_imported_outcomes_can_live_in_a_store(tmp_path, wide):
    from analysis import store_outcomes

    frame = import_outcomes(wide, "grid", rows="source", scale=0.01).assign(shots=5)
    bad = pd.concat([frame, frame.iloc[:1].assign(source="dead", value=np.nan, status="failed", reason="no disk",
                                                  trial_id="f" * 16)])  # fmt: skip
    store_outcomes(bad, tmp_path, {"study": "grid", "analyses": []})
    back = load_outcomes(tmp_path, "grid")
    assert np.allclose(sorted(back.value.dropna()), sorted(frame.value))
    assert list(back.loc[back.value.isna(), "reason"]) == ["no disk"] and set(back.shots) == {5}
    assert np.allclose(transfer_matrix(back).values[-2:], transfer_matrix(frame).values, equal_nan=True)
    store_outcomes(frame.assign(value=0.5), tmp_path, {"study": "grid", "analyses": []})
    assert set(load_outcomes(tmp_path, "grid").value) == {0.5}
