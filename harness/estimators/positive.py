"""Solving with positive matrices that may be as good as singular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from harness.estimators.arrays import Floats

REGULAR: Final = 1e-9
"""Reciprocal condition number from which a solution by Cholesky's factors keeps seven digits or more."""


def solved(matrix: Floats, right: Floats, floor: float = 0.0) -> Floats:
    """matrix^-1 right, for a symmetric matrix [D, D] whose eigenvalues are at least `floor`, and right [D, m].

    By Cholesky's factors; where rounding has taken positivity away, by eigenvalues that are not let fall below the
    floor. Raises numpy's LinAlgError for a matrix that is singular without a floor.
    """
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve, eigh

    try:
        found: Floats = cho_solve(cho_factor(matrix, lower=True, check_finite=False), right, check_finite=False)
        return found
    except np.linalg.LinAlgError:
        if floor <= 0:
            raise np.linalg.LinAlgError("the covariance is singular") from None
    values, axes = eigh(matrix, check_finite=False)
    return axes @ ((axes.T @ right) / np.maximum(values, floor)[:, None])


def solved_if_regular(matrix: Floats, right: Floats) -> Floats | None:
    """matrix^-1 right, or None when the matrix is singular or close to it."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve
    from scipy.linalg.lapack import dpocon

    try:
        factors = cho_factor(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    condition, _ = dpocon(factors[0], np.abs(matrix).sum(axis=0).max(), uplo="L")
    return None if condition < REGULAR else cho_solve(factors, right, check_finite=False)


def log_determinant(matrix: Floats) -> float:
    """ln det of a positive matrix [m, m], by Cholesky's factors."""
    import numpy as np
    from scipy.linalg import cholesky

    factor = cholesky(matrix, lower=True, check_finite=False)
    return 2 * float(np.log(np.diag(factor)).sum())
