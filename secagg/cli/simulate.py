"""`secagg simulate`: a whole session in one process, with times and sizes as in the paper's Fig. 8."""

import secrets
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray

from ..protocol.graph import Sparse
from ..protocol.messages import Round
from ..protocol.params import Model, Params
from ..protocol.simulate import Simulation, expected_sum
from ..protocol.simulate import simulate as run_session
from ..protocol.thresholds import Threat
from .app import CommandError, fail, require
from .console import progress_bar, show_json
from .noise import Noisy, choose_budget, describe_noise
from .numbers import integer_option, number_option
from .options import check_writable
from .report import describe, option_name, show_report
from .vectors import Directions, Folder, Quantized, Synthetic

Choice = TypeVar("Choice", bound=IntEnum)

DEFAULT_CLIENTS = 100
DEFAULT_LENGTH = 100_000
DEFAULT_BITS = 24  # all three as in Fig. 8


def simulate(
    clients: Annotated[int | None, integer_option(help="Number of clients, n. [default: 100]")] = None,
    length: Annotated[int | None, integer_option(help="Entries of each client's vector, m. [default: 100000]")] = None,
    bits: Annotated[int | None, integer_option(help="Sums are mod R = 2^bits, 1 .. 64. [default: 24]")] = None,
    modulus: Annotated[int | None, integer_option(help="Any other R, 2 .. 2^64, instead of --bits.")] = None,
    drop: Annotated[float, number_option(help="Fraction of the clients that drop out, 0 <= drop < 1.")] = 0.0,
    drop_at: Annotated[
        str,
        typer.Option(
            metavar="ROUND",
            help="The first message that they do not send: advertise-keys (0), share-keys (1),"
            " masked-input-collection (2), consistency-check (3; active model only) or unmasking (4).",
        ),
    ] = "masked-input-collection",
    model: Annotated[
        str,
        typer.Option(
            help="How corrupt parties may behave: semi-honest (they follow the protocol) or active (they do anything;"
            " everyone signs, with identities made for this run)."
        ),
    ] = "semi-honest",
    threshold: Annotated[
        int | None,
        integer_option(help="Shares that reveal a secret, t; every round needs as many clients. [default: by threat]"),
    ] = None,
    threat: Annotated[
        str, typer.Option(help="Who may be corrupt: clients-only, server-only or colluding (both together).")
    ] = "colluding",
    corrupt: Annotated[
        int | None, integer_option(help="Number of corrupt clients. [default: below n/3 if colluding, else 0]")
    ] = None,
    degree: Annotated[
        int | None, integer_option(help="Share with so many others, as `secagg params` finds. [default: all]")
    ] = None,
    threads: Annotated[
        int, integer_option(help="Clients computed at once, and threads of the server; Fig. 8 uses one.")
    ] = 1,
    folder: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="Take one .npy vector of floats per client from here.")
    ] = None,
    clip: Annotated[
        float | None, number_option(help="With --input: larger magnitudes are cut to this before they are quantized.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --input: write the survivors' mean here, as .npy.")
    ] = None,
    dp_epsilon: Annotated[
        str | None, typer.Option(help="Let every client add noise, for this budget: 1, 0.5. Needs --dp-delta.")
    ] = None,
    dp_delta: Annotated[
        str | None, typer.Option(help="With --dp-epsilon: the probability that it fails, such as 1e-6.")
    ] = None,
    dp_rho: Annotated[str | None, typer.Option(help="A zCDP budget, instead of --dp-epsilon and --dp-delta.")] = None,
    dp_clip: Annotated[
        float | None,
        number_option(
            help="With noise: the L2 norm that longer vectors are scaled down to. [default: 1 for random vectors]"
        ),
    ] = None,
    dp_rotate: Annotated[
        bool,
        typer.Option(
            "--dp-rotate", help="With noise: rotate vectors at random, which takes less of R where clients are many."
        ),
    ] = False,
    dp_rounds: Annotated[
        int, integer_option(help="With noise: how many such sessions the budget is for, all of them together.")
    ] = 1,
    dp_per_client: Annotated[
        int | None, integer_option(help="With --dp-rounds: the most of them that one client joins. [default: all]")
    ] = None,
    seed: Annotated[
        int | None, integer_option(help="Repeat the same random inputs and dropouts. Keys and noise are always fresh.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; times in seconds, sizes in bytes.")] = False,
) -> None:
    """Run one round of secure aggregation, all clients and the server, in this process.

    Prints the time that each step takes a client and the server, the bytes that a client sends and receives, and
    whether the sum is the one computed in the clear.

    Inputs are random vectors, or with --input vectors of yours: one file for each client, in the order of their names,
    quantized as finely as R allows. With --output the mean over the clients that stay is written.

    With a budget, --dp-epsilon and --dp-delta or --dp-rho, clients add noise before they mask. The noise of the clients
    that are assumed to be honest protects every client's vector from all who see the sum. R is chosen for it. The
    command then also prints the guarantee and its assumptions, the error of the mean, and the noise that a trusted
    server would add.

    \b
    Examples:
      secagg simulate --clients 100 --length 100000 --bits 24 --drop 0.1
      secagg simulate --clients 50 --drop 0.2 --drop-at unmasking --json
      secagg simulate --model active --drop 0.1 --drop-at consistency-check
      secagg simulate --model active --clients 300 --corrupt 3 --degree 40 --length 1000 --drop 0.01
      secagg simulate --input updates/ --clip 1.0 --bits 32 --output mean.npy
      secagg simulate --dp-epsilon 1 --dp-delta 1e-6 --length 10000 --drop 0.1
      secagg simulate --dp-epsilon 8 --dp-delta 1e-6 --dp-rounds 100 --dp-per-client 10 --length 20000
      secagg simulate --input updates/ --dp-rho 0.05 --dp-clip 3.0 --dp-rotate --output mean.npy

    Exit codes: 1 the sum is wrong.
    """
    # Options first: complain before the work and not after it.
    require(threads >= 1, f"--threads must be at least 1, got {threads}")
    require(seed is None or seed >= 0, f"--seed must not be negative, got {seed}")
    seed = secrets.randbits(63) if seed is None else seed
    budget = choose_budget(dp_epsilon, dp_delta, dp_rho)
    settings = choose_settings(model, threat, threshold, corrupt, degree)
    round_of_drop = choose_round(drop_at, settings["model"])
    of_noise = {
        "--dp-clip": dp_clip is not None,
        "--dp-rotate": dp_rotate,
        "--dp-rounds": dp_rounds != 1,
        "--dp-per-client": dp_per_client is not None,
    }
    check_noise_options(budget is not None, bits, modulus, clip, of_noise)

    # Inputs and parameters: random or from a folder, quantized, or with noise under a budget.
    inputs: Synthetic | Quantized | Noisy
    if budget is None:
        settings["modulus"] = choose_modulus(bits, modulus)
        inputs = choose_inputs(folder, clip, output, clients, length, seed, settings)
    else:
        source, norm = choose_vectors(folder, dp_clip, output, clients, length, seed)
        inputs = Noisy(source, norm, budget, dp_rotate, dp_rounds, dp_per_client, seed, settings)

    # The session, with clients that drop out.
    noises = inputs.noise if isinstance(inputs, Noisy) else None
    dropped = choose_dropped(inputs.params.n, drop, seed)
    with progress_bar() as progress:
        result = run_session(
            inputs.params,
            inputs,
            noises=noises,
            drops={round_of_drop: dropped},
            threads=threads,
            progress=lambda current, done, total: progress(f"Round {current.value}, {current}", done, total),
        )

    # The report: times and sizes, whether the sum is right, and the mean.
    report = describe(result, threads)
    report["dropped"] = {"round": str(round_of_drop), "clients": dropped}
    report["seed"] = seed
    report["sum_correct"] = correct = bool(
        np.array_equal(result.sum, expected_sum(result.params, inputs, result.survivors, noises=noises))
    )
    if isinstance(inputs, Quantized) and correct:
        report["mean"] = save_mean(inputs, result, output)
    if isinstance(inputs, Noisy) and correct:
        report["noise"], mean = describe_noise(inputs, result)
        report["noise"]["output"] = write_mean(mean, output)
    show_json(report) if json else show_report(report)
    if not correct:
        with_noise = "" if noises is None else ", noise included"
        fail(f"the sum differs from the one computed in the clear{with_noise}", code=1)


def choose(option: str, kind: type[Choice], text: str) -> Choice:
    """The member of `kind` that is meant.

    Args:
        option: name, for the error.
        kind: with the members that are known.
        text: a member's name in any spelling of words, or its number.

    Raises:
        CommandError: there is no such member.
    """
    for member in kind:
        if text.strip() == str(member.value) or _squeezed(text) == _squeezed(member.name):
            return member
    known = ", ".join(f"{option_name(member)} ({member.value})" for member in kind)
    raise CommandError(f"{option} must be one of {known}; got {text!r}")


def choose_modulus(bits: int | None, modulus: int | None) -> int:
    """R, from --bits or --modulus.

    Raises:
        CommandError: both are given, or --bits is out of range.
    """
    require(bits is None or modulus is None, "--bits and --modulus both choose R: give one of them")
    if modulus is not None:
        return modulus
    bits = DEFAULT_BITS if bits is None else bits
    require(1 <= bits <= 64, f"--bits must be 1 .. 64, got {bits}")
    return 1 << bits


def choose_round(text: str, model: Model) -> Round:
    """The round that --drop-at names.

    Raises:
        CommandError: there is no such round in the model.
    """
    chosen = choose("--drop-at", Round, text)
    require(
        model is Model.ACTIVE or chosen is not Round.CONSISTENCY_CHECK,
        f"--drop-at {text}: only the active model has this round; add --model active",
    )
    return chosen


def choose_settings(
    model: str, threat: str, threshold: int | None, corrupt: int | None, degree: int | None
) -> dict[str, Any]:
    """The arguments of Params that do not depend on the inputs; Params checks them further."""
    settings: dict[str, Any] = {
        "model": choose("--model", Model, model),
        "threat": choose("--threat", Threat, threat),
    }
    if threshold is not None:
        require(threshold >= 2, f"--threshold must be at least 2, got {threshold}")
        settings["t"] = threshold
    if corrupt is not None:
        require(corrupt >= 0, f"--corrupt must not be negative, got {corrupt}")
        settings["n_corrupt"] = corrupt
    if degree is not None:
        settings["graph"] = Sparse(degree)
    return settings


def check_noise_options(
    noise: bool, bits: int | None, modulus: int | None, clip: float | None, of_noise: Mapping[str, bool]
) -> None:
    """Refuse options that need noise, of which it is said whether they are given, if there is none; and options that
    noise does not allow."""
    if noise:
        require(bits is None and modulus is None, "noise sets R: leave out --bits and --modulus")
        require(clip is None, "--clip cuts single values; with noise give --dp-clip, which bounds a vector's L2 norm")
    else:
        misplaced = next((option for option, given in of_noise.items() if given), None)
        require(misplaced is None, f"{misplaced} needs noise: give --dp-epsilon and --dp-delta, or --dp-rho")


def check_random_options(clients: int | None, length: int | None, output: Path | None) -> None:
    """Refuse options that do not go with random inputs."""
    require(output is None, "--output needs --input: there is no mean of random inputs to write")
    require(clients is None or clients >= 2, f"--clients must be at least 2, got {clients}")
    require(length is None or length >= 1, f"--length must be at least 1, got {length}")


def check_folder_options(clients: int | None, length: int | None, output: Path | None) -> None:
    """Refuse options that do not go with --input."""
    require(clients is None and length is None, "--input sets --clients and --length: leave them out")
    check_writable(output)


def choose_inputs(
    folder: Path | None,
    clip: float | None,
    output: Path | None,
    clients: int | None,
    length: int | None,
    seed: int,
    settings: dict[str, Any],
) -> Synthetic | Quantized:
    """Random inputs, or with --input the vectors of the folder."""
    if folder is None:
        check_random_options(clients, length, output)
        require(clip is None, "--clip needs --input: random inputs are not quantized")
        return Synthetic(Params(n=clients or DEFAULT_CLIENTS, m=length or DEFAULT_LENGTH, **settings), seed)
    if clip is None:
        raise CommandError("--input needs --clip, the largest magnitude of a value; larger ones are cut to it")
    check_folder_options(clients, length, output)
    return Quantized(Folder(folder), clip, seed, settings)


def choose_vectors(
    folder: Path | None, clip: float | None, output: Path | None, clients: int | None, length: int | None, seed: int
) -> tuple[Folder | Directions, float]:
    """Vectors for a noisy sum, and the L2 norm that they are clipped to."""
    require(clip is None or 1e-200 < clip < 1e200, f"--dp-clip must be positive (1e-200 .. 1e200), got {clip}")
    if folder is None:
        check_random_options(clients, length, output)
        norm = 1.0 if clip is None else clip
        return Directions(clients or DEFAULT_CLIENTS, length or DEFAULT_LENGTH, norm, seed), norm
    if clip is None:
        raise CommandError("--input needs --dp-clip, the L2 norm that longer vectors are scaled down to")
    check_folder_options(clients, length, output)
    return Folder(folder), clip


def choose_dropped(n: int, fraction: float, seed: int) -> list[int]:
    """The ids of the clients that drop out, chosen at random."""
    require(0 <= fraction < 1, f"--drop must be at least 0 and below 1, got {fraction}")
    rng = np.random.default_rng([seed, 0])
    return sorted((rng.permutation(n)[: round(fraction * n)] + 1).tolist())


def save_mean(inputs: Quantized, result: Simulation, output: Path | None) -> dict[str, Any]:
    """Write the mean over the survivors, and describe it and its error as --json prints it."""
    k = len(result.survivors)
    aggregate = inputs.quantizer.decode(result.sum, result.params, k)
    return {
        "files": [file.name for file in inputs.folder.files],
        "clip": inputs.quantizer.clip,
        "value_bits": inputs.quantizer.bits,
        "max_error": aggregate.mean_error,
        "clipped": sum(inputs.clipped[u] for u in result.survivors),
        "values": k * result.params.m,
        "output": write_mean(aggregate.mean, output),
    }


def write_mean(mean: NDArray[Any], output: Path | None) -> str | None:
    """Write a mean as .npy, if there is an output file; gives the file's name."""
    if output is None:
        return None
    with output.open("wb") as file:  # np.save would add .npy to the name
        np.save(file, mean)
    return str(output)


def _squeezed(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()
