"""One way to use any network of named layers: features, activations at any depth, and going on from there.

A network is a Sequential whose children are its layers in order, the head last. What flows between two layers is one
tensor [n, ...], so a prefix can be frozen, its output kept, and the rest run from it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.backbones.base import HEAD
from harness.errors import HarnessError, suggest

if TYPE_CHECKING:
    from torch import Tensor, nn


def layer_names(network: nn.Sequential) -> tuple[str, ...]:
    """Return the names of the layers from input to output."""
    return tuple(name for name, _ in network.named_children())


def prefix(network: nn.Sequential, layer: str) -> nn.Sequential:
    """Return the layers up to and including `layer`, sharing their parameters; every name stays what it was.

    Raises HarnessError when there is no such layer.
    """
    return _cut(network, slice(0, place_of(network, layer) + 1))


def suffix(network: nn.Sequential, layer: str) -> nn.Sequential:
    """Return the layers after `layer`, sharing their parameters; every name stays what it was.

    Raises HarnessError when there is no such layer.
    """
    return _cut(network, slice(place_of(network, layer) + 1, None))


def body(network: nn.Sequential) -> nn.Sequential:
    """Return all layers but the head: what maps inputs to features."""
    return _cut(network, slice(0, -1)) if layer_names(network)[-1] == HEAD else network


def features(network: nn.Sequential, inputs: Tensor) -> Tensor:
    """Return what the head would see of inputs [n, ...]: [n, feature_width]."""
    result: Tensor = body(network)(inputs)
    return result.flatten(1)


def activations(network: nn.Sequential, inputs: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """Return the outputs of some layers for inputs [n, ...], all from one pass that ends at the last of them.

    Raises HarnessError when there is no such layer.
    """
    wanted = list(layers)
    last = max(place_of(network, name) for name in wanted)
    found: dict[str, Tensor] = {}
    flowing = inputs
    for place, (name, layer) in enumerate(network.named_children()):
        if place > last:
            break
        flowing = layer(flowing)
        if name in wanted:
            found[name] = flowing
    return {name: found[name] for name in wanted}


def forward_from(network: nn.Sequential, layer: str, outputs: Tensor) -> Tensor:
    """Return the network's result, given what `layer` put out; equal to the result for the inputs behind it.

    Raises HarnessError when there is no such layer.
    """
    result: Tensor = suffix(network, layer)(outputs)
    return result


def prefix_parameters(names: Sequence[str], layer: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those parameters, by name, that belong to the layers up to and including `layer` of layers `names`."""
    kept = set(names[: _place(names, layer) + 1])
    return {name: tensor for name, tensor in tensors.items() if name.split(".", 1)[0] in kept}


def place_of(network: nn.Sequential, layer: str) -> int:
    """Return the position of a layer, from 0. Raises HarnessError when there is no such layer."""
    return _place(layer_names(network), layer)


def _cut(network: nn.Sequential, which: slice) -> nn.Sequential:
    part: Any = network[which]
    kept: nn.Sequential = part
    return kept


def _place(names: Sequence[str], layer: str) -> int:
    if layer not in names:
        raise HarnessError(f"there is no layer {layer!r}{suggest(layer, names)}; the layers are {', '.join(names)}")
    return list(names).index(layer)
