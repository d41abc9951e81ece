"""What estimators are given: arrays checked once, and the sums over them that scores share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from harness.errors import HarnessError
from harness.estimators.statistics import Statistics

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

T = TypeVar("T")

Need = Literal[
    "features",
    "labels",
    "source_probabilities",
    "source_logits",
    "source_features",
    "source_labels",
    "label_embeddings",
    "model",
]

CLOSE_TO_ONE: Final = 2e-3
"""How far the sum of a row of probabilities may be from 1: half precision, summed over a thousand classes."""


class Inputs:
    """What is known of one network on one target, for any number of scores.

    features: [N, D], what the network's last layer before its head makes of the target's examples.
    labels: [N] integers, not necessarily 0, 1, 2, ...; or real targets [N] or [N, K] (several labels at once, or
        numbers to be predicted), for the scores that take them.
    source_probabilities, source_logits: [N, Cs], the source network's predictions on the target's examples; the first
        are worked out from the second where only these are given.
    source_features, source_labels: [M, D] and [M], of the source's own examples.
    label_embeddings: [N, D2, K] (or [N, D2]): K embeddings of each example's label.
    model: the network's name, a backbone, or the network itself, for the baselines.
    device: a device of torch (`cuda`) on which the largest shared sums are worked out; numpy when None.

    Arrays and torch tensors will do; all is computed in float64. Raises HarnessError for what is not finite, not of
    these shapes, or of different lengths.
    """

    def __init__(
        self,
        *,
        features: Any = None,
        labels: Any = None,
        source_probabilities: Any = None,
        source_logits: Any = None,
        source_features: Any = None,
        source_labels: Any = None,
        label_embeddings: Any = None,
        model: Any = None,
        device: str | None = None,
    ) -> None:
        self.model, self.device = model, device
        self._features = _matrix("features", features)
        self._labels, self._targets = _labels(labels)
        self._probabilities = _probabilities(_matrix("source_probabilities", source_probabilities))
        self._logits = _matrix("source_logits", source_logits)
        self._source_features = _matrix("source_features", source_features)
        self._source_labels = None if source_labels is None else _classes("source_labels", source_labels)
        self._embeddings = _embeddings(label_embeddings)
        of_target = {
            "features": self._features,
            "labels": self._labels if self._targets is None else self._targets,
            "source_probabilities": self._probabilities,
            "source_logits": self._logits,
            "label_embeddings": self._embeddings,
        }
        _same_length(of_target)
        _same_length({"source_features": self._source_features, "source_labels": self._source_labels})

    def has(self, need: Need) -> bool:
        """Say whether something was given, or follows from what was."""
        if need == "source_probabilities":
            return self._probabilities is not None or self._logits is not None
        return {
            "features": self._features is not None,
            "labels": self._labels is not None or self._targets is not None,
            "source_logits": self._logits is not None,
            "source_features": self._source_features is not None,
            "source_labels": self._source_labels is not None,
            "label_embeddings": self._embeddings is not None,
            "model": self.model is not None,
        }[need]

    @property
    def features(self) -> Floats:
        """Features [N, D]."""
        return _given("features", self._features)

    @property
    def labels(self) -> Integers:
        """Labels [N], numbered 0..C-1 in their order, so that each number occurs."""
        return _given("labels that are classes", self._labels)

    @property
    def classes(self) -> int | None:
        """C, or None for targets that are no classes."""
        return None if self._labels is None else int(self._labels.max()) + 1

    @property
    def targets(self) -> Floats | None:
        """Real targets [N, K], or None when the labels are classes."""
        return self._targets

    @cached_property
    def source_probabilities(self) -> Floats:
        """The source network's class probabilities [N, Cs]; rows sum to 1."""
        if self._probabilities is not None:
            return self._probabilities
        from scipy.special import softmax

        found: Floats = softmax(_given("source_probabilities", self._logits), axis=1)
        return found

    @property
    def source_logits(self) -> Floats:
        """The source network's logits [N, Cs]."""
        return _given("source_logits", self._logits)

    @property
    def source_features(self) -> Floats:
        """Features of the source's examples [M, D]."""
        return _given("source_features", self._source_features)

    @property
    def source_labels(self) -> Integers:
        """Labels of the source's examples [M], numbered 0..Cs-1."""
        return _given("source_labels", self._source_labels)

    @property
    def label_embeddings(self) -> Floats:
        """Embeddings of each example's label [N, D2, K]."""
        return _given("label_embeddings", self._embeddings)

    @cached_property
    def statistics(self) -> Statistics:
        """Sums over features and labels; of real targets, those of one class that holds all examples."""
        import numpy as np

        labels = np.zeros(len(self.features), dtype=np.int64) if self._labels is None else self._labels
        return Statistics.of(self.features, labels, self.device)


def _given(name: str, value: T | None) -> T:
    if value is None:
        raise HarnessError(f"there are no {name} among the inputs")
    return value


def as_array(name: str, value: Any) -> Any:
    """Return numbers as a numpy array, from a torch tensor too. Raises HarnessError for what is no array of numbers."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        value = value.numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise HarnessError(f"{name} is not one array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise HarnessError(f"{name} must be numbers, not {array.dtype}")
    return array


def _finite(name: str, value: Any) -> Floats:
    import numpy as np

    array: Floats = np.ascontiguousarray(as_array(name, value), dtype=np.float64)
    if array.size == 0:
        raise HarnessError(f"{name} is empty")
    # A sum is finite only where all is, and costs less to look at; one that overflows is looked at again.
    if not np.isfinite(array.sum()) and not np.isfinite(array).all():
        bad = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
        raise HarnessError(f"{name} is not finite in {bad} of {len(array)} rows")
    return array


def _matrix(name: str, value: Any) -> Floats | None:
    if value is None:
        return None
    array = _finite(name, value)
    if array.ndim != 2:
        raise HarnessError(f"{name} must be [examples, width], not of shape {array.shape}")
    return array


def _labels(value: Any) -> tuple[Integers | None, Floats | None]:
    """Labels as classes, or as real targets when they are fractions or have two dimensions."""
    if value is None:
        return None, None
    array = as_array("labels", value)
    if array.ndim == 1 and array.dtype.kind != "f":
        return _classes("labels", array), None
    if array.ndim not in (1, 2):
        raise HarnessError(f"labels must be [examples] or [examples, targets], not of shape {array.shape}")
    return None, _finite("labels", array.reshape(len(array), -1))


def _classes(name: str, value: Any) -> Integers:
    import numpy as np

    array = as_array(name, value)
    if array.ndim != 1 or array.dtype.kind == "f":
        raise HarnessError(f"{name} must be one integer an example, not {array.dtype} of shape {array.shape}")
    if array.size == 0:
        raise HarnessError(f"{name} is empty")
    found: Integers = np.unique(array, return_inverse=True)[1].astype(np.int64)
    return found


def _probabilities(array: Floats | None) -> Floats | None:
    """Probabilities whose rows sum to 1 but for rounding, which is taken out."""
    import numpy as np

    if array is None:
        return None
    sums = array.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if (array < 0).any() or abs(sums[worst] - 1) > CLOSE_TO_ONE:
        found = f"is negative somewhere (smallest {array.min():.3g})" if (array < 0).any() else None
        found = found or f"sums to {sums[worst]:.6g} in row {worst}"
        raise HarnessError(f"source_probabilities {found}: give logits as source_logits")
    return array if abs(sums[worst] - 1) < 1e-12 else array / sums[:, None]


def _embeddings(value: Any) -> Floats | None:
    if value is None:
        return None
    array = _finite("label_embeddings", value)
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3:
        raise HarnessError(f"label_embeddings must be [examples, width, embeddings], not of shape {array.shape}")
    return array


def _same_length(arrays: dict[str, Any]) -> None:
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise HarnessError(f"inputs are of different lengths: {told}")
