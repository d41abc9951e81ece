"""The studies of model selection: they plan, and the ensembles train nothing that the zoo has not trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import harness

HERE = Path(__file__).parents[2]
STUDIES = HERE / "studies" / "model_selection"


def needed(study: Path, *only: str) -> dict[str, set[str]]:
    """Keys of the stages that a run of a study would need, by kind."""
    found: dict[str, set[str]] = {}
    for key, stage in harness.plan(harness.load_study(study, only=only), "nowhere").demand.needed.items():
        found.setdefault(stage.kind.name, set()).add(key)
    return found


@pytest.mark.packaged
@pytest.mark.slow
def test_every_network_of_an_ensemble_is_one_of_the_zoo() -> None:
    zoo, ensembles = (needed(STUDIES / f"{name}.yaml") for name in ("mini", "ensembles"))
    for kind in ("train", "adapt", "predict", "predict_source"):
        assert ensembles[kind] and ensembles[kind] <= zoo[kind], kind
    assert len(ensembles["measure_ensemble"]) == len(ensembles["score_ensemble"])


@pytest.mark.slow
def test_the_published_benchmark_of_ensembles_is_planned_from_blank_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, str(STUDIES / "layout.py"), str(tmp_path)], check=True, cwd=HERE)
    monkeypatch.chdir(tmp_path)
    found = needed(STUDIES / "paper_osborn.yaml")
    sources, pool, targets, architectures = 11, 10, 5, 2
    assert len(found["train"]) == sources * architectures
    assert len(found["adapt"]) == pool * targets * architectures
    assert len(found["measure_ensemble"]) == 120 * targets * architectures
    assert len(found["source_terms_of"]) == pool * targets * architectures
