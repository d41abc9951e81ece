"""Estimators: scores that predict how well a source does on a target. One file a score.

    from harness.estimators import score, scores

    score("logme", features=features, labels=labels)
    scores(["logme", "leep", ("knn", {"k": 3})], features=features, labels=labels, source_logits=logits)

`zoo_scores` is for scores that compare networks with each other, `ensemble_score` and `harness.estimators.osborn` for
ensembles of them, `scorer` for a score of one's own. The names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.estimators.ensembles import ensemble_score as ensemble_score
    from harness.estimators.inputs import Inputs as Inputs
    from harness.estimators.scorers import Scorer as Scorer
    from harness.estimators.scorers import scorer as scorer
    from harness.estimators.scoring import estimators as estimators
    from harness.estimators.scoring import score as score
    from harness.estimators.scoring import scores as scores
    from harness.estimators.zoo import zoo_scores as zoo_scores

_HOMES = {
    "Inputs": "harness.estimators.inputs",
    "Scorer": "harness.estimators.scorers",
    "ensemble_score": "harness.estimators.ensembles",
    "estimators": "harness.estimators.scoring",
    "score": "harness.estimators.scoring",
    "scorer": "harness.estimators.scorers",
    "scores": "harness.estimators.scoring",
    "zoo_scores": "harness.estimators.zoo",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import an exported name from its home on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
