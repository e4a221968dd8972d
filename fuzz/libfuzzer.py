"""Fuzzes one decoder until libFuzzer's options end it: `python -m fuzz.libfuzzer DECODER [libFuzzer's arguments]`."""

import sys

import atheris

with atheris.instrument_imports(include=["secagg"]):
    from .decoders import CORPUS, DECODERS


def main() -> None:
    name, *options = sys.argv[1:]
    check = DECODERS[name]
    atheris.Setup([name, *options, str(CORPUS / name)], lambda data: check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
