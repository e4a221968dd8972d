"""One decoder under libFuzzer, in a process that ends with it: libFuzzer neither returns nor cleans up.

Importing this module imports secagg with atheris' counters of branches, which takes seconds: the processes are forked
from one that has.
"""

import os
from contextlib import redirect_stderr
from io import StringIO
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import atheris

with redirect_stderr(StringIO()), atheris.instrument_imports(include=["secagg"]):  # it names each module
    from .decoders import CORPUS, DECODERS

_OPTIONS = ("-max_len=1024", "-timeout=10", "-rss_limit_mb=1024")


def start(name: str, folder: Path, *options: str) -> ForkProcess:
    """Begin fuzzing a decoder.

    Args:
        name: of the decoder.
        folder: an empty one for what the process needs and finds; `output` in it has what it says.
        options: libFuzzer's, beside those for all decoders.

    Returns:
        The process, whose exit code is 0 if no input broke the decoder's invariant.
    """
    process = get_context("fork").Process(target=_fuzz, args=(name, folder, options))
    process.start()
    return process


def _fuzz(name: str, folder: Path, options: tuple[str, ...]) -> None:
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ["TMPDIR"] = str(folder)
    found = folder / "found"
    found.mkdir()
    check = DECODERS[name]
    arguments = [name, *_OPTIONS, *options, str(found), str(CORPUS / name)]
    atheris.Setup(arguments, lambda data: check(data) and None)
    atheris.Fuzz()
