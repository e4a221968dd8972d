"""The drawings of the protocol, in SVG: `python -m docs.generate.drawings` writes them to docs/drawings/.

Each is light or dark: as a file by what the reader's system prefers, in a page of the site by the page's scheme.
"""

import re
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "drawings"
WIDTH = 480
LIGHT = {
    "paper": "#ffffff",
    "panel": "#eef1f5",
    "ink": "#1d2129",
    "soft": "#586170",
    "line": "#8b95a3",
    "input": "#00695c",
    "self": "#9a4d00",
    "pair": "#5a3fb5",
    "gone": "#b3261e",
}
DARK = {
    "paper": "#1e2129",
    "panel": "#2a2f39",
    "ink": "#e8ebf0",
    "soft": "#a9b2c0",
    "line": "#77818f",
    "input": "#5fd4c1",
    "self": "#ffb467",
    "pair": "#b9a6ff",
    "gone": "#ff8a80",
}
_RULES = """
svg.drawing { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg.drawing text { fill: var(--ink); stroke: none; }
svg.drawing .b { font-weight: 600; }
svg.drawing .s { fill: var(--soft); }
svg.drawing .m { text-anchor: middle; }
svg.drawing .e { text-anchor: end; }
svg.drawing .paper { fill: var(--paper); }
svg.drawing .panel { fill: var(--panel); }
svg.drawing .box { fill: var(--paper); stroke: var(--line); }
svg.drawing .only { stroke: var(--pair); stroke-dasharray: 5 3; }
svg.drawing .arrow { stroke: var(--ink); stroke-width: 1.4; fill: none; marker-end: url(#ID-head); }
svg.drawing .life { stroke: var(--line); stroke-dasharray: 2 4; }
svg.drawing .head { fill: var(--ink); }
svg.drawing .cross { stroke: var(--gone); stroke-width: 2; }
svg.drawing .chip { fill: var(--paper); stroke-width: 1.5; }
"""
_KINDS = ("input", "self", "pair", "gone", "line")
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_IMAGE = re.compile(r"^!\[([^\]]*)\]\(([\w./-]*drawings/(\w[\w-]*)\.svg)\)$", re.MULTILINE)


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Words, from x on; with kind `m` around x, with `e` up to it.

    `_` begins an index of one letter or of {letters}.
    """
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{_indexed(words)}</text>'


def rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" class="{kind}"/>'


def arrow(*points: tuple[float, float]) -> str:
    """An arrow along these points."""
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{path}" class="arrow"/>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


def chip(x: float, y: float, words: str, kind: str, width: float = 104) -> str:
    """A summand in a box of its kind's colour."""
    words = words.replace("- ", "\N{MINUS SIGN} ")
    return rect(x, y, width, 26, f"chip {kind}") + text(x + width / 2, y + 18, words, f"m t-{kind}")


def rounds() -> Iterator[str]:
    """Fig. 4: what each user and the server send in each round."""
    user, server = 70, 410
    steps = [
        ("0  AdvertiseKeys", "U_1", "two public keys, for shares and for masks", "everybody's public keys"),
        ("1  ShareKeys", "U_2", "for each other user: sealed shares of s and b", "the shares that are for this user"),
        (
            "2  MaskedInputCollection",
            "U_3",
            "y = x + mask of b ± a mask with each other user",
            "whose inputs are there: U_3",
        ),
        ("3  ConsistencyCheck", "U_4", "a signature on U_3", "everybody's signatures on U_3"),
        ("4  Unmasking", "U_5", "shares: of b for those in U_3, of s for those who left", ""),
    ]
    yield rect(user - 54, 12, 108, 30, "box") + text(user, 32, "each user", "m b")
    yield rect(server - 54, 12, 108, 30, "box") + text(server, 32, "the server", "m b")
    yield line(user, 42, user, 612, "life") + line(server, 42, server, 612, "life")
    top = 54.0
    for title, who, up, down in steps:
        active = title.startswith("3")
        yield rect(12, top, WIDTH - 24, 102, "panel only" if active else "panel")
        yield text(24, top + 21, title, "b")
        yield text(WIDTH - 24, top + 21, "active model only" if active else f"who has answered: {who}", "e s")
        yield text(WIDTH / 2, top + 46, up, "m") + arrow((user, top + 54), (server, top + 54))
        if down:
            yield text(WIDTH / 2, top + 80, down, "m") + arrow((server, top + 88), (user, top + 88))
        else:
            yield text(WIDTH - 24, top + 84, "the server takes all masks off: the sum over U_3", "e b")
        top += 112


def dropout() -> Iterator[str]:
    """How masks cancel, and what replaces those of a user who is gone."""
    columns = (12, 170, 328)
    stacks = [
        ("user 1", [("x_1", "input"), ("+ PRG(b_1)", "self"), ("- p_{12}", "pair"), ("- p_{13}", "gone")]),
        ("user 2", [("x_2", "input"), ("+ PRG(b_2)", "self"), ("+ p_{12}", "pair"), ("- p_{23}", "gone")]),
        ("user 3", [("x_3", "line"), ("+ PRG(b_3)", "line"), ("+ p_{13}", "line"), ("+ p_{23}", "line")]),
    ]
    yield text(12, 24, "What each user sends: y is the sum of its column", "b")
    for x, (name, summands) in zip(columns, stacks, strict=True):
        yield rect(x, 34, 140, 164, "panel") + text(x + 70, 54, name, "m b")
        for row, (words, kind) in enumerate(summands):
            yield chip(x + 18, 64 + 32 * row, words, kind)
    yield line(332, 38, 464, 194, "cross") + line(464, 38, 332, 194, "cross")
    yield text(398, 216, "gone before it sent y_3", "m t-gone")
    yield text(12, 246, "What the server adds up: y_1 + y_2", "b")
    for x, words, kind in zip(
        (12, 90, 168, 284),
        ("x_1", "+ x_2", "+ PRG(b_1)", "+ PRG(b_2)"),
        ("input", "input", "self", "self"),
        strict=True,
    ):
        yield chip(x, 256, words, kind, 70 if kind == "input" else 108)
    yield chip(12, 288, "- p_{13}", "gone", 70) + chip(90, 288, "- p_{23}", "gone", 70)
    yield chip(168, 288, "- p_{12} + p_{12} = 0", "pair", 224)
    yield text(12, 346, "What the others' shares give back", "b")
    yield rect(12, 356, WIDTH - 24, 96, "panel")
    yield text(24, 378, "users 1 and 2 are in the sum:")
    yield text(24, 400, "t shares of b_1 and of b_2", "t-self") + arrow((232, 396), (262, 396))
    yield text(270, 400, "PRG(b_1), PRG(b_2)", "t-self")
    yield text(24, 436, "user 3 is gone: t shares of s_3", "t-gone") + arrow((232, 432), (262, 432))
    yield text(270, 436, "p_{13}, p_{23}", "t-gone")
    yield text(12, 480, "What is left", "b")
    yield chip(12, 490, "x_1", "input", 70) + chip(90, 490, "+ x_2", "input", 70)
    yield text(176, 508, "and nobody gives both b and s of one user", "s")


def two_servers() -> Iterator[str]:
    """A report's way through DAP."""
    yield rect(150, 12, 180, 48, "box") + text(240, 32, "Clients", "m b") + text(240, 50, "split and seal", "m s")
    yield arrow((180, 60), (116, 118)) + text(134, 86, "1", "b e")
    yield text(252, 88, "both shares go to the Leader,", "s") + text(252, 105, "each sealed to its Aggregator", "s")
    for x, name, kind in ((12, "Leader", "input"), (284, "Helper", "pair")):
        yield rect(x, 122, 184, 154, "panel") + text(x + 92, 144, name, "m b")
        for row, words in enumerate(("opens its own shares", "checks them", "adds them up", "adds noise")):
            yield chip(x + 12, 156 + 29 * row, words, kind, 160)
    yield arrow((196, 170), (282, 170)) + text(239, 162, "2", "m b")
    yield arrow((196, 200), (282, 200)) + arrow((284, 208), (198, 208)) + text(239, 226, "3", "m b")
    yield arrow((284, 258), (198, 258)) + text(239, 250, "4", "m b")
    yield arrow((116, 276), (180, 326)) + text(134, 310, "5", "b e")
    yield text(252, 300, "two sums, each sealed", "s") + text(252, 317, "to the Collector", "s")
    yield rect(150, 330, 180, 48, "box") + text(240, 350, "Collector", "m b") + text(240, 368, "adds the two", "m s")


DRAWINGS: dict[str, tuple[str, int, Callable[[], Iterator[str]]]] = {
    "rounds": ("The rounds of Fig. 4 between each user and the server", 622, rounds),
    "dropout": ("Three users, one of whom drops out: which masks cancel and which are removed", 528, dropout),
    "two-servers": ("A report's way from a Client through Leader and Helper to the Collector", 390, two_servers),
}


def drawing(name: str) -> str:
    """The SVG file of this name."""
    title, height, parts = DRAWINGS[name]
    head = (
        f'<marker id="{name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' class="drawing {name}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_style(name, '@media (prefers-color-scheme: dark) { svg.drawing', '}')}</style>",
            f'<defs>{head}<path d="M0 0 L8 4 L0 8 Z" class="head"/></marker></defs>',
            rect(0, 0, WIDTH, height, "paper"),
            *parts(),
            "</svg>\n",
        ]
    )


def inlined(markdown: str) -> str:
    """A page with its drawings in it, whose colours follow the page's scheme, as those of an image cannot."""

    def figure(match: re.Match[str]) -> str:
        name = match.group(3)
        style = f"<style>{_style(name, '[data-md-color-scheme=slate] svg.drawing', '')}</style>"
        svg = _STYLE.sub(lambda _: style, drawing(name)).replace("\n", "")
        return f'<figure class="drawing">{svg}<figcaption>{escape(match.group(1))}</figcaption></figure>'

    return _IMAGE.sub(figure, markdown)


def _style(name: str, dark: str, end: str) -> str:
    colours = {kind: f"svg.drawing .t-{kind} {{ fill: var(--{kind}); }}" for kind in _KINDS}
    borders = (f"svg.drawing .chip.{kind} {{ stroke: var(--{kind}); }}" for kind in _KINDS)
    rules = _RULES.replace("svg.drawing .arrow", f"svg.drawing.{name} .arrow").replace("ID", name)
    return "\n".join(
        [
            f"svg.drawing {{ {_variables(LIGHT)} }}",
            f"{dark} {{ {_variables(DARK)} }}{end}",
            rules.strip(),
            *colours.values(),
            *borders,
        ]
    )


def _variables(palette: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in palette.items())


def _indexed(words: str) -> str:
    """Indices as smaller letters below the line, which every renderer of SVG knows."""

    def index(match: re.Match[str]) -> str:
        low = '<tspan dy="3" font-size="10">{}</tspan><tspan dy="-3">&#8203;</tspan>'
        return low.format(match.group(1) or match.group(2))

    return re.sub(r"_(?:\{(\w+)\}|(\w))", index, escape(words))


if __name__ == "__main__":
    for each in DRAWINGS:
        (FOLDER / f"{each}.svg").write_text(drawing(each))
