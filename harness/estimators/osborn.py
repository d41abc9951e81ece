"""OSBORN: choosing an ensemble of source networks (Bachu et al. 2023, arXiv 2309.02429).

Three terms, each low when good: how far a source's examples are from the target's (domain), how little its classes say
about the target's (task), and how much the members of an ensemble disagree (cohesion). The first two belong to a
network, the third to a pair, so that after one pass over networks and pairs every ensemble is a sum over a table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import HarnessError
from harness.estimators.inputs import Inputs
from harness.estimators.transport import conditional_entropy, joint_labels, sampled, transport_plan

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats, Integers

Given = Literal["target", "source"]


def source_terms(inputs: Inputs, most: int = 5000, seed: int = 0, given: Given = "target") -> tuple[float, float]:
    """Domain and task term of one network, from its features of the target's and of its source's examples.

    domain: cost of the exact transport plan (squared Euclidean). task: conditional entropy in nats, by that plan's
    masses, of the source label given the target label (`given="source"`: of the target's given the source's, as in
    OTCE). At most `most` examples a side, in the shares of their classes; the time grows with about their cube.
    """
    chosen, of_source = sampled(inputs.labels, most, seed), sampled(inputs.source_labels, most, seed)
    plan, cost = transport_plan(inputs.source_features[of_source], inputs.features[chosen])
    joint = joint_labels(plan, inputs.source_labels[of_source], inputs.labels[chosen])
    return cost, conditional_entropy(joint if given == "source" else joint.T)


def disagreement(one: Integers, other: Integers) -> float:
    """Conditional entropies of two networks' predicted classes [N], each given the other's, in nats; 0 when alike."""
    import numpy as np

    if len(one) != len(other) or not len(one):
        raise HarnessError(f"predictions of one and the same examples are compared, not {len(one)} with {len(other)}")
    joint = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(joint, (one, other), 1)
    return conditional_entropy(joint) + conditional_entropy(joint.T)


@dataclass(frozen=True, eq=False)
class Pool:
    """The terms of a pool of M networks on one target, each standardised over the pool.

    own: domain + task term of each, [M].  pairs: cohesion term of each pair, [M, M], symmetric, 0 on the diagonal.
    """

    own: Floats
    pairs: Floats

    def __len__(self) -> int:
        return len(self.own)

    def score(self, members: Sequence[int]) -> float:
        """Minus the sum of the members' own terms and of their pairs' terms; higher is better.

        Raises HarnessError when a member is not of the pool or stands twice.
        """
        chosen = list(members)
        if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(range(len(self))):
            raise HarnessError(f"an ensemble is of different members of the pool, 0 to {len(self) - 1}, not {chosen}")
        return -float(self.own[chosen].sum() + self.pairs[chosen][:, chosen].sum() / 2)

    def all(self, size: int) -> tuple[Integers, Floats]:
        """Every ensemble of `size` members, [E, size] in order, and its score, [E]."""
        import numpy as np

        self._check(size)
        count = math.comb(len(self), size)
        flat = itertools.chain.from_iterable(itertools.combinations(range(len(self)), size))
        members = np.fromiter(flat, dtype=np.int64, count=count * size).reshape(count, size)
        scores = -self.own[members].sum(axis=1)
        for first, second in itertools.combinations(range(size), 2):
            scores -= self.pairs[members[:, first], members[:, second]]
        return members, scores

    def best(self, size: int) -> tuple[int, ...]:
        """The ensemble of `size` members with the highest score, by looking at all; the first of equal ones."""
        members, scores = self.all(size)
        return tuple(int(member) for member in members[scores.argmax()])

    def greedy(self, size: int) -> tuple[int, ...]:
        """An ensemble built by always adding the network that raises the score most; the first of equal ones.

        A pair's term is lost by whichever of its members comes second, so gains only shrink as the ensemble grows
        where the terms are not negative. In the order of choice.
        """
        import numpy as np

        self._check(size)
        gains = -self.own.copy()
        chosen: list[int] = []
        for _ in range(size):
            gains[chosen] = -np.inf
            chosen.append(int(gains.argmax()))
            gains = gains - self.pairs[chosen[-1]]
        return tuple(chosen)

    def _check(self, size: int) -> None:
        if not 1 <= size <= len(self):
            raise HarnessError(f"an ensemble has from 1 to {len(self)} members, not {size}")


def pool(
    domain: Any,
    task: Any,
    cohesion: Any,
    *,
    domain_weight: float = 1,
    task_weight: float = 1,
    cohesion_weight: float = 1,
) -> Pool:
    """Standardise the terms of a pool and keep them as a table.

    domain, task: [M], one a network.  cohesion: [M, M], one a pair, symmetric; its diagonal is not read. Each term less
    its mean, over its standard deviation, over all networks or all pairs; a term that is the same for all counts for
    nothing. The paper's weights are 1; 0 leaves a term out.
    """
    import numpy as np

    domain, task, cohesion = (np.asarray(one, dtype=np.float64) for one in (domain, task, cohesion))
    size = len(domain)
    if task.shape != (size,) or cohesion.shape != (size, size) or size == 0:
        raise HarnessError(f"terms do not fit: domain {domain.shape}, task {task.shape}, cohesion {cohesion.shape}")
    if not all(np.isfinite(one).all() for one in (domain, task, cohesion)):
        raise HarnessError("a term of the pool is not finite")
    first, second = np.triu_indices(size, 1)
    if not np.allclose(cohesion[first, second], cohesion[second, first], rtol=1e-9, atol=1e-12):
        raise HarnessError("cohesion must be symmetric: the terms of both orders summed")
    pairs = np.zeros((size, size))
    pairs[first, second] = cohesion_weight * _standardised(cohesion[first, second])
    own = domain_weight * _standardised(domain) + task_weight * _standardised(task)
    return Pool(own, pairs + pairs.T)


def pool_of(members: Sequence[Inputs], *, most: int = 5000, seed: int = 0, given: Given = "target") -> Pool:
    """Work out all terms of a pool from each network's inputs: features, labels, source features, labels, predictions.

    Each member's `source_probabilities` or `source_logits` are its predictions on the target's examples, whose most
    probable classes are compared pair by pair.
    """
    import numpy as np

    terms = np.array([source_terms(one, most, seed, given) for one in members]).reshape(-1, 2)
    predicted = [one.source_probabilities.argmax(axis=1) for one in members]
    cohesion = np.zeros((len(members), len(members)))
    for first, second in itertools.combinations(range(len(members)), 2):
        cohesion[first, second] = cohesion[second, first] = disagreement(predicted[first], predicted[second])
    return pool(terms[:, 0], terms[:, 1], cohesion)


def _standardised(values: Floats) -> Floats:
    import numpy as np

    if not len(values):
        return values
    spread = values.std()
    level: Floats = values - values.mean()
    return level / spread if spread > 1e-12 * np.abs(values).max() else np.zeros_like(level)
