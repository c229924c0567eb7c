"""What browser tests share: a JupyterLab for each module, and a page for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab, chromium, jupyter_lab
from playwright.sync_api import Page


@pytest.fixture(scope="module")
def lab(request, tmp_path_factory) -> Iterator[Lab]:
    """A JupyterLab over an empty folder, in the dark theme unless a module asks for another.

    It asks by ``pytest.mark.parametrize("lab", ["light"], indirect=True)``.
    """
    folder, private = (tmp_path_factory.mktemp(name) for name in ("notebooks", "private"))
    with jupyter_lab(folder, private, theme=getattr(request, "param", "dark")) as lab:
        yield lab


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless Chromium of the test's own."""
    with chromium() as page:
        yield page
