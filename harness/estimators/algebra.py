"""The two steps that cost most where examples and features are many, on a device of torch or in numpy.

With N examples and D features: the product of a matrix with itself, N D^2, and the eigenvalues of its result, D^3. All
else that scores do is small beside them, or sums over classes, and stays in numpy. Always float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats


def gram(rows: Floats, device: str | None = None) -> Floats:
    """Return rows^T rows, [D, D] of [N, D].

    device: a device of torch, such as `cuda`; None is numpy.
    """
    if device is None:
        product: Floats = rows.T @ rows
        return product
    import torch

    moved = torch.from_numpy(rows).to(device)
    found: Floats = (moved.T @ moved).cpu().numpy()
    return found


def eigh(matrix: Floats, device: str | None = None) -> tuple[Floats, Floats]:
    """Return the eigenvalues of a symmetric matrix, smallest first [D], and its axes as columns [D, D]."""
    if device is None:
        from scipy.linalg import eigh as on_processor

        values, axes = on_processor(matrix, driver="evd", check_finite=False)
        return values, axes
    import torch

    values, axes = (part.cpu().numpy() for part in torch.linalg.eigh(torch.from_numpy(matrix).to(device)))
    return values, axes
