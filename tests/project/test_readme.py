"""The README's Python runs, and prints what it says."""

import re
from textwrap import dedent

import pytest

from ..support.folders import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n((?:    [^\n]*\n)+))?", README, re.DOTALL)


def test_readme_has_examples() -> None:
    assert len(BLOCKS) == 6


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=["round", "active", "prio3", "noise", "noisy", "kernels"])
def test_readme_example(code: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() == dedent(printed).strip()
