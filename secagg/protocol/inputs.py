"""What a user may put in: a vector in range, and noise that there is room for."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import vector
from ..arguments import array
from ..errors import LocalProtocolError
from .params import Params


def checked_input(x: ArrayLike, params: Params) -> NDArray[Any]:
    """A copy of x in the dtype of vectors mod R, every element in range."""
    values = array(x, "x")
    if values.shape != (params.m,) or values.dtype.kind not in "iu":
        raise LocalProtocolError(f"input must be integers of shape [{params.m}], got {values.dtype} {values.shape}")
    if values.min() < 0 or values.max() > params.max_value:
        raise LocalProtocolError(f"every element of the input must be 0 .. {params.max_value}")
    return values.astype(params.dtype)


def with_noise(x: NDArray[Any], noise: ArrayLike | None, params: Params) -> NDArray[Any]:
    """x, to which the noise, if there is any, was added mod R, in place."""
    if noise is None:
        return x
    values = array(noise, "noise")
    if values.shape != x.shape or values.dtype != np.int64:
        raise LocalProtocolError(f"noise must be int64 of shape [{params.m}], got {values.dtype} {values.shape}")
    if params.room == 0:
        raise LocalProtocolError("these params leave no room for noise; see Params.for_inputs(room=...)")
    vector.add_signed(x, np.ascontiguousarray(values), params.modulus)
    return x
