"""The templates of the report; text from models and files is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape


@cache
def templates() -> Environment:
    """Return the environment that renders the templates of this folder."""
    folder = Path(__file__).parent
    return Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape(default=True))
