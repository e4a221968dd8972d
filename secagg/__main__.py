"""`python -m secagg`: the same as the command `secagg`."""

from .cli import main

if __name__ == "__main__":
    main()
