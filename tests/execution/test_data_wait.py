"""How a training learns of its cores for loading, and how the share of time that it waited gets into its record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.execution.calls import travelling
from harness.execution.context import Context, Place
from harness.execution.messages import Call, Reply, Result, Spec
from harness.execution.rows import RowMaker
from harness.execution.worker import Worker, WorkerSetup
from harness.graph import BatchContext, Diverged, Measurements, Stage, StageContext, StageKind
from harness.graph import stage as declare
from harness.store import Group
from tests.execution.lab import toys


def waiting(batched: bool) -> StageKind[Any, Any]:
    """A stage that waits for a share of its time, as many hundredths as its index; it diverges at 99."""

    def waited(index: int, *, ctx: StageContext) -> Measurements:
        if index < 100:
            ctx.waited(index / 100)
        if index == 99:
            raise Diverged("too far")
        return toys.measured(float(ctx.loaders))

    waited.__annotations__.update({"return": Measurements, "index": int})
    kind = declare(version=1, name=f"waited{time.monotonic_ns()}")(waited)
    if batched:

        @kind.batched(width=4, group=lambda arguments: 0)
        def batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> list[Any]:
            made: list[Any] = []
            for member, own in zip(members, ctx.members, strict=True):
                try:
                    made.append(waited(**member, ctx=own))
                except Diverged as error:
                    made.append(error)
            return made

    return kind


def run(folder: Path, stages: Sequence[Stage], loaders: int = 0) -> Reply:
    worker = Worker(WorkerSetup("w", folder / "store", disk_cache=folder / "cache", loaders=loaders))
    specs = [
        Spec(one.key, one.kind, travelling(one.values), (), None if one.kind.batch is None else one.group())
        for one in stages
    ]
    return worker.run(Call(1, (tuple(specs),), {}))


@pytest.mark.parametrize("batched", [False, True])
def test_each_stage_has_its_own_share(tmp_path: Path, batched: bool) -> None:
    kind = waiting(batched)
    stages = [kind.bind(index=index) for index in (3, 50, 99, 100)]
    reply = run(tmp_path, stages)
    found: dict[str, Result] = {result.key: result for result in reply.results}
    assert [found[one.key].data_wait for one in stages] == [0.03, 0.5, 0.99, None]
    assert [found[one.key].status for one in stages] == ["ok", "ok", "diverged", "ok"]
    group, rows = Group(), RowMaker(code_of=lambda _: "c", keep_of=lambda one: one.kind.keep)
    for one in stages:
        rows.completed(group, one, found[one.key], reply, {})
    assert [record.data_wait for record in group.records] == [0.03, 0.5, 0.99, None]
    assert not group.curves, "no curve and no measurement says it"


@pytest.mark.parametrize("loaders", [0, 3])
def test_a_stage_is_told_its_cores_for_loading(tmp_path: Path, loaders: int) -> None:
    (result,) = run(tmp_path, [waiting(False).bind(index=1)], loaders).results
    assert result.rows is not None and result.rows[0].value == loaders
    assert Context(Place(tmp_path, None), "k").loaders == 0  # type: ignore[arg-type]  # no memory is needed
