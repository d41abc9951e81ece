"""Several networks of one kind as one tensor program, none of which can see another.

Parameters are stacked: tensor `name` is [width, *shape]. Every operation acts on each member by itself (`vmap`), no
number of one member is ever added to another's, so a member's result is the same, bit for bit, whoever its neighbours
are, and a NaN stays where it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.backbones.base import HEAD, Backbone
from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class StackedNetwork:
    """The function of a backbone for stacked parameters and inputs.

    n_classes None leaves the head away: the result is features.  below: how many layers are left away from the input
    on; inputs are then what the last of them puts out.
    """

    def __init__(
        self,
        backbone: Backbone,
        input_shape: tuple[int, ...],
        n_classes: int | None,
        *,
        compiled: bool = False,
        below: int = 0,
    ) -> None:
        import torch
        from torch.func import functional_call, vmap

        whole = backbone.build(n_classes or 1, input_shape, torch.Generator())
        part: Any = whole[below : None if n_classes is not None else -1]
        network: nn.Sequential = part.to("meta")
        convolved = _round_convolutions(network)
        dropping = _dropping(network)

        def one(parameters: dict[str, Tensor], inputs: Tensor, kept: dict[str, Tensor]) -> Tensor:
            if torch.is_autocast_enabled(inputs.device.type):
                kind = torch.get_autocast_dtype(inputs.device.type)
                parameters = {name: item.to(kind) if name in convolved else item for name, item in parameters.items()}
            for name, module in dropping.items():
                module.kept = kept.get(name)
            result: Tensor = functional_call(network, parameters, (inputs,))
            return result.flatten(1)

        self._network = network
        self.dropouts = {name: (module.in_features, module.dropout_rate) for name, module in dropping.items()}
        self.names = tuple(name for name, _ in network.named_parameters())
        stacked = vmap(one, randomness="error")
        self._stacked = torch.compile(stacked) if compiled else stacked
        self._alone = None if compiled else one

    def __call__(
        self, parameters: Mapping[str, Tensor], inputs: Tensor, kept: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Map inputs [width, n, *input_shape] to logits [width, n, n_classes] or features [width, n, feature_width].

        kept: for each layer with dropout, by its name in `dropouts`, which of its inputs it sees, [width, n, units];
        all when None.
        """
        own, seen = {name: parameters[name] for name in self.names}, dict(kept or {})
        if inputs.shape[0] == 1 and self._alone is not None:
            return self._one(self._alone, own, inputs, seen)
        result: Tensor = self._stacked(own, inputs, seen)
        return result

    def _one(
        self,
        network: Callable[[dict[str, Tensor], Tensor, dict[str, Tensor]], Tensor],
        parameters: Mapping[str, Tensor],
        inputs: Tensor,
        kept: Mapping[str, Tensor],
    ) -> Tensor:
        """Run a stack of one as the network that it is, pictures with their channels last: a third faster on a CPU."""
        import torch

        (single,) = inputs
        if single.ndim == 4:
            single = single.contiguous(memory_format=torch.channels_last)
        own, seen = ({name: tensor[0] for name, tensor in given.items()} for given in (parameters, kept))
        return network(own, single, seen).unsqueeze(0)

    @functools.cache  # noqa: B019 - networks are themselves kept for the life of the process
    def operations(self, input_shape: tuple[int, ...]) -> int:
        """Floating-point operations of matrix products and convolutions in one member's forward pass on one example."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            self._network(torch.empty(1, *input_shape))
        return int(counter.get_total_flops())


def _dropping(network: nn.Module) -> dict[str, Any]:
    """The layers with dropout, by name; see :mod:`harness.backbones.dropout`."""
    return {name: module for name, module in network.named_modules() if getattr(module, "dropout_rate", 0.0) > 0}


def _round_convolutions(network: nn.Module) -> frozenset[str]:
    """Make convolutions round their inputs to the type of their kernels; return the names of their parameters.

    `vmap` leads convolutions past autocast, which would leave them in single precision.
    """
    from torch.nn.modules.conv import _ConvNd

    def rounded(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        assert isinstance(module, _ConvNd)
        return tuple(item.to(module.weight.dtype) for item in arguments)

    names: set[str] = set()
    for prefix, module in network.named_modules():
        if isinstance(module, _ConvNd):
            module.register_forward_pre_hook(rounded)
            names.update(f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False))
    return frozenset(names)


@functools.lru_cache(maxsize=64)
def stacked_network(
    backbone: Backbone, input_shape: tuple[int, ...], n_classes: int | None, compiled: bool = False, below: int = 0
) -> StackedNetwork:
    """Return the function of a backbone, made once a process: making it, and compiling it, costs more than a call."""
    return StackedNetwork(backbone, input_shape, n_classes, compiled=compiled, below=below)


@functools.lru_cache(maxsize=256)
def shape_above(backbone: Backbone, input_shape: tuple[int, ...], below: int) -> tuple[int, ...]:
    """Return the shape of what the first `below` layers put out for one example."""
    import torch

    if not below:
        return input_shape
    network = backbone.build(1, input_shape, torch.Generator())[:below].to("meta")
    with torch.no_grad():
        return tuple(network(torch.empty(1, *input_shape, device="meta")).shape[1:])


def layers_below(backbone: Backbone, cut: int) -> tuple[str, ...]:
    """Return the names of the first `cut` layers.

    Raises HarnessError when that would leave no layer to learn, or is negative.
    """
    if not 0 <= cut < len(backbone.layers):
        raise HarnessError(
            f"{backbone.name} has {len(backbone.layers)} layers: {cut} cannot be copied, at most all but one"
        )
    return backbone.layers[:cut]


def fresh(
    backbone: Backbone, n_classes: int, input_shape: tuple[int, ...], generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the initial parameters of one network by name, checked against the layers that the backbone names."""
    network = backbone.build(n_classes, input_shape, generator)
    children = tuple(name for name, _ in network.named_children())
    if children != backbone.layers or children[-1] != HEAD:
        raise HarnessError(f"backbone {backbone.name!r} builds layers {children} but names {backbone.layers}")
    _refuse_state(backbone, network)
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def _refuse_state(backbone: Backbone, network: nn.Module) -> None:
    for name, _ in network.named_buffers():
        raise HarnessError(f"backbone {backbone.name!r} keeps state beside its parameters ({name}), as batch norm does")


def stack(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of equal name of all members along a new first dimension."""
    import torch

    return {name: torch.stack([member[name] for member in members]) for name in members[0]}


def unstack(stacked: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """Return one member's tensors, as copies of their own."""
    return {name: tensor[index].detach().clone() for name, tensor in stacked.items()}


def transplant(
    weights: Mapping[str, Tensor],
    into: Mapping[str, Tensor],
    *,
    head: bool,
    origin: str,
    layers: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Return the parameters `into` with those of `weights` put in their place; the head's too when `head` says so.

    layers: names of the layers that this is done for; all when None.
    Raises HarnessError when a tensor is missing or has another shape.
    """
    result = dict(into)
    for name, fresh_one in into.items():
        layer = name.split(".", 1)[0]
        if (layer == HEAD and not head) or (layers is not None and layer not in layers):
            continue
        if name not in weights:
            raise HarnessError(f"the weights of {origin} have no tensor {name!r}, which this backbone needs")
        if weights[name].shape != fresh_one.shape:
            raise HarnessError(
                f"the weights of {origin} have {name!r} of shape {tuple(weights[name].shape)}, "
                f"this backbone needs {tuple(fresh_one.shape)}"
            )
        result[name] = weights[name].to(fresh_one.dtype)
    return result
