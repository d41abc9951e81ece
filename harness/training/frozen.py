"""Layers that stay as they are: a network for reading only, and its first layers as a function of a batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.backbones.base import Backbone
from harness.backbones.layered import prefix
from harness.graph import StageContext, Weights
from harness.training.networks import transplant
from harness.training.numerics import parameter_type
from harness.training.rules import Numerics

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_network(
    backbone: Backbone, input_shape: tuple[int, ...], numerics: Numerics, ctx: StageContext
) -> nn.Sequential:
    """Return the backbone's network with its initial weights, loaded once a worker; it is for reading only."""
    import torch

    kind = parameter_type(numerics)
    key = ("network", json.dumps(backbone.identity(), sort_keys=True), input_shape, str(kind), ctx.device)

    def make() -> nn.Sequential:
        network = backbone.build(1, input_shape, torch.Generator().manual_seed(0))
        return network.requires_grad_(False).to(ctx.device, kind).eval()

    return ctx.cached(key, make)


def section_parameters(section: nn.Sequential, weights: Weights | None) -> dict[str, Tensor]:
    """Return the parameters of some layers of a loaded network, those of `weights` in place of their own."""
    own: dict[str, Tensor] = dict(section.named_parameters())
    if weights is None:
        return own
    origin = str(weights.header.get("task", "the source"))
    placed = transplant(weights.tensors, own, head=False, origin=origin)
    return {name: tensor.to(own[name].device) for name, tensor in placed.items()}


def frozen_layers(
    backbone: Backbone,
    input_shape: tuple[int, ...],
    cut: int,
    weights: Weights | None,
    numerics: Numerics,
    ctx: StageContext,
) -> Callable[[Tensor], Tensor]:
    """Return the function of the first `cut` layers with `weights`: [n, *input_shape] to [n, ...], no gradients."""
    import torch
    from torch.func import functional_call

    section = prefix(load_network(backbone, input_shape, numerics, ctx), backbone.layers[cut - 1])
    parameters = section_parameters(section, weights)
    kind = parameter_type(numerics)

    def run(batch: Tensor) -> Tensor:
        ready = batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch
        with torch.no_grad():
            result: Tensor = functional_call(section, parameters, (ready,))
        return result.to(kind).contiguous()

    return run
