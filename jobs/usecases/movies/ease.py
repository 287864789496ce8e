"""EASE, an item-item model in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from jobs.core.errors import ConfigError, DataError

Inverse = Callable[[np.ndarray], np.ndarray]


def fit(
    matrix: sp.csr_array, regularisation: float, max_items: int, inverse: Inverse | None = None
) -> np.ndarray:
    """The weights B that minimise |X - XB|² + regularisation |B|².

    B is items by items, float32, with a zero diagonal. `inverse` inverts a symmetric positive
    definite matrix; every device has its own. DataError above `max_items`: the cost grows with the
    cube of their number.
    """
    items = matrix.shape[1]
    if items > max_items:
        raise DataError(
            f"{items} movies are too many for the closed form (train.ease_max_items = {max_items})",
            remedy="raise train.min_interactions, or ease_max_items where memory "
            "(33 bytes times its square) allows",
        )
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(items)] += regularisation
    precision = (inverse or cholesky_inverse)(gram)
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    found: np.ndarray = weights.astype(np.float32)
    return found


def cholesky_inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, exactly symmetric.

    `matrix` is overwritten.
    """
    factor, failed = lapack.dpotrf(matrix.T, lower=1, overwrite_a=1)
    found, singular = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed or singular:
        raise DataError(
            "the Gram matrix is not positive definite", remedy="raise train.ease_regularisation"
        )
    lower: np.ndarray = np.tril(found)
    lower += np.tril(found, -1).T
    return lower


def gpu_inverse(matrix: np.ndarray, arrays: ModuleType | None = None) -> np.ndarray:
    """The same on a GPU, by CuPy, made exactly symmetric; `arrays` is CuPy's module.

    It uses LU, which needs no definiteness.
    """
    if arrays is None:
        arrays = _cupy()
    found = arrays.linalg.inv(arrays.asarray(matrix))
    found = (found + found.T) / 2
    return np.asarray(found.get() if hasattr(found, "get") else found)


def _cupy() -> ModuleType:
    try:
        import cupy
    except ImportError:
        raise ConfigError(
            "EASE on the GPU needs CuPy, which is not installed",
            remedy="use the training image, or set train.device to cpu",
        ) from None
    library: ModuleType = cupy
    return library


# By core.device.Device.
INVERSE: dict[str, Inverse] = {"cpu": cholesky_inverse, "cuda": gpu_inverse}
