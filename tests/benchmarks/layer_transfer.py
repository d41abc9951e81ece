"""Layer transfer with everything shared against each cell on its own; and trainings of upper layers, many at a time.

    python tests/benchmarks/layer_transfer.py [--seeds 1] [--layers 1,3,5,7]
    python tests/benchmarks/layer_transfer.py --throughput --device cuda [--widths 1,8,64]

The first runs part of studies/layer_transfer/mini.yaml (one split, both halves) as a study in this process, then one
cell of each treatment and depth on its own: its source trained for it, the frozen layers run at every step, nothing
kept from another cell but loaded data. Prints CPU seconds (one thread) a cell, the ratio for each treatment, and which
stages the study's time went to. A stage that several cells share counts for each of them in equal parts.

The second trains the layers above each cut on random inputs, one network at a time and `width` as one program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from alone import compute  # noqa: E402  # found by the path set above

STUDY = ROOT / "studies" / "layer_transfer" / "mini.yaml"
HALF = "half(of=at_most(of=fashion_mnist(size=28), n=200), split=0, side={side})"
MEMORY = 4 << 30


@dataclass(frozen=True)
class Cell:
    """A trial of the study: its treatment and how many layers it copies."""

    treatment: str
    layers: int


def cells_of(study: str, seeds: int, only: tuple[str, ...]) -> dict[str, tuple[Cell, Any]]:
    """The cells with copied layers by trial id, each with its terminal stage."""
    import harness
    from harness.planning.trials import plan_block
    from harness.study import expand

    found: dict[str, tuple[Cell, Any]] = {}
    for block in expand(harness.load_study(study, sets=[f"seeds={list(range(seeds))}"], only=only)).blocks:
        planned = plan_block(block)
        labels = _labels(block)
        for row, (identifier, terminal) in enumerate(zip(planned.ids, planned.terminals, strict=True)):
            if block.role == "outcome" and block.method == "layer_transfer":
                found[identifier] = (_cell(labels[row]), terminal)
    return found


def _labels(block: Any) -> list[dict[str, Any]]:
    """The axis values of each trial of a block, with its fixed parameters."""
    rows = []
    for position, row in enumerate(block.rows):
        own = {axis.name: axis.labels[place] for axis, place in zip(block.axes, row, strict=True)}
        rows.append({**block.settings[int(block.setting[position])].params, **own})
    return rows


def _cell(labels: Mapping[str, Any]) -> Cell:
    kind = "random" if labels["source"] == "untrained" else "BnB" if labels["source"] == labels["target"] else "AnB"
    return Cell(kind if labels["frozen"] else f"{kind}+", int(labels["layers"]))


def together(only: tuple[str, ...], seeds: int, cells: Mapping[str, tuple[Cell, Any]]) -> dict[Cell, list[float]]:
    """Run the study's part and return, for each kind of cell, the CPU seconds of every one; print the stage kinds."""
    import harness

    with tempfile.TemporaryDirectory() as folder:
        study = harness.load_study(STUDY, sets=[f"seeds={list(range(seeds))}"], only=only)
        wall, cpu = time.perf_counter(), time.process_time()
        with clocked_stages() as (seconds, kinds):
            harness.run(study, Path(folder) / "results", in_process=True, disk_cache=Path(folder) / "cache")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"study: {len(cells)} cells with copied layers and their baselines, {cpu:.0f} s CPU, {wall:.0f} s wall")
    for kind, found in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        print(f"  {kind:<18}{len(found):>6} calls {sum(found):>8.1f} s CPU")
    print(f"  {'everything else':<18}{'':>12} {cpu - sum(seconds.values()):>8.1f} s CPU")
    return _shares(cells, seconds)


@contextlib.contextmanager
def clocked_stages() -> Iterator[tuple[dict[str, float], dict[str, list[float]]]]:
    """Note the CPU seconds of every stage that this process runs, by key and by kind; a batch is shared out equally."""
    from harness.execution import worker

    seconds: dict[str, float] = defaultdict(float)
    kinds: dict[str, list[float]] = defaultdict(list)
    inner = worker._call

    def clocked(kind: Any, members: Any, *rest: Any) -> Any:
        started = time.process_time()
        try:
            return inner(kind, members, *rest)
        finally:
            each = (time.process_time() - started) / len(members)
            kinds[kind.name].extend([each] * len(members))
            for member in members:
                seconds[member.spec.key] += each

    worker._call = clocked
    try:
        yield seconds, kinds
    finally:
        worker._call = inner


def _shares(cells: Mapping[str, tuple[Cell, Any]], seconds: Mapping[str, float]) -> dict[Cell, list[float]]:
    """Each cell's own stages and its part of the stages that it shares."""
    needed = {identifier: _reached(terminal) for identifier, (_, terminal) in cells.items()}
    readers: dict[str, int] = defaultdict(int)
    for keys in needed.values():
        for key in keys:
            readers[key] += 1
    found: dict[Cell, list[float]] = defaultdict(list)
    for identifier, (cell, _) in cells.items():
        found[cell].append(sum(seconds.get(key, 0.0) / readers[key] for key in needed[identifier]))
    return found


def _reached(terminal: Any) -> set[str]:
    found, waiting = set(), [terminal]
    while waiting:
        stage = waiting.pop()
        if stage.key not in found:
            found.add(stage.key)
            waiting.extend(stage.inputs)
    return found


def alone(only: tuple[str, ...], wanted: Sequence[Cell]) -> dict[Cell, float]:
    """CPU seconds of one cell of each kind by itself: its source, then its training with nothing kept."""
    from harness.execution.cache import MemoryCache
    from harness.execution.context import Place

    plain = cells_of(_without_cache(), 1, only)
    first = dict(plain.values())
    found: dict[Cell, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(Path(scratch), MemoryCache(MEMORY))
        for cell in wanted:
            if not found:
                compute(first[cell], place, {})  # loads the data and warms up
            cpu = time.process_time()
            compute(first[cell], place, {})
            found[cell] = time.process_time() - cpu
    return found


def _without_cache() -> str:
    """A study file that says to keep nothing of frozen layers, beside the one that it is made of."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "alone.yaml"
    path.write_text(f"extends: {json.dumps(str(STUDY))}\nparams: {{cache: false}}\n", encoding="utf-8")
    return str(path)


def compare(seeds: int, layers: Sequence[int]) -> None:
    """Print CPU seconds a cell with sharing and alone, by treatment and depth."""
    import torch

    torch.set_num_threads(1)
    halves = ",".join(HALF.format(side=side) for side in "ab")
    only = (f"target={halves}", f"layers={','.join(map(str, layers))}")
    cells = cells_of(str(STUDY), seeds, only)
    shared = together(only, seeds, cells)
    order = sorted(shared, key=lambda cell: (cell.treatment, cell.layers))
    own = alone(only, order)
    print(f"{'treatment':<10}{'n':>3}{'shared':>9}{'alone':>9}{'ratio':>8}   (CPU seconds a cell)")
    for cell in order:
        mean = sum(shared[cell]) / len(shared[cell])
        print(f"{cell.treatment:<10}{cell.layers:>3}{mean:>9.2f}{own[cell]:>9.2f}{own[cell] / mean:>7.1f}x")
    for treatment in dict.fromkeys(cell.treatment for cell in order):
        these = [cell for cell in order if cell.treatment == treatment]
        total = sum(sum(shared[cell]) for cell in these)
        apart = sum(own[cell] * len(shared[cell]) for cell in these)
        print(f"{treatment:<10}all{total:>9.1f}{apart:>9.1f}{apart / total:>7.1f}x")


# --- throughput of upper layers ---------------------------------------------------------------------------------------


def throughput(device: str, widths: Sequence[int], layers: Sequence[int], steps: int) -> None:
    """Print steps a second of the layers above each cut, one network after the other and `width` as one program."""
    import torch

    from harness.backbones.small_alexnet import SmallAlexNet

    torch.set_num_threads(1)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    name = torch.cuda.get_device_name(0) if device.startswith("cuda") else "CPU, one thread"
    print(f"{name}: steps of one network a second, batches of 50, above the first n layers")
    print(f"{'n':>3}" + "".join(f"{f'{width} at a time':>16}" for width in widths) + f"{'best / first':>14}")
    for cut in layers:
        rates = [_rate(SmallAlexNet(), cut, width, device, steps) for width in widths]
        print(f"{cut:>3}" + "".join(f"{rate:>16,.0f}" for rate in rates) + f"{max(rates) / rates[0]:>13.1f}x")


def _rate(backbone: Any, cut: int, width: int, device: str, steps: int) -> float:
    import torch

    from harness.training.networks import fresh, shape_above, stack, stacked_network
    from harness.training.optimisers import StackedOptimiser
    from harness.training.settings import Optimiser

    shape = (3, 28, 28)
    network = stacked_network(backbone, shape, 5, False, cut)
    drawn = fresh(backbone, 5, shape, torch.Generator().manual_seed(0))
    members = [{name: drawn[name] for name in network.names}] * width
    parameters = {name: tensor.to(device) for name, tensor in stack(members).items()}
    optimiser = StackedOptimiser(parameters, [Optimiser(lr=0.01, clip=1.0)] * width)
    inputs = torch.rand(width, 50, *shape_above(backbone, shape, cut), device=device)
    labels = torch.randint(0, 5, (width, 50), device=device)

    def step(number: int) -> None:
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in parameters.items()}
        logits = network(leaves, inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / 50
        optimiser.step(parameters, torch.autograd.grad(loss, list(leaves.values())), number, 1.0)

    for number in range(3):
        step(number)
    _wait(device)
    started = time.perf_counter()
    for number in range(steps):
        step(number)
    _wait(device)
    return steps * width / (time.perf_counter() - started)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of the study's part")
    parser.add_argument("--layers", default="1,3,5,7", help="depths")
    parser.add_argument("--throughput", action="store_true", help="only the steps a second of upper layers")
    parser.add_argument("--device", default="cpu", help="of the throughput")
    parser.add_argument("--widths", default="1,8,32", help="of the throughput")
    parser.add_argument("--steps", type=int, default=20, help="of the throughput")
    given = parser.parse_args()
    layers = [int(part) for part in given.layers.split(",")]
    if given.throughput or given.device != "cpu":
        throughput(given.device, [int(part) for part in given.widths.split(",")], layers, given.steps)
    else:
        compare(given.seeds, layers)


if __name__ == "__main__":
    main()
