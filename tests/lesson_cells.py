"""The markdown of a notebook as a lesson: its prose, its formulas, its exercises and solutions."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

PAPER = "https://arxiv.org/abs/2406.13173"
PREDICT, CONCLUDE, EXERCISE = "### Predict, then run", "### What do you conclude?", "### Exercise "

_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
_SOLUTION = re.compile(
    r"<details>\n<summary>Solution</summary>\n\n```python\n(.*?)```\n\n</details>", re.S
)
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)


def markdown(book: NotebookNode) -> list[str]:
    """Return the source of every markdown cell, in order."""
    return [cell.source for cell in book.cells if cell.cell_type == "markdown"]


def words(book: NotebookNode) -> int:
    """Count the words of prose: no code, formulas, names in code type or addresses of links."""
    text = _LINK.sub(r"\1", _FENCE.sub("", "\n\n".join(markdown(book))))
    return len(_WORD.findall(re.sub(r"`[^`]*`|<[^>]*>", " ", _FORMULA.sub(" ", text))))


def exercises(book: NotebookNode) -> list[str]:
    """Return the source of every exercise."""
    return [source for source in markdown(book) if source.startswith(EXERCISE)]


def solutions(book: NotebookNode) -> list[str]:
    """Return the code of every solution."""
    return [code for source in markdown(book) for code in _SOLUTION.findall(source)]


def value_of(solution: str, run: Path) -> Any:
    """Execute a solution as a cell that follows the parameter cell; return its last expression."""
    *before, last = ast.parse(solution).body
    names: dict[str, Any] = {"run": str(run)}
    exec(compile(ast.Module(before, []), "<solution>", "exec"), names)  # noqa: S102 - our own code
    assert isinstance(last, ast.Expr), f"a solution ends with a value, not with {last!r}"
    return eval(compile(ast.Expression(last.value), "<solution>", "eval"), names)  # noqa: S307
