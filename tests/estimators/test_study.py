"""A small study with several scores, one of them the user's own, from its file to the table of correlations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import analysis
import harness
from harness.store import Store

OWN = '''\
"""A score of one's own."""

from harness.estimators import Inputs, scorer


@scorer("remaining_spread", needs=("features", "labels"), higher_is_better=False)
def score(inputs: Inputs, *, power: float = 2.0) -> float:
    """Mean size of what is left of each feature after its class's mean, to a power."""
    return float((abs(inputs.statistics.residuals) ** power).mean())
'''

STUDY = """\
study: scores
plugins: [./own_score.py]
sources: [digits_upright, digits_invert, digits_noise]
targets: [digits_flip, digits_transpose]
backbones: [{backbone: mlp, hidden: 12}]
methods: [linear_probe]
params: {source: {steps: 30}}
on_untrained_source: run
estimators:
  - leep
  - logme
  - sfda
  - ped
  - {estimator: gbc, dims: 4, covariance: full, as: gbc_full}
  - knn
  - source_accuracy
  - parameter_count
  - remaining_spread
  - {estimator: remaining_spread, power: 1.0, as: remaining_size}
analyses: [{kind: correlation, name: scores, y: accuracy}]
"""

NAMES = ["gbc_full", "knn", "leep", "logme", "ped", "remaining_size", "remaining_spread", "sfda"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, run in this process."""
    folder = tmp_path_factory.mktemp("scores")
    (folder / "own_score.py").write_text(OWN, encoding="utf-8")
    (folder / "scores.yaml").write_text(STUDY, encoding="utf-8")
    summary = harness.run(folder / "scores.yaml", folder / "results", in_process=True, progress="none")
    assert (summary.done, summary.failed) == (6 + 6 * len(NAMES) + 3 + 2, 0)
    return folder


@pytest.mark.slow
def test_every_score_is_an_outcome(folder: Path) -> None:
    frame = analysis.load_outcomes(folder / "results", "scores")
    rows = frame[frame["role"] == "estimator"]
    assert sorted(rows["method"].unique()) == sorted([*NAMES, "parameter_count", "source_accuracy"])
    assert set(rows["metric"]) == {"score"} and np.isfinite(rows["value"]).all()
    counts = rows.groupby("method").size()
    assert counts["logme"] == 6 and counts["parameter_count"] == 2
    assert (rows.loc[rows["method"] == "remaining_spread", "value"] < 0).all(), "better when lower: turned"


@pytest.mark.slow
def test_each_has_its_seconds_and_memory(folder: Path) -> None:
    store = Store.open(folder / "results")
    records = store.records()
    scores = [key for key in records if records.field(key, "kind") == "estimate"]
    assert len(scores) == 6 * 7
    names = set()
    for key in scores:
        record = records[key]
        assert record.seconds > 0 and record.memory_bytes > 0 and record.width == 1
        names.add(json.loads(record.preimage)["arguments"]["scoring"]["estimator"])
    assert names == {"leep", "logme", "sfda", "ped", "gbc", "remaining_spread"}


@pytest.mark.slow
def test_a_second_run_and_another_study_compute_nothing_again(folder: Path) -> None:
    again = harness.run(folder / "scores.yaml", folder / "results", in_process=True, progress="none")
    assert again.stages_run == 0
    other = folder / "other.yaml"
    other.write_text(STUDY.replace("study: scores", "study: other").replace("- knn", "- lfc"), encoding="utf-8")
    known = set(Store.open(folder / "results").records())
    harness.run(other, folder / "results", in_process=True, progress="none")
    records = Store.open(folder / "results").records()
    new = sorted(records.field(key, "kind") for key in records if key not in known)
    assert [kind for kind in new if kind != "extract_features"] == ["estimate"] * 6, "one new score of six pairs"


@pytest.mark.slow
def test_all_are_in_the_table_of_correlations(folder: Path) -> None:
    report = harness.report(folder / "scores.yaml", folder / "results")
    text = next(path for path in report.tables if path.suffix == ".csv" and "estimators" in path.name).read_text()
    for name in NAMES:
        assert f"\n{name}," in text
