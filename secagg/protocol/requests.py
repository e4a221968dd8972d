"""What a client checks in the lists and keys that the server sends, before it relies on them."""

import numpy as np

from ..codec import Ids, Octets
from ..errors import Abort, RemoteProtocolError
from ..primitives import which_are_public_keys
from .authentication import PARAMS_DIFFER
from .client_state import Advertised
from .graph import positions
from .messages import KEY_BYTES, ShareKeysRequest

TOO_FEW = "too few users are left (but the server goes on: its quorum or min_users may differ)"
TOO_FEW_JOINED = "too few users have joined (but the server goes on: its min_joined may differ)"
TOO_FEW_HOLDERS = "too few of those who hold shares of this user's secrets are left, itself included"


def check_users(users: Ids, u: int | None, needed: int, within: Ids | None = None, reason: str = TOO_FEW) -> None:
    """Check a list U_k, or a part of it: strictly ascending, a subset of U_{k-1}, with u itself in it, and long enough;
    `reason` is what the error says if it is not."""
    if np.any(users[1:] <= users[:-1]):
        raise RemoteProtocolError("the list of users is not strictly ascending")
    if within is not None and not np.isin(users, within).all():
        raise RemoteProtocolError("the list names users that the round before did not name")
    if u is not None and u not in users:
        raise RemoteProtocolError("the list of users omits this user itself")
    if len(users) < needed:
        raise Abort(reason, len(users), needed)


def check_session(session: bytes, expected: bytes) -> None:
    if session != expected:
        raise RemoteProtocolError(f"the request belongs to another session, or {PARAMS_DIFFER}")


def check_keys(request: ShareKeysRequest, u: int, own: Advertised) -> None:
    """All 2|U1| keys differ, and u's own are as u sent them."""
    users, keys = request.users, request.keys
    if len(keys) != len(users):
        raise RemoteProtocolError(f"{len(keys)} key pairs for {len(users)} users")
    if keys[users == u].tobytes() != own.c.public + own.s.public:
        raise RemoteProtocolError("the list does not hold this user's own keys")
    if not _all_differ(keys.reshape(-1, KEY_BYTES)):
        raise RemoteProtocolError("two of the public keys are equal")


def neighbours_keys(request: ShareKeysRequest, neighbours: Ids) -> Octets:
    """Every neighbour's (c_v^pk, s_v^pk), uint8[k, 2, 32], which must be x-coordinates of points."""
    theirs = request.keys[positions(neighbours, request.users)]
    both_on_curve = which_are_public_keys(theirs.reshape(-1, KEY_BYTES)).reshape(-1, 2).all(axis=1)
    if not both_on_curve.all():
        raise RemoteProtocolError("a public key is not on the curve", client=int(neighbours[~both_on_curve][0]))
    return theirs


def _all_differ(keys: Octets) -> bool:
    """Whether no key is there twice. Keys that differ do so in their first bytes, but for one chance in many."""
    starts = np.sort(np.ascontiguousarray(keys[:, :8]).view(np.uint64).ravel())
    return bool((starts[1:] != starts[:-1]).all()) or len({key.tobytes() for key in keys}) == len(keys)
