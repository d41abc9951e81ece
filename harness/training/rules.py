"""Settings that change results and are therefore in keys: numerics, and which weights of a training are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import HarnessError

Precision = Literal["float32", "float64", "bfloat16"]


@dataclass(frozen=True)
class Numerics:
    """How numbers are computed.

    precision: type of parameters and activations; bfloat16 keeps the parameters in float32 and autocasts.
    tf32: allow TF32 in matrix products on a GPU.  compile: run the network through torch.compile.
    deterministic: use deterministic algorithms only.
    """

    precision: Precision = "float32"
    tf32: bool = False
    compile: bool = False
    deterministic: bool = True


@dataclass(frozen=True)
class CheckpointRule:
    """Which weights of a training are kept: the last, or the best seen on a split.

    metric: the task's own when None; `loss` is the other choice.  every: steps between looks; a tenth of the budget
    when None.
    """

    keep: Literal["last", "best"] = "last"
    on: str = "val"
    metric: str | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise HarnessError(f"checkpoint: every must be at least 1, not {self.every}")


@dataclass(frozen=True)
class Watch:
    """What is measured while a network trains, by the task's metric: some splits, every so many steps.

    It chooses nothing; a curve's best value does, and is a measurement of its own name.  every: None measures once,
    after the last step, which is measured in any case.
    """

    splits: tuple[str, ...] = ("test",)
    every: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise HarnessError(f"evaluate_every must be at least 1, not {self.every}")


STANDARD_NUMERICS: Final = Numerics()
KEEP_LAST: Final = CheckpointRule()
