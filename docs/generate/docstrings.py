"""Docstrings as Markdown: they are plain text, in which `2**64` is a power and `<name>` is no tag."""

import re
from typing import Any

import griffe


class Plain(griffe.Extension):  # type: ignore[misc]
    """Takes the meaning from marks that Markdown would see in a docstring."""

    def on_object(self, *, obj: Any, **others: Any) -> None:
        """After griffe has read an object."""
        if not obj.is_alias and obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)


def plain(docstring: str) -> str:
    """The same text with marks escaped, but in code: between backticks, and in paragraphs that are indented."""
    return "\n\n".join(
        paragraph if _is_code(paragraph) else _escaped(paragraph) for paragraph in docstring.split("\n\n")
    )


def _is_code(paragraph: str) -> bool:
    return all(line.startswith("    ") for line in paragraph.splitlines())


def _escaped(paragraph: str) -> str:
    pieces = re.split(r"(`[^`]*`)", paragraph)
    return "".join(piece if piece.startswith("`") else _unmarked(piece) for piece in pieces)


def _unmarked(words: str) -> str:
    return re.sub(r"<(?=[a-zA-Z/!])", "&lt;", words.replace("*", r"\*"))
