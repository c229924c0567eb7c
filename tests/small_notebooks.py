"""Small notebooks that a walkthrough runs in place of the ten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def small_notebooks_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes a notebook, of a name and cells, to the new folder.

    The first cell has the notebook's parameters. The walkthrough runs what is in the folder.
    """
    import nbformat

    from vital_lib import walkthrough

    folder.mkdir()
    monkeypatch.setattr(walkthrough, "NOTEBOOKS", folder)

    def write(name: str, *sources: str) -> None:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        book = nbformat.v4.new_notebook(cells=cells)
        book.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(book, folder / f"{name}.ipynb")

    return write
