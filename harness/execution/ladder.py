"""What a failure is, and what is tried next when memory was short."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from typing import Literal

from harness.execution.messages import Rung
from harness.graph import Diverged, Resources, Stopped

Failure = Literal["oom", "diverged", "stopped", "no_space", "failed"]

MAX_MICRO_BATCHES = 64
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_CUDA_WORDS = ("cuda error", "device-side assert", "cublas_status", "cudnn_status", "illegal memory access")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def classify(error: BaseException) -> Failure:
    """Say what kind of failure an exception is. A limit on file size (EFBIG) is that stage's own failure."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, Stopped):
        return "stopped"
    source = error if isinstance(error, OSError) else error.__cause__
    if isinstance(source, OSError) and source.errno in _NO_SPACE:
        return "no_space"
    return "oom" if is_out_of_memory(error) else "failed"


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether memory ran out, of the device, of the machine, or under a limit of the process."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if any(base.__name__ == "OutOfMemoryError" for base in type(error).__mro__):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _MEMORY_WORDS)


def is_device_lost(error: BaseException) -> bool:
    """Say whether a CUDA context cannot be trusted after this error: the worker must be replaced."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _CUDA_WORDS)


def one_sentence(error: BaseException) -> str:
    """Return an exception as one line for a row."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text[:400]}" if text else name


def trace(error: BaseException) -> str:
    """Return the traceback text of an exception, bounded."""
    text = "".join(traceback.format_exception(error))
    return text if len(text) <= 20_000 else f"{text[:8_000]}\n...\n{text[-12_000:]}"


def rungs(start: Rung, width: int, accumulates: bool, again: bool = False) -> Iterator[Rung]:
    """Yield the rungs to try within one slot, from ``start``: smaller widths, then micro-batches where equivalent.

    ``again``: try the first one twice, since memory that the worker itself held is given back in between.
    """
    divide, micro = start.divide, start.micro_batches
    yield start
    if again:
        yield start
    while width // (divide * 2) >= 1 and width > 1:
        divide *= 2
        yield Rung(divide, micro, start.slot)
    while accumulates and micro < MAX_MICRO_BATCHES:
        micro *= 2
        yield Rung(divide, micro, start.slot)


def describe_rung(rung: Rung, width: int) -> str:
    """Return a rung in words."""
    parts = [f"batch width {max(1, width // rung.divide)}"] if width > 1 else []
    parts += [f"{rung.micro_batches} micro-batches"] if rung.micro_batches > 1 else []
    return ", ".join(parts) or "one stage at a time"


def bigger(resources: Resources, steps: int = 1) -> Resources | None:
    """Return the slot ``steps`` sizes up: twice the share of a GPU until a whole one; None when there is none."""
    share = resources.gpus
    for _ in range(steps):
        if not 0 < share < 1:
            return None
        share = min(1.0, share * 2)
    return Resources(resources.cpus, share, resources.loaders, resources.world)
