"""Who shares with whom.

A user deals shares of its secrets to its neighbours, keeps one share itself, and adds one pairwise mask for each
neighbour. In the paper every two users are neighbours: the graph is complete. In a sparse graph (Bell et al., CCS 2020)
the users of U1 stand on a circle, and the neighbours of u are the next degree / 2 users on either side.

The order on the circle follows from the session's id, and so from everybody's fresh keys: nobody picks it.

    seed = HKDF-SHA256(session, salt = none, info = "secagg graph v1", 32 bytes)
    key_i = AES-128(seed[0:16], seed[16:32] + i), i = 0 .. |U1| - 1, the counter being a big-endian number mod 2^128

key_i belongs to the i-th user of U1 in ascending order of ids, and users stand on the circle in ascending order of
keys, which are compared as bytes. No two keys are equal, for they are blocks of one key of AES. The keys are the
keystream of AES-CTR from a given counter block, as any library makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from ..arguments import array, convert, octets, whole
from ..codec import Ids, Reader
from ..errors import require

Cells = NDArray[np.intp]
"""Positions in an array with one item for each ordered pair of a user and a holder of its shares."""

Some = Ids | Sequence[int] | None
"""Some users, ascending; None for all."""


class Neighbourhoods(Protocol):
    """Who is whose neighbour in one session. The relation is symmetric: if v is a neighbour of u, then u is one of v.

    Attributes:
        users: everyone in the graph, ascending.
        complete: whether every two of them are neighbours.
        size: how many ordered pairs of holders there are; u and u itself is one of them.
    """

    users: Ids
    complete: bool

    @property
    def size(self) -> int: ...

    def holders(self, u: int, among: Some = None) -> Ids:
        """Those of `among` who hold shares of u's secrets: u's neighbours, and u itself.

        By symmetry u holds shares of their secrets."""

    def neighbours(self, u: int, among: Some = None) -> Ids:
        """Those of `among` with whom u exchanges shares and masks: `holders` without u itself."""

    def within(self, users: Ids) -> "Neighbourhoods":
        """The graph of these users, who are some of `self.users`."""

    def places(self, users: Ids) -> NDArray[np.intp]:
        """Numbers by which neighbours among these users are near each other."""

    def row(self, u: int, vs: Ids) -> Cells:
        """The cells of the pairs (u, v), v over vs: holders of u's shares, ascending."""

    def column(self, us: Ids, v: int) -> Cells:
        """The cells of the pairs (u, v), u over us: holders of v's shares, ascending."""


class Everybody:
    """Every two users are neighbours. See `Neighbourhoods`."""

    complete = True

    def __init__(self, users: Ids) -> None:
        self.users = users

    @property
    def size(self) -> int:
        """See `Neighbourhoods`."""
        return len(self.users) ** 2

    def holders(self, u: int, among: Some = None) -> Ids:
        """Everyone."""
        return self.users if among is None else np.asarray(among, np.uint32)

    def neighbours(self, u: int, among: Some = None) -> Ids:
        """Everyone else."""
        return _without(u, self.holders(u, among))

    def within(self, users: Ids) -> Neighbourhoods:
        """See `Neighbourhoods`."""
        return Everybody(users)

    def places(self, users: Ids) -> NDArray[np.intp]:
        """See `Neighbourhoods`: any will do."""
        places: NDArray[np.intp] = self._index(users)
        return places

    def row(self, u: int, vs: Ids) -> Cells:
        """See `Neighbourhoods`."""
        cells: Cells = self._index(u) * len(self.users) + self._index(vs)
        return cells

    def column(self, us: Ids, v: int) -> Cells:
        """See `Neighbourhoods`."""
        cells: Cells = self._index(us) * len(self.users) + self._index(v)
        return cells

    def _index(self, users: Ids | int) -> Any:
        if isinstance(users, np.ndarray) and len(users) == len(self.users):
            return np.arange(len(users))
        return positions(users, self.users)


class Listed:
    """Neighbours on a circle from which some may have gone, everybody's in a list. See `Neighbourhoods`.

    Args:
        users: who is in the graph, ascending.
        holders: the holders of each user's shares, ascending: one list after the other, in the order of `users`.
        bounds: where each list begins; and where the last one ends.
        places: where each user stands on the circle.
    """

    complete = False

    def __init__(self, users: Ids, holders: Ids, bounds: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        self.users = users
        self._all = _read_only(holders)  # parts of it are given out as they are
        self._bounds = bounds
        self._places = places

    @property
    def size(self) -> int:
        """See `Neighbourhoods`."""
        return len(self._all)

    def holders(self, u: int, among: Some = None) -> Ids:
        """See `Neighbourhoods`."""
        return _some_of(self._all[self._list(u)], among)

    def neighbours(self, u: int, among: Some = None) -> Ids:
        """See `Neighbourhoods`."""
        return _without(u, self.holders(u, among))

    def within(self, users: Ids) -> Neighbourhoods:
        """See `Neighbourhoods`."""
        if len(users) == len(self.users):
            return self
        stays = np.zeros(len(self.users), np.bool_)
        stays[positions(users, self.users)] = True
        kept = stays[positions(self._all, self.users)] & np.repeat(stays, np.diff(self._bounds))
        lengths = np.add.reduceat(kept, self._bounds[:-1], dtype=np.intp)[stays]
        return Listed(users, self._all[kept], np.append(0, np.cumsum(lengths)), self._places[stays])

    def places(self, users: Ids) -> NDArray[np.intp]:
        """Where they stand on the circle."""
        places: NDArray[np.intp] = self._places[positions(users, self.users)]
        return places

    def row(self, u: int, vs: Ids) -> Cells:
        """See `Neighbourhoods`."""
        own = self._list(u)
        cells: Cells = own.start + self._places_in(own, vs)
        return cells

    def column(self, us: Ids, v: int) -> Cells:
        """See `Neighbourhoods`."""
        own = self._list(v)
        cells: Cells = self._mirrored[own][self._places_in(own, us)]
        return cells

    @cached_property
    def _mirrored(self) -> Cells:
        """For each cell, of the pair (user, holder), that of the pair (holder, user).

        The cells lie in the order of users and their holders. In the order of holders and their users they are those of
        the same pairs turned round, for the relation is symmetric."""
        by_holder = np.argsort(self._all, kind="stable")
        mirrored = np.empty(self.size, np.intp)
        mirrored[by_holder] = np.arange(self.size)
        return mirrored

    def _list(self, u: int) -> slice:
        i = int(positions(u, self.users))
        return slice(int(self._bounds[i]), int(self._bounds[i + 1]))

    def _places_in(self, own: slice, some: Ids) -> NDArray[np.intp]:
        """Where some stand in a list, which are often all of it."""
        if len(some) == own.stop - own.start:
            return np.arange(len(some))
        places: NDArray[np.intp] = self._all[own].searchsorted(some)
        return places


class Circle(Listed):
    """Neighbours stand at most degree / 2 apart on a circle. See `Neighbourhoods`.

    Lists of all are made for a server, which asks for all: a client asks for its own neighbours.

    Args:
        users: U1, ascending; more than degree + 1 users.
        degree: how many neighbours everyone has, even.
        order: the positions in `users` of those who stand on the circle, one after the other.
    """

    def __init__(self, users: Ids, degree: int, order: NDArray[np.intp]) -> None:
        self.users = users
        self._reach = degree // 2
        self._order = order

    def holders(self, u: int, among: Some = None) -> Ids:
        """See `Neighbourhoods`."""
        if "_all" in vars(self):
            return super().holders(u, among)
        place = int(np.flatnonzero(self._order == positions(u, self.users))[0])
        steps = np.arange(place - self._reach, place + self._reach + 1)
        return _some_of(np.sort(self.users[self._order[steps % len(self.users)]]), among)

    @cached_property
    def _all(self) -> Ids:  # type: ignore[override]
        on_circle = self.users[self._order]
        around = np.concatenate([on_circle[-self._reach :], on_circle, on_circle[: self._reach]])
        table = np.empty((len(self.users), 2 * self._reach + 1), np.uint32)
        table[self._order] = np.sort(np.lib.stride_tricks.sliding_window_view(around, table.shape[1]), axis=1)
        return _read_only(table.ravel())

    @cached_property
    def _bounds(self) -> NDArray[np.intp]:  # type: ignore[override]
        return np.arange(len(self.users) + 1) * (2 * self._reach + 1)

    @cached_property
    def _places(self) -> NDArray[np.intp]:  # type: ignore[override]
        return np.argsort(self._order)


@dataclass(frozen=True)
class CompleteGraph:
    """Every two users are neighbours, as in Fig. 4."""

    def over(self, session: bytes, users: Ids) -> Neighbourhoods:
        """The graph of one session; see `Sparse.over`."""
        return Everybody(users)


@dataclass(frozen=True)
class Sparse:
    """Every user has `degree` neighbours, which the session's id draws.

    Attributes:
        degree: how many, an even number from 2 on.

    Raises:
        LocalProtocolError: the degree is no such number.
    """

    degree: int

    def __post_init__(self) -> None:
        convert(self, whole, "degree")
        require(
            2 <= self.degree < 1 << 32 and self.degree % 2 == 0,
            f"degree must be an even number 2 .. 2**32 - 2, got {self.degree}",
        )

    def over(self, session: bytes, users: Ids) -> Neighbourhoods:
        """The graph of one session.

        Args:
            session: its id, 32 bytes.
            users: U1, ascending, uint32[k].

        Raises:
            LocalProtocolError: there are too few users for a circle.
        """
        session, users = octets(session, "session"), array(users, "users")
        require(len(users) > self.degree + 1, f"{len(users)} users are too few for {self.degree} neighbours each")
        return Circle(users, self.degree, circle_order(session, len(users)))


Graph = CompleteGraph | Sparse
"""Who shares with whom in all sessions of some `Params`."""

COMPLETE = CompleteGraph()


def circle_order(session: bytes, k: int) -> NDArray[np.intp]:
    """The positions in U1 of those who stand on the circle, one after the other.

    Args:
        session: the session's id.
        k: |U1|.

    Returns:
        intp[k], a permutation of 0 .. k - 1.
    """
    seed = HKDF(hashes.SHA256(), 32, None, b"secagg graph v1").derive(session)
    stream = Cipher(algorithms.AES(seed[:16]), modes.CTR(seed[16:])).encryptor().update(bytes(16 * k))
    high, low = np.frombuffer(stream, ">u8").reshape(-1, 2).T
    return np.lexsort((low, high))


class GraphCodec:
    """uint32 degree: 0 for the complete graph."""

    def write(self, value: Graph) -> bytes:
        """The degree."""
        return (value.degree if isinstance(value, Sparse) else 0).to_bytes(4, "big")

    def read(self, reader: Reader) -> Graph:
        """The graph; `Sparse` refuses degrees that it cannot have."""
        degree = int.from_bytes(reader.take(4), "big")
        return Sparse(degree) if degree else COMPLETE


def positions(users: Ids | Sequence[int] | int, among: Ids) -> NDArray[np.intp]:
    """Where users stand in an ascending array of users: a number for one, an array for several.

    Args:
        users: who are all in it.
        among: the array.
    """
    # To find an int, numpy turns the whole array into int64, at each call: one to ten microseconds for 10,000 users.
    found: NDArray[np.intp] = among.searchsorted(np.asarray(users, among.dtype))
    return found


def _read_only(users: Ids) -> Ids:
    users.setflags(write=False)
    return users


def _some_of(near: Ids, among: Some) -> Ids:
    """Those of `near` who are in `among`, both ascending."""
    if among is None:
        return near
    known = np.asarray(among, np.uint32)
    if not len(known):
        return known
    places = np.minimum(known.searchsorted(near), len(known) - 1)
    some: Ids = near[known[places] == near]
    return some


def _without(u: int, users: Ids) -> Ids:
    others: Ids = users[users != u]
    return others
