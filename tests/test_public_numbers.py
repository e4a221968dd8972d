"""Numbers, truth values, bytes and arrays of any type at the public edge: the same result as from plain ones, or a
`TypeError`.

Parameters are found by their signatures, so that none is forgotten: a new one needs an example in `public_calls`, or a
reason there why it has none. Each is then given every scalar type of numpy, and numbers that cannot be calculated with
before `__index__` or `__float__` has made plain ones of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from secagg import Params, Quantizer, Server, dp, masking
from secagg.errors import ArgumentTypeError, LocalProtocolError
from secagg.noisy import NoisySum
from secagg.vdaf import Prio3Histogram

from .support.public_calls import CALLS, EXCEPTIONS, Call
from .support.public_parameters import Parameter, public_callables, public_parameters

INTEGERS: tuple[type[Any], ...] = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
FLOATS: tuple[type[Any], ...] = (np.float16, np.float32, np.float64, np.longdouble)
PARAMETERS = [p for p in public_parameters() if p.owner not in EXCEPTIONS and str(p) not in EXCEPTIONS]
REPLACE_ONE, ADD_REMOVE = dp.Neighbours.REPLACE_ONE, dp.Neighbours.ADD_REMOVE


class Index:
    """An integer by `__index__`, and by nothing else: whoever calculates with it before that fails."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class Real:
    """A real number by `__float__`, which can besides be compared with the number that this gave."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return float(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == other

    def __hash__(self) -> int:
        return hash(self._value)


def parameters_of(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("parameter", [p for p in PARAMETERS if kind in p.kinds], ids=str)


def calls_of(parameter: Parameter) -> list[Call]:
    return [call for call in CALLS.get(parameter.owner, ()) if parameter.name in call.values]


def outcome(parameter: Parameter, call: Call, change: Callable[[Any], Any]) -> Any:
    """What comes of a call whose one argument was changed: result and arguments, or the error."""
    arguments = call.arguments()
    arguments[parameter.name] = change(arguments[parameter.name])
    try:
        result = (call.function or public_callables()[parameter.owner])(**arguments)
    except Exception as error:
        return error
    others = {name: value for name, value in arguments.items() if name != parameter.name}
    itself = arguments[parameter.name]
    return seen(result), seen(others), seen(itself) if isinstance(itself, np.ndarray) else None


@cache
def plain_outcome(parameter: Parameter, call: Call) -> Any:
    return outcome(parameter, call, lambda value: value)


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def seen(value: Any, above: tuple[int, ...] = ()) -> Any:
    """All that an object holds, with the types of what is in it, so that 1, True and numpy's 1 differ."""
    if isinstance(value, np.ndarray):
        return type(value), value.dtype.str, value.shape, [seen(entry) for entry in value.ravel().tolist()]
    if value is None or isinstance(value, bool | int | float | str | bytes | np.generic):
        return type(value), repr(value)
    if isinstance(value, Fraction):
        return Fraction, seen(value.numerator), seen(value.denominator)
    if isinstance(value, Enum) or callable(value) or id(value) in above:
        return repr(type(value))
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return type(value), sorted(((seen(k, above), seen(v, above)) for k, v in value.items()), key=repr)
    if isinstance(value, set | frozenset):
        return type(value), sorted((seen(item, above) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return type(value), [seen(item, above) for item in value]
    ours = type(value).__module__.startswith("secagg") or is_dataclass(value)
    return type(value), seen(vars(value), above) if ours and hasattr(value, "__dict__") else None


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Exception):
        return type(one) is type(other) and str(one) == str(other)
    return bool(one == other)


def leaves(value: Any, kinds: type | tuple[type, ...]) -> Iterator[Any]:
    """The values of these types in a value, or in what it contains."""
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set):
        for item in value:
            yield from leaves(item, kinds)
    elif isinstance(value, kinds) and not isinstance(value, Enum):
        yield value


def changed(value: Any, kinds: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """The same with each of its `leaves` changed."""
    if isinstance(value, Mapping):
        return {changed(k, kinds, change): changed(v, kinds, change) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(changed(item, kinds, change) for item in value)
    return change(value) if isinstance(value, kinds) and not isinstance(value, Enum) else value


def is_plain(value: Any) -> bool:
    return not isinstance(value, bool)


def fits(kind: type[Any], values: list[Any]) -> bool:
    """Whether a type of numpy has exactly these values."""
    if issubclass(kind, np.integer):
        bounds = np.iinfo(kind)
        return all(value == int(value) and bounds.min <= value <= bounds.max for value in values)
    return all(isinstance(value, int | float) and abs(value) < 2**11 and kind(value) == value for value in values)


def test_every_public_parameter_has_an_example_or_a_reason_to_have_none() -> None:
    forgotten = [str(parameter) for parameter in PARAMETERS if not calls_of(parameter)]
    assert not forgotten, f"add to CALLS in tests/support/public_calls.py, or to EXCEPTIONS with a reason: {forgotten}"


def test_every_exception_is_of_something_that_is_there() -> None:
    names = {name for parameter in public_parameters() for name in (parameter.owner, str(parameter))}
    assert set(EXCEPTIONS) <= names
    assert set(CALLS) <= set(public_callables())


def test_the_parameters_are_found() -> None:
    names = {str(parameter) for parameter in public_parameters()}
    assert names >= {
        "dp.sensitivity.Sensitivity.sum(max_value)",
        "dp.plan.Unit(reports)",
        "masking.expand(modulus)",
        "noisy.sum.NoisySum(max_weight)",
        "protocol.quantize.Quantizer(clip)",
        "protocol.server.Server.receive(client_id)",
        "vdaf.variants.Prio3Histogram(length)",
    }


@pytest.mark.parametrize("owner", [owner for owner in CALLS if owner not in EXCEPTIONS])
def test_the_examples_succeed(owner: str) -> None:
    for call in CALLS[owner]:
        (call.function or public_callables()[owner])(**call.arguments())


@parameters_of("number")
def test_integers_of_every_type_mean_their_value(parameter: Parameter) -> None:
    calls = [call for call in calls_of(parameter) if _numbers(parameter, call)]
    assert calls, f"no example has a number for {parameter}"
    for call in calls:
        numbers = _numbers(parameter, call)
        plain = plain_outcome(parameter, call)
        for kind in INTEGERS:
            if fits(kind, numbers):
                assert same(plain, _outcome_of(parameter, call, kind)), kind
        if all(isinstance(number, int) for number in numbers):
            indexed = _outcome_of(parameter, call, Index)
            assert same(plain, indexed) or isinstance(indexed, ArgumentTypeError), indexed
        for kind in FLOATS:
            if fits(kind, numbers):
                typed = _outcome_of(parameter, call, kind)
                assert same(_outcome_of(parameter, call, float), typed) or isinstance(typed, ArgumentTypeError), kind


@parameters_of("number")
def test_integers_are_not_calculated_with_before_they_are_plain(parameter: Parameter) -> None:
    """`Index` and `Real` have no arithmetic: what takes one of them has converted it, or refuses it by name."""
    for call in calls_of(parameter):
        numbers = _numbers(parameter, call)
        for kind, types in ((Index, int), (Real, int | float)):
            if numbers and all(isinstance(number, types) for number in numbers):
                typed = _outcome_of(parameter, call, kind)
                plain = plain_outcome(parameter, call)
                floats = _outcome_of(parameter, call, float)
                assert same(plain, typed) or same(floats, typed) or isinstance(typed, ArgumentTypeError), typed


@parameters_of("number")
@pytest.mark.parametrize("value", [True, np.True_])
def test_truth_values_are_no_numbers(parameter: Parameter, value: Any) -> None:
    for call in calls_of(parameter):
        if _numbers(parameter, call):
            assert isinstance(_outcome_of(parameter, call, always(value)), ArgumentTypeError)


@parameters_of("number")
def test_what_is_no_number_is_refused_by_its_type(parameter: Parameter) -> None:
    for call in calls_of(parameter):
        for value in (b"1", object(), np.ma.masked_array(1, mask=True)):
            if _numbers(parameter, call) and (value != b"1" or "octets" not in parameter.kinds):
                error = _outcome_of(parameter, call, always(value))
                assert isinstance(error, TypeError), (value, error)


@parameters_of("flag")
@pytest.mark.parametrize("value", [False, True])
def test_truth_values_of_numpy_mean_what_python_s_do(parameter: Parameter, value: bool) -> None:
    for call in calls_of(parameter):
        plain = outcome(parameter, call, always(value))
        assert same(plain, outcome(parameter, call, always(np.bool_(value))))
        for other in (1, 0, "no", np.int8(1)):
            assert isinstance(outcome(parameter, call, always(other)), ArgumentTypeError)


@parameters_of("octets")
def test_bytes_of_every_kind_are_kept_as_they_were(parameter: Parameter) -> None:
    calls = [call for call in calls_of(parameter) if _bytes(parameter, call)]
    assert calls, f"no example has bytes for {parameter}"
    for call in calls:
        plain = plain_outcome(parameter, call)
        for kind in (bytearray, memoryview):
            typed = outcome(parameter, call, partial(changed, kinds=bytes, change=kind))
            assert same(plain, typed), (kind, typed)


@parameters_of("octets")
def test_text_is_no_bytes(parameter: Parameter) -> None:
    for call in calls_of(parameter):
        if _bytes(parameter, call):
            text = outcome(parameter, call, lambda value: changed(value, bytes, lambda octets: "x" * len(octets)))
            size = outcome(parameter, call, lambda value: changed(value, bytes, len))
            assert isinstance(text, TypeError), text
            assert isinstance(size, TypeError), size


@parameters_of("array")
def test_masked_arrays_are_refused(parameter: Parameter) -> None:
    calls = [call for call in calls_of(parameter) if list(leaves(call.values[parameter.name], np.ndarray))]
    assert calls, f"no example has an array for {parameter}"
    for call in calls:
        masked = outcome(parameter, call, lambda value: changed(value, np.ndarray, np.ma.masked_array))
        assert isinstance(masked, ArgumentTypeError), masked


def _numbers(parameter: Parameter, call: Call) -> list[Any]:
    """The numbers of an example."""
    return [n for n in leaves(call.values[parameter.name], (int, float, Fraction)) if is_plain(n)]


def _bytes(parameter: Parameter, call: Call) -> list[bytes]:
    return list(leaves(call.values[parameter.name], bytes))


def _outcome_of(parameter: Parameter, call: Call, kind: Callable[[Any], Any]) -> Any:
    """Of the example with another kind of number."""
    return outcome(parameter, call, lambda value: changed(value, (int, float, Fraction), kind))


@parameters_of("number")
def test_fractions_of_numpy_s_integers_are_exact(parameter: Parameter) -> None:
    for call in calls_of(parameter):
        numbers = list(leaves(call.values[parameter.name], Fraction))
        for kind in INTEGERS if numbers else ():
            if all(fits(kind, [n.numerator, n.denominator]) for n in numbers):
                given = _outcome_of(parameter, call, partial(_fraction_of, kind))
                assert same(plain_outcome(parameter, call), given), kind


def _fraction_of(kind: type[Any], value: Fraction) -> Fraction:
    """With terms of this type, as arithmetic can leave them: `Fraction(...)` itself takes some of them only."""
    made = object.__new__(Fraction)
    made._numerator = kind(value.numerator)  # type: ignore[attr-defined]
    made._denominator = kind(value.denominator)  # type: ignore[attr-defined]
    return made


# What was found wrong, by its numbers.

taken: Any = dp  # as a caller without annotations sees it


@pytest.mark.parametrize(
    ("sensitivity", "l1", "l2_squared"),
    [
        (lambda: taken.Sensitivity.sum(np.uint8(255), REPLACE_ONE), 255, 65025),
        (lambda: taken.Sensitivity.sum(np.int32(100000), REPLACE_ONE), 10**5, 10**10),
        (lambda: taken.Sensitivity.sum(np.int8(5), ADD_REMOVE, min_value=np.int8(-128)), 128, 128**2),
        (lambda: taken.Sensitivity.multihot(np.uint8(250), np.uint8(130), REPLACE_ONE), 250, 250),
        (lambda: taken.Sensitivity.vector_sum(10, np.uint8(255), REPLACE_ONE), 2550, 650250),
        (lambda: taken.Sensitivity.sum(100, REPLACE_ONE).times(np.int16(300)), 30_000, 9 * 10**8),
    ],
)
def test_sensitivities_of_numpy_s_integers(sensitivity: Callable[[], dp.Sensitivity], l1: int, l2_squared: int) -> None:
    made = sensitivity()
    assert made.l1 == l1
    assert made.l2_squared == l2_squared
    assert type(made.l2_squared.numerator) is int


def test_a_plan_made_of_the_largest_pixel_adds_all_of_its_noise() -> None:
    images = np.array([[0, 255], [7, 3]], np.uint8)
    plan = dp.Plan.central(dp.ZCdp("0.1"), dp.Sensitivity.sum(images.max(), REPLACE_ONE), 1)
    assert plan.law == dp.DiscreteGaussian(Fraction(325125))
    assert isinstance(plan.guarantee, dp.ZCdp)
    assert plan.guarantee.rho == Fraction(1, 10)


def test_a_unit_of_many_reports_gets_the_noise_for_all_of_them() -> None:
    plan = dp.Plan.central(
        dp.ZCdp("0.1"),
        dp.Sensitivity.sum(300, REPLACE_ONE),
        1,
        unit=taken.Unit(np.int16(300), "a day"),
        isochronous=False,
    )
    assert isinstance(plan.law, dp.DiscreteGaussian)
    assert float(plan.law.sigma_squared) == pytest.approx(4.05e10, rel=1e-6)


def test_a_noisy_sum_of_large_weights_is_the_one_of_plain_numbers() -> None:
    common: dict[str, Any] = {"clip": 1.0, "budget": dp.ZCdp(1), "n": 10}
    model = np.zeros(4)
    narrow = NoisySum.like(model, **common, max_weight=np.int16(1000))
    assert narrow == NoisySum.like(model, **common, max_weight=1000)
    assert narrow.plan == NoisySum.like(model, **common, max_weight=1000).plan


@pytest.mark.parametrize(
    "narrow", [{"bits": np.uint8(8)}, {"max_weight": np.int32(10**6)}, {"clip": np.float16(1)}], ids=str
)
def test_quantizers_decode_what_they_encoded(narrow: dict[str, Any]) -> None:
    quantizer: Quantizer[Any] = Quantizer.like(np.zeros(3), **{"clip": 1.0, **narrow})
    weight = 10**6 if "max_weight" in narrow else None
    encoded = quantizer.encode(np.ones(3), weight)
    params = quantizer.params(3)
    mean = quantizer.decode((3 * encoded).astype(params.dtype), params, 3).mean
    assert mean == pytest.approx(np.ones(3), abs=1e-4)


def test_a_histogram_of_numpy_s_length() -> None:
    taken_histogram: Any = Prio3Histogram
    wide, plain = (taken_histogram(length=length) for length in (np.int64(3), 3))
    assert wide.LEADER_SHARE_SIZE == plain.LEADER_SHARE_SIZE


def test_plans_have_whole_lengths() -> None:
    plan = dp.Plan.central(dp.ZCdp(1), dp.Sensitivity.sum(1, REPLACE_ONE), 1)
    fields = vars(plan)
    with pytest.raises(ArgumentTypeError, match="length must be an integer"):
        dp.Plan(**{**fields, "length": 1.5})
    with pytest.raises(ArgumentTypeError, match="length must be an integer"):
        dp.Plan.central(dp.ZCdp(1), dp.Sensitivity.sum(1, REPLACE_ONE), 1.5)  # type: ignore[arg-type]


def test_moduli_are_not_rounded() -> None:
    with pytest.raises(ArgumentTypeError, match="modulus must be an integer"):
        masking.expand(3, bytes(16), modulus=2.5)  # type: ignore[arg-type]


def test_params_take_bytes_and_keep_them() -> None:
    sizes: dict[str, Any] = {"n": 3, "m": 1, "modulus": 16}
    with pytest.raises(ArgumentTypeError, match="nonce must be bytes"):
        Params(**sizes | {"nonce": "x" * 16})
    with pytest.raises(ArgumentTypeError, match="context must be bytes"):
        Params(**sizes | {"context": "abc"})
    context = bytearray(b"round 1")
    params = Params(**sizes | {"context": context})
    context[-1:] = b"2"
    assert params.context == b"round 1"


@pytest.mark.parametrize("client_id", [1.0, True, "1", np.float64(1), np.True_])
def test_a_server_takes_no_message_of_what_is_no_user(client_id: Any) -> None:
    server = Server(Params(n=3, m=1, modulus=16))
    with pytest.raises(ArgumentTypeError, match="client id must be an integer"):
        server.receive(client_id, b"")
    assert server.faults == []


def test_a_share_that_is_no_array_is_refused_rather_than_left_without_noise() -> None:
    noise = dp.Plan.central(dp.ZCdp(1), dp.Sensitivity.sum(1, REPLACE_ONE), 2).noise_for(dp.Party.COLLECTOR)
    with pytest.raises(ArgumentTypeError, match="share must be an array"):
        noise.add_to([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1_0", "1_0.5", "\u0661\u0662", "1/\u0663", "\uff11", "1e1_0"])
def test_digits_are_those_that_everybody_reads(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="epsilon must be a number such as"):
        dp.PureDp(text)
