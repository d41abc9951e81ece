"""Stages for the tests of execution. Loaded as a plugin file, so that workers get it the way they get a user's."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.graph import (
    BatchContext,
    Diverged,
    Measurement,
    Measurements,
    Resources,
    StageContext,
    Stopped,
    Value,
    Weights,
    stage,
)


def measured(value: float, task: str = "toy", split: str = "test") -> Measurements:
    return Measurements((Measurement("accuracy", value, split, task, n_eval=10),))


@stage(version=1)
def base(seed: int, size: int = 4, flag: str = "", *, ctx: StageContext) -> Weights:
    import torch

    if flag:
        ctx.flag(flag)
    return Weights({"w": torch.randn(size, generator=ctx.generator("initialisation", seed))}, {"seed": seed})


@stage(version=1, keep="transient", needs_trained=("init",))
def tune(init: Weights, lr: float = 0.1, seed: int = 0, *, ctx: StageContext) -> Weights:
    return _tuned(init, lr, seed, ctx)


def _tuned(init: Weights, lr: float, seed: int, ctx: StageContext) -> Weights:
    import torch

    if lr > 100:
        raise Diverged(f"loss is nan at lr {lr:g}")
    w = init.tensors["w"].clone()
    noise = torch.randn(w.shape, generator=ctx.generator("order", seed))
    for step in range(3):
        w = w - lr * (w - noise)
        ctx.curve("loss", step, float((w - noise).square().sum()))
    return Weights({"w": w})


@tune.batched(width=4, group=lambda arguments: None)
def tune_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> list[Any]:
    assert len(members) == 4 and len(ctx.members) == 4
    found: list[Any] = []
    for member, place in zip(members, ctx.members, strict=True):
        try:
            found.append(_tuned(member["init"], member["lr"], member["seed"], place))
        except Diverged as error:
            found.append(error)
    return found


@stage(version=1)
def score(net: Weights, task: str = "toy", split: str = "test") -> Measurements:
    return measured(float(net.tensors["w"].sum()), task, split)


@stage(version=1, tolerates=("scores",))
def pick(scores: tuple[Measurements, ...]) -> Value:
    values = [float("-inf") if item is None else item.rows[0].value for item in scores]
    return Value({"index": values.index(max(values))})


@stage(version=1, keep="cache")
def features(net: Weights, log: str = "") -> Weights:
    if log:
        with open(log, "a") as file:
            file.write("made\n")
    time.sleep(0.01)
    return Weights({"f": net.tensors["w"] * 2})


@stage(version=1)
def read_features(found: Weights, task: str = "toy") -> Measurements:
    return measured(float(found.tensors["f"].sum()), task)


@stage(version=1)
def noop(index: int) -> Measurements:
    return measured(float(index))


@stage(version=1)
def fussy(index: int, how: str = "ok", marker: str = "") -> Measurements:
    """Does something bad on request; with ``marker``, only while that file does not exist."""
    if not marker or not Path(marker).exists():
        _misbehave(how, marker)
    return measured(float(index))


def _misbehave(how: str, marker: str) -> None:
    if marker:
        Path(marker).touch()
    if how == "exit":
        os._exit(7)
    if how == "raise":
        raise ValueError("this stage always fails")
    if how == "nan":
        raise Diverged("loss is nan")
    if how == "memory":
        raise MemoryError("no memory for this")
    if how == "hang":
        for _ in range(100_000):  # in small pieces: a signal that another thread receives does not end a sleep
            time.sleep(0.01)


@stage(version=1)
def herd(index: int, how: str = "ok") -> Measurements:
    return fussy.function(index, how)


@herd.batched(width=8, group=lambda arguments: None)
def herd_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> list[Measurements]:
    return [fussy.function(**member) for member in members]


@stage(version=1, accumulates=True)
def hungry(index: int, fits: int, micro: int = 1) -> Measurements:
    raise AssertionError("always batched")


@hungry.batched(width=8, group=lambda arguments: arguments["fits"])
def hungry_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> list[Measurements]:
    """Fits in memory when at most ``fits`` members run together in at least ``micro`` micro-batches."""
    if len(members) > members[0]["fits"] or ctx.micro_batches < members[0]["micro"]:
        raise MemoryError("out of memory (simulated)")
    return [measured(float(member["index"])) for member in members]


@stage(version=1)
def patient(index: int, steps: int, log: str, pause: float = 0.05, *, ctx: StageContext) -> Measurements:
    """Takes ``steps`` steps, saving its state when asked to stop; logs each step that it takes."""
    import torch

    state = ctx.checkpoint.load()
    first = 0 if state is None else int(state[1]["step"])
    total = torch.zeros(()) if state is None else state[0]["total"]
    for step in range(first, steps):
        if ctx.should_stop():
            ctx.checkpoint.save({"total": total}, {"step": step})
            raise Stopped
        with open(log, "a") as file:
            file.write(f"{index} {step}\n")
        time.sleep(pause)
        total = total + step
        ctx.progress(step + 1, steps)
    return measured(float(total))


@stage(version=1)
def held(index: int, steps: int, log: str, hold_at: int, gate: str, *, ctx: StageContext) -> Measurements:
    """Like `patient`, without pauses; but before step ``hold_at`` it waits for a file to be there, or to be stopped."""
    import torch

    state = ctx.checkpoint.load()
    first = 0 if state is None else int(state[1]["step"])
    total = torch.zeros(()) if state is None else state[0]["total"]
    for step in range(first, steps):
        while step == hold_at and not Path(gate).exists() and not ctx.should_stop():
            time.sleep(0.02)
        if ctx.should_stop():
            ctx.checkpoint.save({"total": total}, {"step": step})
            raise Stopped
        with open(log, "a") as file:
            file.write(f"{index} {step}\n")
        total = total + step
    return measured(float(total))


@stage(version=1)
def meeting(index: int, of: int, folder: str, patience: float = 600.0) -> Measurements:
    """Ends when ``of`` stages have begun; measures the last number of its node's address."""
    import ray

    Path(folder).mkdir(exist_ok=True)
    Path(folder, str(index)).touch()
    end = time.monotonic() + patience
    while len(os.listdir(folder)) < of:
        time.sleep(0.02)
        if time.monotonic() > end:
            raise TimeoutError("the others did not come")
    return measured(float(ray.util.get_node_ip_address().rpartition(".")[2]))


@stage(version=1)
def where(index: int, pause: float = 0.0) -> Measurements:
    """Measures the process that ran it."""
    time.sleep(pause)
    return measured(float(os.getpid()))


@stage(version=1, resources=Resources(cpus=1.0, world=2))
def gathered(index: int, *, ctx: StageContext) -> Weights:
    """Sums over the ranks of a gang what each contributes."""
    import torch
    from torch import distributed

    assert ctx.world is not None
    distributed.init_process_group(
        "gloo", init_method=f"tcp://{ctx.world.address}", rank=ctx.world.rank, world_size=ctx.world.size
    )
    total = torch.tensor([10.0**ctx.world.rank * (index + 1)])
    distributed.all_reduce(total)
    distributed.destroy_process_group()
    return Weights({"w": total})


@stage(version=1)
def large(megabytes: int) -> Weights:
    import torch

    return Weights({"w": torch.zeros(megabytes, 2**18)})


@stage(version=1)
def loner(net: Weights, pause: float = 0.0) -> Measurements:
    time.sleep(pause)
    return measured(float(os.getpid()), split="process")
