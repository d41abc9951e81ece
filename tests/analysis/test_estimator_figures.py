"""The figure that sets estimators beside simple baselines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis import import_outcomes, transfer_matrix
from analysis.estimator_figures import draw_estimators
from analysis.estimator_tables import estimator_study
from analysis.figures import style


@pytest.fixture
def study():
    """A perfect estimator, its opposite, and one that is known for half of the sources."""
    import pandas as pd

    rng = np.random.default_rng(3)
    wide = pd.DataFrame(rng.normal(size=(10, 4)), columns=[f"t{j}" for j in range(4)])
    wide.insert(0, "source", [f"s{i}" for i in range(10)])
    outcome = transfer_matrix(import_outcomes(wide, rows="source", fixed={"metric": "gain"}), value="gain")
    half = outcome.values + rng.normal(size=outcome.shape)
    half[5:] = np.nan
    scores = {
        "opposite": replace(outcome, values=-outcome.values),
        "perfect": outcome,
        "half": replace(outcome, values=half),
    }
    return estimator_study(scores, outcome, n_resamples=50)


def test_every_estimator_has_its_point_and_the_best_is_first(study):
    with style():
        figure = draw_estimators(study, "scores")
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    points = dict(zip(names, (line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"), strict=True))
    assert names[0] == "perfect"
    assert points["perfect"] == pytest.approx(1.0)
    assert names.index("half") < names.index("opposite")
    for name, found in study.found.items():
        if np.isfinite(found.mean.estimate):
            assert points[name] == pytest.approx(found.mean.estimate)


def test_fewer_cells_are_said(study):
    with style():
        figure = draw_estimators(study, "scores")
    said = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in said if "of 40 cells" in text] == [text for text in said if "20 of 40 cells" in text]
    assert sum("20 of 40 cells" in text for text in said) == 1
    assert {"estimators", "simple baselines"} <= set(said)
