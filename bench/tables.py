"""Figures and tables as Markdown."""

from collections.abc import Iterable, Iterator, Sequence


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def spread(quartiles: list[float]) -> str:
    low, middle, high = map(number, quartiles)
    return f"**{middle}** ({low} - {high})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
