"""What a stage may return, and the two ways in which it may end without a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

JSON = Any
"""A JSON value: None, bool, int, float, str, list or dict of these."""


@dataclass(frozen=True)
class Artifact:
    """Tensors (any shapes) with a small JSON header, left for later stages."""

    tensors: Mapping[str, Tensor]
    header: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights(Artifact):
    """The parameters of a network: tensor names are parameter names."""


@dataclass(frozen=True)
class Features(Artifact):
    """Activations of a network on a task's splits."""


@dataclass(frozen=True)
class Predictions(Artifact):
    """Logits or probabilities on a task's splits."""


@dataclass(frozen=True)
class Value:
    """A small JSON value for later stages, such as the index of a chosen candidate."""

    data: Mapping[str, JSON]


@dataclass(frozen=True)
class Measurement:
    """One measured number: ``metric`` of ``task`` on ``split``.

    ``n_eval`` is the number of test items behind it; ``step`` the training step at which it was taken.
    """

    metric: str
    value: float
    split: str
    task: str
    n_eval: int | None = None
    step: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """The rows that a terminal stage leaves."""

    rows: tuple[Measurement, ...]


class Diverged(Exception):
    """A loss or a parameter is no longer finite; the outcome is ``diverged`` and is not tried again."""


class Stopped(Exception):
    """The stage saw ``ctx.should_stop()``, saved what it needs to go on later, and gave up its slot."""
