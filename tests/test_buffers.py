"""Every function of masking, vector and shamir takes every kind of buffer where it lies, and says what is wrong with
those that it cannot take. One table of functions, one of kinds, one of faults."""

import ctypes
import inspect
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from secagg import _kernels, masking, shamir, vector

from .support.processes import ran
from .support.randomness import rand

Array = Any  # of numpy; its stubs do not say on Python 3.11 that this is a buffer
CODES: dict[str, Any] = {
    "uint8": "B",
    "int8": "b",
    "uint32": "I",
    "uint64": "L",
    "int64": "l",
}  # of array and of memoryview
CTYPES = {
    "uint8": ctypes.c_uint8,
    "int8": ctypes.c_int8,
    "uint32": ctypes.c_uint32,
    "uint64": ctypes.c_uint64,
    "int64": ctypes.c_int64,
}


def numbers(dtype: str, *shape: int) -> Array:
    return np.arange(1, 1 + math.prod(shape)).astype(dtype).reshape(shape)


# --- The functions


@dataclass(frozen=True, eq=False)
class Case:
    """A call that succeeds: its buffers, as numpy's arrays, and its other arguments.

    Attributes:
        written: the buffer that is changed, if one is.
        copied: buffers that are kept as a key of a cache, and small.
    """

    function: Callable[..., Any]
    buffers: dict[str, Array]
    others: dict[str, Any]
    written: str = ""
    copied: frozenset[str] = frozenset()

    def call(self, **buffers: Any) -> Any:
        return self.function(**{name: x.copy() for name, x in self.buffers.items()} | self.others | buffers)


SEED, NONCE, SEEDS = numbers("uint8", 16), numbers("uint8", 12), numbers("uint8", 3, 16)
SIGNS = np.array([1, -1, 1], np.int8)
SCALARS, XS = numbers("uint8", 4, 32), numbers("uint32", 4)
PACKED = vector.pack(numbers("uint32", 9), 1 << 20)
RING: dict[str, Any] = {"modulus": 1 << 20}


def element_wise(function: Callable[..., Any]) -> Iterator[Case]:
    for dtype, modulus in (("uint32", 1 << 20), ("uint64", 1 << 40)):
        yield Case(function, {"a": numbers(dtype, 9), "b": numbers(dtype, 9)}, {"modulus": modulus}, "a")


CASES = [
    Case(masking.expand, {"seed": SEED, "nonce": NONCE}, {"n": 9, **RING}),
    Case(
        masking.mask_sum,
        {"acc": numbers("uint32", 9), "seeds": SEEDS, "signs": SIGNS, "nonce": NONCE},
        RING,
        "acc",
    ),
    Case(
        masking.mask_sum,
        {"acc": numbers("uint64", 40), "seeds": SEEDS, "signs": SIGNS},
        {"bits": 40, "threads": 2},
        "acc",
    ),
    Case(masking.mask_add, {"acc": numbers("uint32", 9), "seed": SEED, "nonce": NONCE}, {"sign": -1, **RING}, "acc"),
    *element_wise(vector.add),
    *element_wise(vector.subtract),
    Case(vector.add_signed, {"a": numbers("uint32", 9), "b": -numbers("int64", 9)}, RING, "a"),
    Case(vector.add_signed, {"a": numbers("uint64", 9, 2), "b": -numbers("int64", 9)}, {"modulus": 1 << 100}, "a"),
    Case(vector.reduce, {"a": numbers("uint32", 9) << 19}, RING, "a"),
    Case(vector.pack, {"vector": numbers("uint32", 9)}, RING),
    Case(vector.unpack, {"packed": PACKED}, {"n": 9, **RING}),
    Case(vector.packed_check, {"packed": PACKED}, {"n": 9, **RING}),
    Case(vector.packed_add, {"acc": numbers("uint32", 9), "packed": PACKED}, RING, "acc"),
    Case(shamir.in_field, {"scalars": SCALARS}, {}),
    Case(shamir.share, {"secrets": SCALARS, "xs": XS}, {"t": 3, "rand": rand}),
    Case(shamir.lagrange, {"xs": XS}, {}, copied=frozenset({"xs"})),
    Case(shamir.reconstruct, {"shares": numbers("uint8", 4, 1, 32), "xs": XS}, {}, copied=frozenset({"xs"})),
    Case(shamir.reconstruct_each, {"shares": numbers("uint8", 2, 3, 32), "xs": numbers("uint32", 2, 3)}, {"t": 3}),
]  # fmt: skip
PARAMETERS = [
    pytest.param(case, name, id=f"{case.function.__name__}-{name}-{case.buffers[name].dtype}")
    for case in CASES
    for name in case.buffers
]
each_buffer = pytest.mark.parametrize(("case", "name"), PARAMETERS)


def test_every_function_that_takes_a_buffer_is_in_the_table() -> None:
    taken = {
        (function.__name__, parameter.name)
        for module in (masking, vector, shamir)
        for function in (getattr(module, name) for name in module.__all__)
        if inspect.isfunction(function)
        for parameter in inspect.signature(function).parameters.values()
        if "_SupportsBuffer" in str(parameter.annotation)
    }
    assert taken == {(case.function.__name__, name) for case in CASES for name in case.buffers}


# --- The kinds


@dataclass
class Exported:
    """An array that shows itself by `__dlpack__` alone."""

    values: Array

    def __dlpack__(self, **wishes: Any) -> Any:
        return self.values.__dlpack__(**wishes)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


def in_ctypes(values: Array) -> Any:
    kind: Any = CTYPES[str(values.dtype)]
    for length in reversed(values.shape):
        kind = kind * length
    return kind.from_buffer_copy(values.tobytes())


def characters(values: Array) -> Any:
    made = ctypes.create_string_buffer(values.size)
    made.raw = values.tobytes()
    return made


KINDS: dict[str, Callable[[Array], Any]] = {
    "numpy": np.copy,
    "memmap": lambda values: np.copy(values).view(np.memmap),
    "array": lambda values: array(CODES[str(values.dtype)], values.tobytes()),
    "memoryview": lambda values: memoryview(bytearray(values.tobytes())).cast(CODES[str(values.dtype)]),
    "memoryview with axes": lambda values: memoryview(values.copy()),
    "ctypes": in_ctypes,
    "dlpack": lambda values: Exported(np.copy(values)),
}
OF_BYTES: dict[str, Callable[[Array], Any]] = {
    "bytearray": lambda values: bytearray(values.tobytes()),
    "bytes": lambda values: values.tobytes(),
    "characters": characters,
}


def memory(values: Any) -> Array:
    """What is in a buffer now."""
    if isinstance(values, Exported):
        return values.values
    return np.frombuffer(values, np.uint8)


def kinds_for(case: Case, name: str) -> dict[str, Callable[[Array], Any]]:
    kinds = KINDS | (OF_BYTES if case.buffers[name].dtype == np.uint8 else {})
    if name == case.written and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        kinds.pop("dlpack")  # older ones take all of them to be read-only
    return kinds


@each_buffer
def test_a_buffer_of_any_kind_does_what_an_array_does(case: Case, name: str) -> None:
    written = case.written or name
    plain = case.buffers[written].copy()
    expected = case.call(**{written: plain})
    for kind, make in kinds_for(case, name).items():
        given = make(case.buffers[name])
        changed = given if name == written else case.buffers[written].copy()
        result = case.call(**{written: changed} | {name: given})
        assert np.array_equal(result, expected), kind
        assert memory(changed).tobytes() == plain.tobytes(), kind


@each_buffer
def test_a_buffer_is_used_where_it_lies(case: Case, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel itself is given the caller's memory."""
    seen: list[Array] = []
    for kernel, function in vars(_kernels).copy().items():
        if callable(function) and not inspect.isclass(function):
            monkeypatch.setattr(_kernels, kernel, recorded(function, seen))
    for kind, make in kinds_for(case, name).items():
        given = make(case.buffers[name])
        if type(given) is bytes or name in case.copied:
            continue
        seen.clear()
        case.call(**{name: given})
        assert any(np.shares_memory(x, memory(given)) for x in seen), kind


def recorded(function: Callable[..., Any], seen: list[Array]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        seen.extend(x for x in arguments if isinstance(x, np.ndarray))
        return function(*arguments)

    return call


# --- The faults


def refusal(case: Case, name: str, given: Any) -> str:
    """The message. Nothing was changed."""
    changed = {} if case.written in ("", name) else {case.written: case.buffers[case.written].copy()}
    with pytest.raises((TypeError, ValueError)) as caught:
        case.call(**changed | {name: given})
    if changed:
        assert np.array_equal(changed[case.written], case.buffers[case.written])
    message = str(caught.value)
    assert message.startswith(f"{name} must "), message
    return message


def of_other_items(case: Case, name: str) -> Iterator[Any]:
    """Buffers of the right shape whose items have another type, and things that are no buffers."""
    values = case.buffers[name]
    for dtype in CODES:
        if dtype != values.dtype:
            other = values.astype(dtype)
            yield from (memoryview(other), Exported(other), in_ctypes(other), array(CODES[dtype], other.ravel()))
            if name not in ("seeds", "signs"):  # of which an array may have any items that fit
                yield other
    if values.itemsize > 1:
        yield memoryview(values.astype(values.dtype.newbyteorder()))
    yield from ("x" * values.size, 5, None, object(), array("d", values.ravel()))


@each_buffer
def test_items_of_another_type_are_a_type_error_that_says_what_is_wanted(case: Case, name: str) -> None:
    for given in of_other_items(case, name):
        with pytest.raises(TypeError):
            case.call(**{name: given})
        message = refusal(case, name, given)
        if isinstance(given, Exported | array | memoryview):
            assert f"{name} must be {case.buffers[name].dtype}[" in message
            assert f"got {type(given).__name__} of " in message


@pytest.mark.parametrize("case", [case for case in CASES if case.written], ids=lambda case: case.function.__name__)
def test_the_error_says_how_bytes_become_items(case: Case) -> None:
    values = case.buffers[case.written]
    message = refusal(case, case.written, bytearray(values.tobytes()))
    assert message.endswith(f"; cast it: memoryview({case.written}).cast({CODES[str(values.dtype)]!r})")


def spread(values: Array) -> Array:
    """The same items with a gap after each row."""
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    apart = wide[..., ::2]
    apart[...] = values
    return apart


def shifted(values: Array) -> Array:
    """The same items, a byte beside where they should start."""
    octets = np.zeros(values.nbytes + 1, np.uint8)
    apart = octets[1:].view(values.dtype).reshape(values.shape)
    apart[...] = values
    return apart


@each_buffer
def test_items_that_lie_apart_or_askew_are_refused(case: Case, name: str) -> None:
    values = case.buffers[name]
    assert "not C-contiguous" in refusal(case, name, memoryview(spread(values)))
    if values.itemsize > 1:
        assert "not aligned" in refusal(case, name, shifted(values))
    if name not in ("seeds", "signs"):
        assert "not C-contiguous" in refusal(case, name, spread(values))


@pytest.mark.parametrize("case", [case for case in CASES if case.written], ids=lambda case: case.function.__name__)
def test_a_target_that_is_read_only_is_refused(case: Case) -> None:
    values = case.buffers[case.written].copy()
    values.flags.writeable = False
    code = CODES[str(values.dtype)]
    for given in (values, memoryview(values), memoryview(values.tobytes()).cast("B").cast(code)):
        assert "read-only" in refusal(case, case.written, given)


@each_buffer
def test_a_wrong_length_is_refused(case: Case, name: str) -> None:
    if case.function is vector.packed_check:
        assert vector.packed_check(bytes(PACKED)[:-1], 9, 1 << 20) is False
        return
    values = case.buffers[name]
    free = values.ndim == 1 and name in (case.written, "vector", "xs", "a")  # any length will do, but not two axes
    given = values[None] if free else np.ascontiguousarray(values[..., :-1])
    for make in (KINDS["numpy"], KINDS["memoryview with axes"]):
        refusal(case, name, make(given))


@each_buffer
def test_a_row_that_cannot_be_cut_into_axes_is_refused(case: Case, name: str) -> None:
    values = case.buffers[name]
    if values.ndim > 1:
        refusal(case, name, array(CODES[str(values.dtype)], values.ravel()[:-1]))


def test_masked_arrays_are_no_buffers() -> None:
    with pytest.raises(TypeError, match="a must not be a masked array"):
        vector.reduce(np.ma.masked_array(numbers("uint32", 3)), 1 << 20)


# --- Threads and forks


def test_many_threads_at_once() -> None:
    """On shared inputs, each with a vector of its own."""
    seeds, signs, xs = numbers("uint8", 40, 16), np.resize(SIGNS, 40), numbers("uint32", 9)
    start = Barrier(8)

    def work(thread: int) -> list[bytes]:
        start.wait()
        made = []
        for i in range(5):
            acc = np.full(100_000, thread + i, np.uint32)  # long enough for others to run meanwhile
            masking.mask_sum(acc, memoryview(seeds), signs, bits=20)
            packed = vector.pack(acc, 1 << 20)
            shares = shamir.share(np.full((3, 32), thread + i, np.uint8), 5, xs, rand=rand)
            secrets = shamir.reconstruct(shares[:5].copy(), xs[:5])
            made.append(packed.tobytes() + shares.tobytes() + secrets.tobytes())
        return made

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(8)))
    start = Barrier(1)
    assert together == [work(thread) for thread in range(8)]


FORK = """
import os, signal, threading
import numpy as np
from secagg import masking, shamir, vector

seeds, signs, xs = np.ones((100, 16), np.uint8), np.ones(100, np.int8), np.arange(1, 6, dtype=np.uint32)

def answer(n):
    acc = np.zeros(n, np.uint32)
    masking.mask_sum(acc, seeds, signs, bits=20, threads=2)
    shares = shamir.share(np.ones((2, 32), np.uint8), 3, xs)
    return vector.pack(acc, 1 << 20).tobytes() + shamir.reconstruct(shares, xs).tobytes()

def busy():
    while True:
        answer(30_000)

expected = answer(1000)
for _ in range(2):
    threading.Thread(target=busy, daemon=True).start()
for _ in range(15):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for a lock
        os._exit(answer(1000) != expected)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
os._exit(0)
"""


def test_a_fork_while_threads_are_in_kernels() -> None:
    done = ran(sys.executable, "-W", "ignore", "-c", FORK, text=True)
    assert done.returncode == 0, done.stderr
