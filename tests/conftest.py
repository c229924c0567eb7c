"""What all tests share: the repository's root, and the folder of real figures where it is there."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REALDATA = ROOT.parent / "shared" / "realdata"


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def realdata() -> Path:
    """The folder of real figures and questions; the test is skipped where it is absent."""
    if not REALDATA.is_dir():
        pytest.skip("the folder of real figures is not beside this checkout")
    return REALDATA
