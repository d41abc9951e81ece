"""Precision and determinism, set around a computation and put back after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.training.rules import Numerics

if TYPE_CHECKING:
    import torch


def parameter_type(numerics: Numerics) -> torch.dtype:
    """Return the type in which parameters are kept: bfloat16 computes in part of the operations only."""
    import torch

    return torch.float64 if numerics.precision == "float64" else torch.float32


@contextlib.contextmanager
def applied(numerics: Numerics, device: str) -> Iterator[None]:
    """Compute inside as `numerics` says; the process's own settings are put back afterwards."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on a GPU ask for
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    tf32 = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(numerics.deterministic)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = numerics.tf32
    torch.backends.cudnn.benchmark = not numerics.deterministic
    try:
        with torch.autocast(kind, torch.bfloat16, enabled=numerics.precision == "bfloat16"):
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = benchmark
