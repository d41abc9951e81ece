"""Outputs of a frozen network's layers on a split: computed once, read by every probe, estimator and frozen prefix.

A task says by its identity which data, resolution and transform it is, so a stage on it is keyed by backbone, weights,
layer, task, split, resolution, transform and type of number. Its artifact is kept in the node's cache and read from
there as a memory-mapped file.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from harness.backbones.base import Backbone
from harness.backbones.layered import body, layer_names, prefix, suffix
from harness.backbones.pretrained import Pretrained
from harness.backbones.transformers_text import TextBackbone
from harness.errors import HarnessError
from harness.graph import BatchContext, Features, StageContext, Weights, stage
from harness.tasks.base import Inputs, Task
from harness.training.alone import one_by_one
from harness.training.data import load_split
from harness.training.frozen import load_network, section_parameters
from harness.training.numerics import applied, parameter_type
from harness.training.rules import STANDARD_NUMERICS, Numerics

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTH: Final = 8

MOST_NUMBERS: Final = 2**20
"""Input numbers that a network sees at a time: what its layers make of them then stays in a processor's caches."""

MOST_EXAMPLES: Final = 1024
MOST_TEXTS: Final = 64
LENGTH_STEP: Final = 16
"""Texts are cut to a multiple of this many tokens, so that few shapes of work are met."""


@stage(version=1, keep="cache", needs_trained=("weights", "below"))
def extract_features(
    task: Task,
    split: str,
    weights: Weights | None = None,
    backbone: Backbone | None = None,
    layer: str | None = None,
    below: Features | None = None,
    dtype: Literal["float32", "float16", "float64"] = "float32",
    numerics: Numerics = STANDARD_NUMERICS,
    *,
    ctx: StageContext,
) -> Features:
    """Return what a layer of a frozen network puts out for one split: `features` [n, ...], `labels` [n].

    weights: None means those that the backbone comes with.  backbone: None means no network at all: the inputs
    themselves, flattened.  layer: None means what the head sees, [n, width].  below: outputs of an earlier layer of the
    same network to go on from, instead of the task's inputs.
    Raises HarnessError for a backbone without weights of its own when none are given, and for inputs that it is not
    to be used on.
    """
    import torch

    header: dict[str, Any] = {"task": task.name, "split": split, "flags": _flags(task, backbone, weights)}
    header |= {} if layer is None else {"layer": layer}
    data = load_split(task, split, ctx)
    if backbone is None:
        inputs = data.inputs[:].flatten(1).to(torch.float64 if dtype == "float64" else torch.float32)
        return Features({"features": _narrowed(inputs, dtype), "labels": data.labels}, header)
    if weights is None and not isinstance(backbone, Pretrained):
        raise HarnessError(f"{backbone.name} comes without weights: name a source that gives it some")
    network = load_network(backbone, task.input_shape, numerics, ctx)
    section = body(network) if layer is None else prefix(network, layer)
    section = section if below is None else _above(section, below)
    inputs = data.inputs if below is None else below.tensors["features"]
    texts = _texts(backbone, below)
    with applied(numerics, ctx.device):
        parameters, wide = section_parameters(section, weights), dtype == "float64"
        outputs = run_frozen(section, inputs, parameters, ctx, numerics, texts=texts, wide=wide)
    made = outputs.flatten(1) if layer is None else outputs
    return Features({"features": _narrowed(made, dtype), "labels": data.labels}, header)


def _group(arguments: Mapping[str, Any]) -> Hashable:
    return arguments["backbone"], arguments["task"].input_shape, arguments["numerics"]


@extract_features.batched(width=WIDTH, group=_group)
def extract_batch(members: Sequence[Mapping[str, Any]], ctx: BatchContext) -> Sequence[Features | Exception]:
    """Extract for several networks or splits in one call, one after the other."""
    return one_by_one(extract_features, members, ctx)


def run_frozen(
    section: nn.Sequential,
    inputs: Inputs,
    parameters: Mapping[str, Tensor],
    ctx: StageContext,
    numerics: Numerics,
    *,
    texts: int | None = None,
    wide: bool = False,
) -> Tensor:
    """Return what some layers make of inputs [n, ...] with `parameters` in place of their own, on the CPU.

    Pieces have one size, the last filled up, so that an example's result does not depend on how many there are.
    texts: the number that stands for padding when the inputs are token numbers; they are then taken by length.
    wide: whether results are float64; float32 otherwise.
    """
    import torch
    from torch.func import functional_call

    kind = parameter_type(numerics)

    def run(piece: Tensor) -> Tensor:
        ready = piece.to(ctx.device, piece.dtype if texts is not None else kind)
        ready = ready.contiguous(memory_format=torch.channels_last) if ready.ndim == 4 else ready
        result: Tensor = functional_call(section, dict(parameters), (ready,))
        return result.to(torch.float64 if wide else torch.float32).cpu()

    with torch.inference_mode():
        if texts is None:
            return torch.cat(list(_pieces(run, inputs, _piece_size(inputs), ctx))).clone()
        return _by_length(run, inputs[:], texts, ctx).clone()


def _pieces(run: Callable[[Tensor], Tensor], inputs: Inputs, size: int, ctx: StageContext) -> Any:
    for start in range(0, inputs.shape[0], size):
        piece = inputs[start : start + size]
        missing = size - piece.shape[0]
        filled = piece if not missing else piece[[*range(piece.shape[0]), *[0] * missing]]
        yield run(filled)[: piece.shape[0]].contiguous()
        ctx.progress(start + piece.shape[0], inputs.shape[0])


def _piece_size(inputs: Inputs) -> int:
    """A power of two."""
    most = max(1, MOST_NUMBERS // max(1, int(inputs[:1].numel())))
    return min(MOST_EXAMPLES, 1 << (most.bit_length() - 1))


def _by_length(run: Callable[[Tensor], Tensor], tokens: Tensor, padding: int, ctx: StageContext) -> Tensor:
    """Run texts of like length together, without the padding that all of them have; zeros stand where it was."""
    import torch

    lengths = tokens.ne(padding).sum(1)
    order = lengths.argsort(stable=True)
    result: Tensor | None = None
    for start in range(0, len(order), MOST_TEXTS):
        rows = order[start : start + MOST_TEXTS]
        longest = int(lengths[rows].max())
        cut = min(tokens.shape[1], -(-longest // LENGTH_STEP) * LENGTH_STEP)
        filled = torch.cat([rows, rows[:1].expand(MOST_TEXTS - len(rows))])
        made = run(tokens[filled, :cut])[: len(rows)]
        if result is None:
            whole = tokens.shape[1:] if made.ndim == 3 else made.shape[1:2]
            result = made.new_zeros((len(order), *whole, *made.shape[2:]))
        if made.ndim == 3:
            result[rows, :cut] = made
        else:
            result[rows] = made
        ctx.progress(start + len(rows), len(order))
    assert result is not None
    return result


def _above(section: nn.Sequential, below: Features) -> nn.Sequential:
    layer = below.header.get("layer")
    if layer is None:
        raise HarnessError("features cannot be gone on from: give the outputs of a named layer")
    if layer not in layer_names(section)[:-1]:
        raise HarnessError(f"{layer!r} is not below the layer asked for")
    return suffix(section, str(layer))


def _texts(backbone: Backbone, below: Features | None) -> int | None:
    return backbone.padding if isinstance(backbone, TextBackbone) and below is None else None


def _flags(task: Task, backbone: Backbone | None, weights: Weights | None) -> list[str]:
    """What is known against the weights, and against showing such inputs to such a network."""
    known = [] if weights is None else list(weights.header.get("flags", ()))
    return known + (list(backbone.check(task.input_shape)) if isinstance(backbone, Pretrained) else [])


def _narrowed(outputs: Tensor, dtype: str) -> Tensor:
    """Raises HarnessError when a finite number is none any more in half precision."""
    if dtype != "float16":
        return outputs
    narrow = outputs.half()
    if bool((narrow.isinf() & outputs.isfinite()).any()):
        raise HarnessError("an activation is too large for float16: keep it as float32")
    return narrow
