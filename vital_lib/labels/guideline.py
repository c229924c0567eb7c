"""The one-page guideline for clinicians, ``guideline.md``, which the preference card shows."""

from __future__ import annotations

from importlib import resources


def guideline() -> str:
    """Return the one-page guideline for clinicians as Markdown text."""
    return resources.files("vital_lib.labels").joinpath("guideline.md").read_text("utf-8")
