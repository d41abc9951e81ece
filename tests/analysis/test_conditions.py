"""What a short text in a study means."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.conditions import condition
from harness.errors import HarnessError


@pytest.fixture
def rows(grid_frame, frame):
    scores = [
        {
            "role": "estimator",
            "method": name,
            "metric": metric,
            "source": "a",
            "seed": None,
            "value": 0.1,
            "trial_id": tid,
        }
        for name, metric, tid in (
            ("knn", "score", "e1"),
            ("leep", "leep", "e2"),
            ("leep", "seconds", "e2"),
            ("two", "one", "e3"),
            ("two", "other", "e3"),
        )
    ]
    return pd.concat([grid_frame(shots=5), frame(scores)], ignore_index=True)


@pytest.mark.parametrize(
    ("text", "role", "metric", "where"),
    [
        ("method=tune", "outcome", "accuracy", {"method": "tune"}),
        ("shots = 5", "outcome", "accuracy", {"shots": "5"}),
        ("tune", "outcome", "accuracy", {"method": "tune"}),
        ("mlp", "outcome", "accuracy", {"backbone": "mlp"}),
        ("accuracy", "outcome", "accuracy", {}),
        ("knn", "estimator", "score", {"method": "knn"}),
        ("leep", "estimator", "leep", {"method": "leep"}),
        ("leep/seconds", "estimator", "seconds", {"method": "leep"}),
        ("two/other", "estimator", "other", {"method": "two"}),
        ("own", "baseline", "accuracy", {}),
    ],
)
def test_meanings(rows, text, role, metric, where):
    found = condition(rows, text, "accuracy")
    assert (found.role, found.metric, dict(found.where)) == (role, metric, where)


def test_what_is_ambiguous_or_unknown_says_so(rows):
    with pytest.raises(HarnessError, match=r"'a' is a value of several axes \(source, target\)"):
        condition(rows, "a", "accuracy")
    with pytest.raises(HarnessError, match=r"called 'tunne'.*'tune'"):
        condition(rows, "tunne", "accuracy")
    with pytest.raises(HarnessError, match="several metrics; write two/one"):
        condition(rows, "two", "accuracy")


def test_a_filter_applies_only_where_it_can(rows):
    wanted = {"method": "tune", "seed": 0}
    assert condition(rows, "knn", "accuracy").fitting(rows, wanted) == {"method": "knn"}
    assert condition(rows, "accuracy", "accuracy").fitting(rows, wanted) == wanted
    own = condition(rows, "own", "accuracy").fitting(rows, {"source": "a", "seed": 0})
    assert own == {"seed": 0}
    with pytest.raises(HarnessError, match="'nowhere'"):
        condition(rows, "own", "accuracy").fitting(rows, {"nowhere": 1})
