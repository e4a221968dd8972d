"""How long answers and requests of a session may be, from its parameters; see the table of `protocol.messages`."""

from ..protocol.messages import CIPHERTEXT_BYTES, KEY_BYTES, SESSION_BYTES, SHARE_BYTES, Round
from ..protocol.params import Model, Params
from ..signatures import SIGNATURE_BYTES

_HEADER, _FORM, _LENGTH, _ID, _HASH = 2, 1, 4, 4, 32


def answer_bytes(params: Params, current: Round) -> int:
    """The largest size of a user's answer.

    Args:
        params: of the session.
        current: the round that it belongs to.
    """
    n = params.n
    bodies = {
        Round.ADVERTISE_KEYS: 2 * KEY_BYTES,
        Round.SHARE_KEYS: SESSION_BYTES + _HASH + _LENGTH + (n - 1) * CIPHERTEXT_BYTES,
        Round.MASKED_INPUT_COLLECTION: SESSION_BYTES
        + _HASH
        + _LENGTH
        + params.packed_size
        + _LENGTH
        + (n - 1) * _ID,  # the list of ciphertexts that did not open
        Round.CONSISTENCY_CHECK: SESSION_BYTES + _HASH,
        Round.UNMASKING: SESSION_BYTES + _LENGTH + n * SHARE_BYTES,
    }
    return _HEADER + bodies[current] + _signature(params)


def request_bytes(params: Params, current: Round) -> int:
    """The largest size of the request that opens a round; 0 for AdvertiseKeys, which no request opens.

    Args:
        params: of the session.
        current: the round that it opens.
    """
    n, users = params.n, _FORM + _LENGTH + params.n * _ID  # as ids, which with a roster may be any
    signatures = _LENGTH + n * _signature(params)
    bodies = {
        Round.ADVERTISE_KEYS: -_HEADER,
        Round.SHARE_KEYS: users + _LENGTH + 2 * n * KEY_BYTES + signatures,
        Round.MASKED_INPUT_COLLECTION: SESSION_BYTES + users + _LENGTH + (n - 1) * CIPHERTEXT_BYTES,
        Round.CONSISTENCY_CHECK: SESSION_BYTES + users,
        Round.UNMASKING: SESSION_BYTES + users + signatures,
    }
    return _HEADER + bodies[current]


def _signature(params: Params) -> int:
    return SIGNATURE_BYTES if params.model is Model.ACTIVE else 0
