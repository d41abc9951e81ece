"""A study that names people, machines and places wherever it can, with outcomes that were made up and not computed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import harness.api
from harness.store import AttemptRow, CurveRow, Group, MeasurementRow, StageRecord, Store
from harness.study import task_attributes

USER, HOST, HOME = "mmuster", "alpha17.cluster.example.edu", "/nfs/people/mmuster"
BASE = """\
description: Which digits help? Asked by M. Muster <mmuster@example.edu> on alpha17, data in /nfs/people/mmuster/digits
backbones: [mlp]
seeds: [0, 1]
"""
STUDY = """\
study: mmuster_digits
extends: ../mmuster/base.yaml
plugins: [./mmuster_tasks.py]
sources: [digits_flip, "bundled_digits(path=/nfs/people/mmuster/digits)", "bundled_digits(path=/srv/shared/digits)"]
targets: [digits_upright]
methods: [{method: linear_probe, as: mmuster_probe}]
analyses: [{kind: matrix, name: accuracy of mmuster, rows: source, cols: target}]
"""
PLUGIN = '''\
"""Digits in a folder. Written by mmuster at alpha17.cluster.example.edu; see /nfs/people/mmuster/notes.txt."""

from __future__ import annotations

import dataclasses

from harness.tasks.base import Task, task
from harness.tasks.digits import digits_flip


@task("bundled_digits")
def bundled_digits(path: str = "/nfs/people/mmuster/digits") -> Task:
    """Digits from a folder."""
    return dataclasses.replace(digits_flip(), data={"of": "digits", "path": path})
'''
ERROR = f"""\
Traceback (most recent call last):
  File "{HOME}/code/my loop.py", line 3, in step (pid=77, ip=10.20.30.40, host={HOST})
  File "/opt/conda/envs/mmuster/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1
FileNotFoundError: '/scratch/mmuster/features.bin' (as erika: /Users/erika/x)
"""


@dataclass(frozen=True)
class Made:
    """The study's file, the results folder, and everything that an anonymous bundle must not hold."""

    file: Path
    results: Path
    needles: tuple[str, ...]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield _made(tmp_path_factory.mktemp("made"), monkeypatch)


def _made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    for name in ("USER", "USERNAME", "LOGNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setattr(platform, "node", lambda: HOST)
    monkeypatch.setattr(Path, "home", lambda: Path(HOME))
    monkeypatch.delitem(sys.modules, "harness_plugin_mmuster_tasks", raising=False)
    (tmp_path / "mmuster").mkdir()
    (tmp_path / "studies of mmuster").mkdir()
    (tmp_path / "mmuster" / "base.yaml").write_text(BASE)
    file = tmp_path / "studies of mmuster" / "digits.yaml"
    file.write_text(STUDY)
    (file.parent / "mmuster_tasks.py").write_text(PLUGIN)
    results = tmp_path / "results of mmuster"
    fill(file, results)
    needles = (USER, "muster_", HOST, "alpha17", "cluster.example.edu", HOME, str(tmp_path), "/opt/conda", "/scratch/",
               "/srv/", "10.20.30.40", "erika", str(Path(harness.__file__).parents[1]))  # fmt: skip
    return Made(file, results, needles)


def fill(file: Path, results: Path) -> None:
    """Plan the study and make up what its stages left: the last trial failed, the others measured something."""
    study = harness.api.load_study(file)
    plan = harness.api.plan(study, results)
    store = Store.open(results, create=True)
    columns = plan.trial_columns()
    store.write_trials(study.name, columns, plan.graph.nodes)
    run = store.provenance(
        study.resolved(), {"d1": {"mmuster_tasks": "00", f"{HOME}/x.py": "11"}}, task_attributes(study)
    )
    log = "logs/run/mmuster-alpha17.log"
    (store.root / log).parent.mkdir(parents=True)
    (store.root / log).write_text(f"worker on {HOST}\n{ERROR}")
    group = Group()
    keys = list(dict.fromkeys(columns["key"]))
    for place, key in enumerate(keys[:-1]):
        stage = plan.graph.nodes[key]
        header = {"from": f"{HOME}/init.safetensors", "by": USER}
        ref = store.artifacts.put(key, {f"w of {USER}": torch.tensor([place / 8])}, header)
        row = StageRecord(key, "evaluate", artifact=ref, provenance=run, preimage=stage.preimage(), device="cpu")
        row.flags, row.value = (f"seen by {USER}",), f'{{"cache": "{HOME}/cache"}}'
        group.records.append(row)
        group.measurements.append(
            MeasurementRow(key, row.attempt, "digits_upright", "test", "accuracy", place / 8, 100)
        )
        group.curves += [CurveRow(key, row.attempt, f"{USER}/loss", step, 1.0 / (step + 1)) for step in range(3)]
    reason = f"FileNotFoundError: {HOME}/x is not on {HOST}"
    group.attempts.append(AttemptRow(keys[-1], "evaluate", "a" * 32, "failed", reason, ERROR, log, writer=store.writer))
    store.commit(group)
    (results / study.name).mkdir()
    (results / study.name / "study.lock.json").write_text(f'{{"format": 1, "tasks": {{"{HOME}/digits": "{USER}"}}}}\n')
