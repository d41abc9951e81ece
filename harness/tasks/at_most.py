"""A task made smaller: at most so many examples of each class in each split, for what need not be measured on all."""

from __future__ import annotations

import functools
from typing import Final

from harness.errors import HarnessError
from harness.graph import derive_seed
from harness.tasks.base import Split, Task, choose, one_class_each, task

_HERE: Final = __name__


@task("at_most")
def at_most(of: Task, n: int, seed: int = 0) -> Task:
    """A task with at most `n` examples of each class in each split, test included.

    With one seed, fewer examples are among the more. Raises HarnessError when the task does not say how many examples
    each class has.
    """
    if n < 1:
        raise HarnessError(f"at_most: n must be at least 1, not {n}")
    one_class_each(of, "at_most")
    missing = [split for split in of.sizes if split not in of.class_sizes]
    if missing:
        raise HarnessError(f"task {of.name!r} does not say how many examples each class has in split {missing[0]!r}")
    class_sizes = {split: tuple(min(n, count) for count in counts) for split, counts in of.class_sizes.items()}
    return Task(
        name=f"at_most(of={of.name}, n={n})",
        n_classes=of.n_classes,
        class_names=of.class_names,
        input_shape=of.input_shape,
        sizes={split: sum(counts) for split, counts in class_sizes.items()},
        class_sizes=class_sizes,
        data={"of": dict(of.identity()), "at_most": n, "seed": seed},
        load=functools.partial(load_some, of, n, seed),
        attributes={**of.attributes, "of": of.name},
        metric=of.metric,
        higher_is_better=of.higher_is_better,
        code=(*of.code, _HERE),
    )


def load_some(of: Task, n: int, seed: int, split: str) -> Split:
    """Load at most `n` examples of each class of one split, in the order in which they were."""
    import torch

    whole = of.split(split)
    generator = torch.Generator().manual_seed(derive_seed(seed, "split", of.name, split))
    chosen = []
    for label in range(of.n_classes):
        members = (whole.labels == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[:n]])
    positions = torch.cat(chosen).sort().values
    return Split(choose(whole.inputs, positions), whole.labels[positions])
