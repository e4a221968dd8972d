"""What a site lets out of a task that its operator has named as plain: some numbers, in a reply made anew.

A server can send a task of any name with a model to train, and an executor may train on whatever comes. So a name alone
does not say what a result is: `metrics_of` takes what a result may hold, and nothing else of it leaves.
"""

from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable

from ...errors import LocalProtocolError, require

METRICS_MAX = 32  # numbers in a plain result
NAME_MAX = 100  # characters of a metric's name
WHOLE_MAX = 1 << 53  # of a whole number, which Python would let be of any size

_CODES = frozenset(code for name, code in vars(ReturnCode).items() if name.isupper())


def metrics_of(result: Shareable) -> Shareable:
    """A plain task's reply with the result's metrics, and nothing else of the result.

    Args:
        result: the executor's.

    Raises:
        LocalProtocolError: the result is not metrics alone, each a number: at most METRICS_MAX of them.
    """
    try:
        dxo = from_shareable(result)
    except Exception:
        raise LocalProtocolError("there are no metrics (DXO) in it") from None
    require(dxo.data_kind == DataKind.METRICS, "it holds more than metrics (METRICS)")
    require(
        isinstance(dxo.data, dict) and len(dxo.data) <= METRICS_MAX,
        f"its metrics must be a dict of at most {METRICS_MAX} numbers",
    )
    return DXO(DataKind.METRICS, {_name(name): _number(value) for name, value in dxo.data.items()}).to_shareable()


def code_of(result: Shareable) -> str:
    """A result's return code: one of FLARE's, whatever code of a job has put there.

    Args:
        result: the executor's.
    """
    code = result.get_return_code()
    return code if isinstance(code, str) and code in _CODES else ReturnCode.EXECUTION_RESULT_ERROR


def _name(name: Any) -> str:
    require(
        isinstance(name, str) and len(name) <= NAME_MAX,
        f"a metric's name must be text of at most {NAME_MAX} characters",
    )
    return str(name)


def _number(value: Any) -> int | float | bool:
    """A metric as a Python number: no array, no list and no text, and no integer that is as long as a model."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(value)
    require(isinstance(value, int | np.integer), "a metric must be one number, no array, list or text")
    require(abs(int(value)) <= WHOLE_MAX, "a metric that is a whole number must be at most 2^53")
    return int(value)
