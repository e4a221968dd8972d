"""Python imports this at its start: see `tests.mutants.planting`."""

import os

if "SECAGG_MUTANT" in os.environ:
    from tests.mutants.planting import install

    install()
