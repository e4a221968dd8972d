"""Vectors in .npy files, and the inputs of `secagg simulate`: a folder of them, or random ones.

Each vector is in memory only while it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.layout import Layout
from ..protocol.params import Params
from ..protocol.quantize import Quantizer
from .app import CommandError, require


class Folder:
    """One vector of floats for each client, each in a .npy file; ids are 1 .. n in the order of the files' names.

    All files are checked at once, so that a bad one is reported before the session begins.

    Attributes:
        files: the file of user u at index u - 1.
        length: m.

    Raises:
        CommandError: the folder does not exist, a file is not a vector of numbers, or their lengths differ.
    """

    def __init__(self, path: Path) -> None:
        require(path.is_dir(), f"no such directory: {path}")
        self.files = sorted(file for file in path.glob("*.npy") if file.is_file())
        require(bool(self.files), f"no .npy files in {path}")
        self.length = read_vector(self.files[0]).size
        for file in self.files[1:]:
            length = read_vector(file).size
            require(
                length == self.length,
                f"vectors of unequal length: {file} has {length} entries, {self.files[0]} has {self.length}",
            )

    def __len__(self) -> int:
        return len(self.files)

    def read(self, u: int) -> NDArray[np.float64]:
        """The vector of user u, float64[m]."""
        return read_vector(self.files[u - 1])


class Directions:
    """Random vectors of one L2 norm, each the sum of a common random vector and its own.

    Attributes:
        length: m.
    """

    def __init__(self, n: int, length: int, norm: float, seed: int) -> None:
        self.length = length
        self._n, self._norm, self._seed = n, norm, seed

    def __len__(self) -> int:
        return self._n

    def read(self, u: int) -> NDArray[np.float64]:
        """The vector of user u, float64[m]; each call gives the same."""
        common, own = (np.random.default_rng([self._seed, i]).standard_normal(self.length) for i in (0, u))
        vector: NDArray[np.float64] = common + own
        vector *= self._norm / float(np.linalg.norm(vector))
        return vector


class Synthetic:
    """Random inputs, uniform in 0 .. params.max_value; each call for a user gives the same x_u."""

    def __init__(self, params: Params, seed: int) -> None:
        self.params = params
        self._seed = seed

    def __call__(self, u: int) -> NDArray[Any]:
        rng = np.random.default_rng([self._seed, u])
        return rng.integers(0, self.params.max_value, self.params.m, self.params.dtype, endpoint=True)


class Quantized:
    """The vectors of a folder as inputs, as precise as R allows; each call for a user gives the same x_u.

    Attributes:
        folder: as given.
        params: of the session.
        quantizer: encodes vectors and decodes the sum.
        clipped: how many values of a user's vector were cut to the clip range, by user, once its input was made.
    """

    def __init__(self, folder: Folder, clip: float, seed: int, settings: dict[str, Any]) -> None:
        n, m = len(folder), folder.length
        require(n >= 2, f"there must be at least 2 clients, but the only file is {folder.files[0]}")
        bits = value_bits(n, settings["modulus"])
        require(bits >= 2, f"R = {settings['modulus']} is too small to sum {n} clients' values; use more --bits")
        layout: Layout[NDArray[Any]] = Layout(((m,),), single=True)
        self.folder = folder
        self.quantizer = Quantizer(layout=layout, clip=clip, bits=bits)
        self.params = Params(n=n, m=m, max_value=self.quantizer.max_value, context=self.quantizer.bind(), **settings)
        self.clipped: dict[int, int] = {}
        self._seed = seed

    def __call__(self, u: int) -> NDArray[Any]:
        vector = self.folder.read(u)
        self.clipped[u] = self.quantizer.clipped(vector)
        return self.quantizer.encode(vector, rand=np.random.default_rng([self._seed, u]).bytes)


def value_bits(n: int, modulus: int) -> int:
    """The largest number of bits for which the sum of n values, each at most 2**bits - 2, is below R."""
    return min(53, ((modulus - 1) // n + 2).bit_length() - 1)


def read_vector(file: Path) -> NDArray[np.float64]:
    """The vector in a .npy file, float64[m].

    Raises:
        CommandError: the file is something else, or an entry is NaN or infinite.
    """
    stored = _stored(file, "f", "floats")
    with np.errstate(all="ignore"):  # a long double may overflow, and is refused then
        vector = np.array(stored, np.float64)
    finite = np.isfinite(vector)
    if not finite.all():
        entry = int(np.argmin(finite))
        raise CommandError(f"{file}: entry {entry} is {vector[entry]}; NaN and infinity cannot be summed")
    return vector


def read_integers(file: Path) -> NDArray[Any]:
    """The vector in a .npy file of integers, as it is there.

    Raises:
        CommandError: the file is something else.
    """
    return np.array(_stored(file, "iu", "integers", {"f": "; give --clip for floats"}))


def _stored(file: Path, kinds: str, words: str, hints: Mapping[str, str] = MappingProxyType({})) -> NDArray[Any]:
    """The vector in a file, on disk; a hint says what to do with elements of another kind."""
    try:
        stored = np.lib.format.open_memmap(file, mode="r")  # takes no pickles
    except Exception as error:  # a broken header makes numpy raise nearly anything
        raise CommandError(f"{file} cannot be read as a .npy file: {error}") from None
    shape, kind = list(stored.shape), stored.dtype.kind
    require(
        stored.ndim == 1 and kind in kinds,
        f"{file}: expected a 1-d array of {words}, got {stored.dtype} of shape {shape}{hints.get(kind, '')}",
    )
    require(stored.size > 0, f"{file}: the vector is empty")
    return stored
