"""Measuring networks: logits in pieces, then a metric for each member of a stack.

Every metric takes the logits of stacked networks [width, n, classes] and the targets of their examples: labels
[width, n] int64, memberships [width, n, classes] int64 of zeros and ones, or numbers [width, n, outputs] floating. It
gives one number a network, [width] float64, and never adds a number of one network to another's. Directions and
ranges are in :mod:`harness.tasks.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError, suggest
from harness.tasks.base import Inputs
from harness.tasks.metrics import METRICS, Targets, metrics_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIECE: Final = 1024
"""Examples that one network sees at a time."""

MOST_NUMBERS: Final = 2**22
"""Numbers that are read, or sorted, at a time."""

RECALLS: Final = 11
"""Recall levels of VOC 2007: 0, .1, ..., 1."""


def targets_of(labels: Tensor) -> Targets:
    """Return what stacked labels are: [width, n], or [width, n, classes] whole numbers, or floating ones."""
    if labels.ndim == 2:
        return "class"
    return "numbers" if labels.is_floating_point() else "classes"


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of examples whose largest logit is the label's, [width]."""
    _check("accuracy", labels)
    return (logits.argmax(-1) == labels).double().mean(1)


def mean_per_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Balanced accuracy, [width]: the share of right answers within each class, averaged over classes.

    A class without an example in the split is left out of the mean.
    """
    _check("mean_per_class", labels)
    right = (logits.argmax(-1) == labels).unsqueeze(-1)
    members = _members(labels, logits.shape[-1])
    return _mean_over_classes((right & members).sum(1).double(), members.sum(1))


def map_11(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over classes of the 11-point interpolated average precision, [width].

    Everingham et al. (2010), section 4.2: (1/11) sum over recalls r = 0, .1, ..., 1 of the highest precision at any
    recall of r or more. Examples of equal score enter together, so their order does not matter. A class without an
    example in the split is left out of the mean; NaN when there is none. The scorer of ELEVATER takes precision at
    recall 0 to be 1 whatever comes first, so its values are larger by up to 1/11.
    """
    _check("map_11", labels)
    scores, members = _scores(logits, labels), _members(labels, logits.shape[-1])
    values = _over_classes(_interpolated_precision, scores, members)
    return _mean_over_classes(values, members.sum(1), divided=True)


def auroc(logits: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve, [width]: binary, or the mean over classes of each against the rest (macro).

    The chance that a member of the class scores above another example, ties counting one half (Mann and Whitney,
    1947). Scores are softmax probabilities where an example has one class, logits where it may have several. A class
    that no example or every example has is left out of the mean; NaN when there is no other.
    """
    _check("auroc", labels)
    scores, members = _scores(logits, labels), _members(labels, logits.shape[-1])
    positives = members.sum(1)
    values = _over_classes(_rank_statistic, scores, members)
    return _mean_over_classes(values, positives * (members.shape[1] - positives), divided=True)


def relative_l2(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over examples of |output - target| / |target| in the Euclidean norm, [width]; less is better.

    Infinite when a target is zero and its output is not; an example of which both are zero counts zero.
    """
    import torch

    _check("relative_l2", targets)
    errors = (outputs.double() - targets.double()).norm(dim=-1)
    sizes = targets.double().norm(dim=-1)
    return torch.where((errors == 0) & (sizes == 0), 0.0, errors / sizes).mean(1)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of :func:`cross_entropy` over examples, [width]."""
    return cross_entropy(logits, labels).double().mean(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each example that trainings minimise, [width, n]; never in less than single precision.

    One class: cross-entropy in nats. Several: the mean over classes of the binary cross-entropy of each logit. Numbers:
    the mean over outputs of the squared error.
    """
    import torch

    wide = logits.float() if logits.dtype == torch.bfloat16 else logits
    targets = targets_of(labels)
    if targets == "class":
        each: Tensor = torch.nn.functional.cross_entropy(wide.flatten(0, 1), labels.flatten(), reduction="none")
        return each.view(labels.shape)
    if targets == "classes":
        binary = torch.nn.functional.binary_cross_entropy_with_logits
        return binary(wide, labels.to(wide.dtype), reduction="none").mean(-1)
    return (wide - labels.to(wide.dtype)).square().mean(-1)


_METRICS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "accuracy": accuracy,
    "mean_per_class": mean_per_class,
    "map_11": map_11,
    "auroc": auroc,
    "relative_l2": relative_l2,
    "loss": loss,
}


def metric(name: str) -> tuple[Callable[[Tensor, Tensor], Tensor], bool]:
    """Return a metric's function of (logits, labels) and whether more is better. Raises HarnessError if unknown."""
    if name not in _METRICS:
        raise HarnessError(f"unknown metric {name!r}{suggest(name, _METRICS)}")
    return _METRICS[name], METRICS[name].higher_is_better


def _check(name: str, labels: Tensor) -> None:
    targets = targets_of(labels)
    if targets not in METRICS[name].targets:
        what = {"class": "one class each", "classes": "several classes each", "numbers": "numbers"}[targets]
        raise HarnessError(f"{name} does not measure examples of {what}; use one of: {', '.join(metrics_of(targets))}")


def _members(labels: Tensor, n_classes: int) -> Tensor:
    """Which examples are of which class, [width, n, classes] bool."""
    import torch

    return torch.nn.functional.one_hot(labels, n_classes).bool() if labels.ndim == 2 else labels.bool()


def _scores(logits: Tensor, labels: Tensor) -> Tensor:
    """How strongly each example is of each class, [width, n, classes] float64, comparable between examples.

    Logarithms of probabilities, which do not run into 0 as these do; of two classes the difference of the logits.
    """
    import torch

    wide = logits.double()
    if labels.ndim > 2:
        return wide
    if wide.shape[-1] == 2:
        difference = wide[..., 1] - wide[..., 0]
        return torch.stack([-difference, difference], dim=-1)
    return wide.log_softmax(-1)


def _over_classes(measure: Callable[[Tensor, Tensor], Tensor], scores: Tensor, members: Tensor) -> Tensor:
    """Apply `measure` to some classes at a time, so that little is sorted at once; [width, classes]."""
    import torch

    width, examples, classes = scores.shape
    some = max(1, MOST_NUMBERS // max(1, width * examples))
    return torch.cat(
        [
            measure(scores[..., first : first + some].mT.contiguous(), members[..., first : first + some].mT)
            for first in range(0, classes, some)
        ],
        dim=1,
    )


def _rank_statistic(scores: Tensor, members: Tensor) -> Tensor:
    """(Sum of the members' ranks - p (p + 1) / 2) / (p q) of each class, ties with their mean rank. All [w, c, n]."""
    import torch

    ordered = scores.sort(dim=-1).values
    below = torch.searchsorted(ordered, scores)
    upto = torch.searchsorted(ordered, scores, right=True)
    ranks = (below + upto + 1).double() / 2
    positives = members.sum(-1).double()
    others = members.shape[-1] - positives
    return ((ranks * members).sum(-1) - positives * (positives + 1) / 2) / (positives * others)


def _interpolated_precision(scores: Tensor, members: Tensor) -> Tensor:
    """The 11-point average precision of each class, [w, c], for scores and members [w, c, n]."""
    import torch

    ordered, places = scores.sort(dim=-1, descending=True)
    found = members.gather(-1, places).cumsum(-1)
    examples = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    last_of_equals = torch.ones_like(ordered, dtype=torch.bool)
    last_of_equals[..., :-1] = ordered[..., :-1] != ordered[..., 1:]
    precision = torch.where(last_of_equals, found.double() / examples, 0.0)
    positives = found[..., -1:]
    total = torch.zeros_like(precision[..., 0])
    for level in range(RECALLS):
        # recall = found / positives >= level / 10, in whole numbers
        reached = found * (RECALLS - 1) >= level * positives
        total += torch.where(reached, precision, 0.0).amax(-1)
    return total / RECALLS


def _mean_over_classes(values: Tensor, counted: Tensor, *, divided: bool = False) -> Tensor:
    """Mean of values [width, classes] over the classes whose `counted` is not zero, NaN without any.

    The values are divided by `counted` first unless they are already.
    """
    import torch

    there = counted > 0
    each = values if divided else values / counted
    return torch.where(there, each, 0.0).sum(1) / there.sum(1)


def predict(
    network: Callable[[Mapping[str, Tensor], Tensor], Tensor], parameters: Mapping[str, Tensor], inputs: Tensor
) -> Tensor:
    """Return what stacked networks give for inputs [width, n, ...], `PIECE` examples at a time, without gradients."""
    import torch

    with torch.no_grad():
        starts = range(0, inputs.shape[1], PIECE)
        pieces = [network(parameters, inputs[:, start : start + PIECE]) for start in starts]
    return torch.cat(pieces, dim=1)


def predict_split(
    network: Callable[[Mapping[str, Tensor], Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    inputs: Inputs,
    device: str,
    kind: torch.dtype,
) -> Tensor:
    """Return what one network, stacked alone, gives for inputs [n, ...]: [1, n, classes].

    The inputs are read a piece at a time, so that pictures kept on disk never lie in memory all at once.
    """
    import torch

    size = piece_size(inputs.shape)
    pieces = [
        predict(network, parameters, inputs[start : start + size].unsqueeze(0).to(device, kind))
        for start in range(0, inputs.shape[0], size)
    ]
    return torch.cat(pieces, dim=1)


def piece_size(shape: tuple[int, ...]) -> int:
    """Return how many examples of inputs of this shape [n, ...] are read at a time."""
    return max(1, min(PIECE, MOST_NUMBERS // max(1, math.prod(shape[1:]))))
