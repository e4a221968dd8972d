"""Fig. 5: how many users may be corrupt, and how many shares and users protect an input from them.

The paper has one letter, t, for three numbers:

- t: how many shares reveal a secret. It concerns the holders of one user's shares.
- quorum: how many users must take part in ShareKeys, ConsistencyCheck and Unmasking. It concerns all users.
- min_users: how many users' inputs a sum must contain.

In the complete graph everyone holds a share of every secret, and the quorum is t. A sparse graph has the conditions of
`sparse` for t, and needs one number more: min_joined, how many users must have joined.
"""

from enum import IntEnum

from ..errors import require


class Model(IntEnum):
    """How corrupt parties may behave: the two variants of Fig. 4."""

    SEMI_HONEST = 1
    """They follow the protocol, and pool what they see."""
    ACTIVE = 2
    """They may do anything; protection against it is in Fig. 4's underlined parts."""


class Threat(IntEnum):
    """Against whom inputs are protected: the rows of Fig. 5."""

    CLIENTS_ONLY = 1
    """Some clients."""
    SERVER_ONLY = 2
    """The server alone."""
    COLLUDING = 3
    """Some clients and the server together."""


def max_corrupt(n: int) -> int:
    """The largest number of corrupt users among n in Fig. 5's last row: ceil(n/3) - 1 (section 6.3.3)."""
    return -(-n // 3) - 1


def default_corrupt(n: int, threat: Threat) -> int:
    """How many corrupt users a session of n protects against by default."""
    return max_corrupt(n) if threat is Threat.COLLUDING else 0


def default_threshold(n: int, threat: Threat, n_corrupt: int) -> int:
    """Fig. 5's minimum threshold, but at least 2: with t = 1 every share is the secret itself.

    Fig. 5 prints floor(2n/3) + 1 for n_corrupt = ceil(n/3) - 1; for any other number of corrupt users the same argument
    (section 6.2: two disjoint sets of honest users must not both reach t) asks for 2t > n + n_corrupt.
    """
    if threat is Threat.CLIENTS_ONLY:
        return max(2, n_corrupt + 1)
    if threat is Threat.COLLUDING and n_corrupt == max_corrupt(n):
        return max(2, 2 * n // 3 + 1)
    return max(2, majority(n, n_corrupt))


def majority(n: int, n_corrupt: int) -> int:
    """The least number of users of whom any two sets have an honest user in common (section 6.2)."""
    return (n + n_corrupt) // 2 + 1


def check_corrupt(n: int, threat: Threat, n_corrupt: int) -> None:
    """Raises `LocalProtocolError` unless this row of Fig. 5 allows n_corrupt corrupt users among n."""
    require(0 <= n_corrupt < n, f"n_corrupt must be 0 .. n - 1, got {n_corrupt}")
    require(
        threat is not Threat.SERVER_ONLY or n_corrupt == 0,
        f"Threat.SERVER_ONLY means that no user is corrupt, got n_corrupt = {n_corrupt}; use Threat.COLLUDING",
    )


def check_shares(n: int, t: int, n_corrupt: int) -> None:
    """Raises `LocalProtocolError` unless all users together hold t shares of a secret, and the corrupt ones fewer."""
    require(2 <= t <= n, f"threshold t must be 2 .. n = {n}, got {t}")
    require(
        t > n_corrupt,
        f"threshold t = {t} must exceed n_corrupt = {n_corrupt}, or the corrupt users could reconstruct secrets"
        " themselves; raise t, or declare fewer corrupt users",
    )


def check_quorum(n: int, quorum: int, n_corrupt: int) -> None:
    """Raises `LocalProtocolError` unless any two quorums have an honest user in common (section 6.2).

    An honest user signs only one U3, so that an active server cannot get two of them unmasked.
    """
    require(
        2 * quorum > n + n_corrupt,
        f"quorum = {quorum} must satisfy 2 * quorum > n + n_corrupt = {n + n_corrupt}, or a server could have two sets"
        " of users reveal both secrets of one user; raise t, which is the quorum, or declare fewer corrupt users",
    )


def check_min_users(n: int, quorum: int, min_users: int) -> None:
    """Raises `LocalProtocolError` unless every sum contains the inputs of as many users as can check and unmask it."""
    require(quorum <= min_users <= n, f"min_users must be quorum = {quorum} .. n = {n}, got {min_users}")


def check_min_joined(n: int, quorum: int, min_joined: int) -> None:
    """Raises `LocalProtocolError` unless as many users join as must take part later."""
    require(quorum <= min_joined <= n, f"min_joined must be quorum = {quorum} .. n = {n}, got {min_joined}")


def check_min_inputs(min_users: int, n_corrupt: int) -> None:
    """Raises `LocalProtocolError` if a sum may contain only one honest input (Fig. 5's last column).

    The corrupt users can subtract their own inputs, and the rest is that input.
    """
    require(
        min_users - n_corrupt > 1,
        f"min_users = {min_users} and n_corrupt = {n_corrupt} allow a sum with one honest user's input, which is that"
        " input; raise t or min_users to n_corrupt + 2, or declare fewer corrupt users (in tests:"
        " allow_single_input=True)",
    )
