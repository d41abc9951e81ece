"""A small study of prompts run by the engine: what its records say of where each prompt came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.api import load_study, run
from harness.backbones.base import Untrained
from harness.backbones.clip_towers import encode_picture_tokens
from harness.methods.base import Trial
from harness.methods.linear_probe import linear_probe
from harness.registry import BACKBONES
from harness.store import Store
from harness.store.records import StageRecord
from tests.training.places import run_stages
from tests.training.prompt_toys import save_model, squares

PLUGIN = """
from __future__ import annotations

import harness
from harness.tasks.base import Task
from tests.training.prompt_toys import squares


@harness.task("squares_a")
def squares_a() -> Task:
    \"\"\"Three colours.\"\"\"
    return squares("a", 3)


@harness.task("squares_b")
def squares_b() -> Task:
    \"\"\"Two other colours.\"\"\"
    return squares("b", 2)
"""

STUDY = """
study: prompts_in_small
plugins: [./colours.py]
targets: [squares_a, squares_b]
sources: [squares_a, squares_b]
backbones: [{{backbone: clip, model: {folder}, as: folder}}]
methods: [coop, vpt]
seeds: [1]
on_untrained_source: run
checkpoint: {{keep: best}}
params: {{shots: 5, epochs: 3, lr: 0.05, context: 2, visual: 2, warm_up: 0}}
baselines: {{own: {{source: none}}}}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("study")
    model = save_model(folder / "model", size=8, patch=4, layers=1)
    (folder / "colours.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY.format(folder=model), encoding="utf-8")
    study = load_study(folder / "study.yaml")
    summary = run(study, results=folder / "results", in_process=True, progress="none")
    assert summary.failed == summary.skipped == 0
    assert run(study, results=folder / "results", in_process=True, progress="none").stages_run == 0, "all is done"
    return Store.open(folder / "results")


def test_a_linear_probe_reads_the_vision_tower_of_a_folder(tmp_path: Path) -> None:
    """The method that knows nothing of texts takes the same backbone; its features are the library's embeddings."""
    backbone = BACKBONES.get("clip")(str(save_model(tmp_path / "model", size=8, patch=4, layers=1)))
    task = squares("a", 3)
    terminal = linear_probe(Trial(Untrained(), task, backbone), l2=1e-4)
    results = run_stages([terminal])
    features = results[terminal.arguments["features"][0].key].tensors["features"]
    loaded = backbone.load(None)
    with torch.no_grad():
        expected = encode_picture_tokens(loaded.model, loaded.tokens_of(task.split("test").inputs))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert results[terminal.key].rows[0].value > 0.6


def of_kind(store: Store, kind: str) -> list[StageRecord]:
    return [record for record in store.records().values() if record.kind == kind]


def test_each_source_is_trained_once_and_is_its_own_baseline(store: Store) -> None:
    assert len(of_kind(store, "learn_prompt")) == 2 * 2, "two tasks, two methods"
    assert len(of_kind(store, "adapt_prompt")) == 2 * 4
    assert len(of_kind(store, "evaluate_prompt")) == 2 * (4 + 2)


def test_the_row_of_a_target_names_the_digest_of_the_prompt_that_it_began_from(store: Store) -> None:
    sources = {record.key: record for record in of_kind(store, "learn_prompt")}
    begun = []
    for adapted in of_kind(store, "adapt_prompt"):
        named = {key: digest for key, digest in json.loads(adapted.inputs).items() if key in sources}
        ((key, digest),) = named.items()
        artifact = sources[key].artifact
        assert artifact is not None and digest == artifact.sha256
        begun.append(key)
    assert sorted(begun) == sorted([*sources, *sources]), "each source begins both targets"


def test_two_sources_on_one_target_have_rows_of_their_own(store: Store) -> None:
    measured = of_kind(store, "evaluate_prompt")
    assert len({record.key for record in measured}) == len(measured) == 12
    for record in measured:
        (row,) = store.measurements(record.key)
        assert row.metric == "accuracy" and row.n_eval == 24 and row.value is not None
