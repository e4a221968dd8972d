"""Models as FLARE's tasks and replies carry them, and as the protocol takes them: arrays by name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.shareable import Shareable

from ...errors import LocalProtocolError, require
from .. import Update
from ..arrays import is_integer

Model = dict[str, NDArray[Any]]

_HOW = "let the recipe exchange numpy arrays (server_expected_format=ExchangeFormat.NUMPY)"


def model_of(shareable: Shareable) -> Model:
    """The model in a training task; no copy.

    Args:
        shareable: the task's data.

    Raises:
        LocalProtocolError: there are no weights in it, or one is not a numpy array.
    """
    dxo = _dxo(shareable)
    require(
        dxo.data_kind == DataKind.WEIGHTS,
        f"the task sends {dxo.data_kind}, and only whole models (WEIGHTS) can be trained under secure aggregation",
    )
    return _arrays(dxo)


def copied(model: Model) -> Model:
    """The model in arrays of its own, because training code may change those that it is given."""
    return {name: values.copy() for name, values in model.items()}


def update_of(shareable: Shareable, received: Model, *, weighted: bool) -> Update:
    """What a site's training gave.

    Args:
        shareable: the executor's reply: all weights, or their differences to the model that was received.
        received: the model that was received.
        weighted: whether sites have weights; the weight is the reply's NUM_STEPS_CURRENT_ROUND, which FLARE takes too.

    Raises:
        LocalProtocolError: there are no weights in it, or a weight, a metric or an array is not one.
    """
    dxo = _dxo(shareable)
    arrays = _arrays(dxo)
    if dxo.data_kind == DataKind.WEIGHT_DIFF:
        arrays = {name: _added(name, received, change) for name, change in arrays.items()}
    return Update(arrays, _weight(dxo) if weighted else None, _metrics(dxo))


def reply_of(model: Model, metrics: dict[str, Any], meta: dict[str, Any]) -> Shareable:
    """A reply that says what a site's would.

    Args:
        model: all weights.
        metrics: by name.
        meta: further entries of the reply's meta data.
    """
    said = {FLMetaKey.INITIAL_METRICS: metrics} if metrics else {}
    return DXO(DataKind.WEIGHTS, data=model, meta={**meta, **said}).to_shareable()


def _dxo(shareable: Shareable) -> DXO:
    try:
        dxo = from_shareable(shareable)
    except Exception as error:
        raise LocalProtocolError(f"there is no model (DXO) in FLARE's message: {error}") from None
    require(
        dxo.data_kind in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF),
        f"FLARE's message holds {dxo.data_kind}, and only WEIGHTS and WEIGHT_DIFF can be averaged",
    )
    require(
        isinstance(dxo.data, dict) and bool(dxo.data),
        "the model has no arrays: secure aggregation starts from a model that the server has, by name",
    )
    return dxo


def _arrays(dxo: DXO) -> Model:
    return {_name(name): _array(name, values) for name, values in dxo.data.items()}


def _name(name: Any) -> str:
    require(isinstance(name, str), f"arrays are named by text, got {type(name).__name__}")
    return str(name)


def _array(name: Any, values: Any) -> NDArray[Any]:
    """FLARE's numpy recipes send an initial model as nested lists, when no persistor has made an array of it."""
    if isinstance(values, np.ndarray | np.generic):
        return np.asarray(values)
    require(
        isinstance(values, list | int | float) and not isinstance(values, bool),
        f"array {name!r} is a {type(values).__module__}.{type(values).__name__}: {_HOW}",
    )
    try:
        return np.asarray(values)
    except ValueError:
        raise LocalProtocolError(f"array {name!r} is a list of uneven lengths") from None


def _added(name: str, received: Model, change: NDArray[Any]) -> NDArray[Any]:
    """The new values, of which the protocol takes the difference again: that is exact to float64's last bits."""
    before = received.get(name)
    require(before is not None, f"array {name!r} is not in the model that was received")
    assert before is not None
    require(before.shape == change.shape, f"array {name!r} has shape {change.shape}, and was sent as {before.shape}")
    if is_integer(before.dtype) and is_integer(change.dtype):
        return _exact_sum(before, change)
    return np.asarray(before.astype(np.float64) + change.astype(np.float64))


def _exact_sum(before: NDArray[Any], change: NDArray[Any]) -> NDArray[Any]:
    """Integers added as integers, whatever their size; a sum that no 64 bits hold becomes a float, and is refused."""
    total = before.astype(object) + change.astype(object)
    for dtype in (before.dtype, np.dtype(np.int64), np.dtype(np.uint64)):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if all(low <= value <= high for value in total.flat):
            return np.asarray(total, dtype)
    return np.asarray(total, np.float64)


def _weight(dxo: DXO) -> int:
    """How many examples or steps there were."""
    given = dxo.get_meta_prop(FLMetaKey.NUM_STEPS_CURRENT_ROUND)
    require(
        given is not None,
        "training code must say how much its update counts: FLModel(meta={'NUM_STEPS_CURRENT_ROUND': examples})",
    )
    require(
        isinstance(given, int | float | np.integer | np.floating)
        and not isinstance(given, bool)
        and np.isfinite(given)
        and int(given) == given,
        "NUM_STEPS_CURRENT_ROUND must be a whole number",
    )
    return int(given)


def _metrics(dxo: DXO) -> dict[str, Any]:
    metrics = dxo.get_meta_prop(FLMetaKey.INITIAL_METRICS)
    require(metrics is None or isinstance(metrics, dict), "metrics must be a dict of numbers by name")
    return dict(metrics or {})
