"""What a client checks in the lists and keys that the server sends, before it relies on them."""

import numpy as np

from ..codec import Ids
from ..errors import Abort, RemoteProtocolError
from ..primitives import PublicKey, load_public_keys
from .authentication import PARAMS_DIFFER
from .client_state import Advertised
from .messages import ShareKeysRequest


def check_users(users: Ids, u: int | None, needed: int, within: Ids | None = None) -> None:
    """Check a list U_k: strictly ascending, a subset of U_{k-1}, with u itself in it, and long enough."""
    if np.any(users[1:] <= users[:-1]):
        raise RemoteProtocolError("the list of users is not strictly ascending")
    if within is not None and not np.isin(users, within).all():
        raise RemoteProtocolError("the list names users that the round before did not name")
    if u is not None and u not in users:
        raise RemoteProtocolError("the list of users omits this user itself")
    if len(users) < needed:
        reason = "too few users are left (but the server goes on: its quorum or min_users may differ)"
        raise Abort(reason, len(users), needed)


def check_session(session: bytes, expected: bytes) -> None:
    if session != expected:
        raise RemoteProtocolError(f"the request belongs to another session, or {PARAMS_DIFFER}")


def check_keys(
    request: ShareKeysRequest, u: int, own: Advertised, neighbours: Ids
) -> dict[int, tuple[PublicKey, PublicKey]]:
    """Every neighbour's two public keys, once all 2|U1| keys differ and u's own are as u sent them."""
    # u's own keys are in the list as u sent them, and all keys differ.
    users, keys = request.users, request.keys
    if len(keys) != len(users):
        raise RemoteProtocolError(f"{len(keys)} key pairs for {len(users)} users")
    if keys[users == u].tobytes() != own.c.public + own.s.public:
        raise RemoteProtocolError("the list does not hold this user's own keys")
    if len({key.tobytes() for key in keys.reshape(-1, 32)}) != 2 * len(users):
        raise RemoteProtocolError("two of the public keys are equal")

    # Each neighbour's c_v^pk and s_v^pk are x-coordinates of points.
    points = load_public_keys(keys[np.searchsorted(users, neighbours)].reshape(-1, 32))
    pairs: dict[int, tuple[PublicKey, PublicKey]] = {}
    for v, c_pk, s_pk in zip(neighbours.tolist(), points[::2], points[1::2], strict=True):
        if c_pk is None or s_pk is None:
            raise RemoteProtocolError("a public key is not on the curve", client=v)
        pairs[v] = c_pk, s_pk
    return pairs
