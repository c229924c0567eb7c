"""Packages that some tests install beside the environment, and scripts of docs/ as modules."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from filelock import FileLock

OCR = ["rapidocr-onnxruntime==1.4.4", "onnxruntime==1.32.0", "opencv-python-headless==4.13.0.92"]
OCR += ["pyclipper==1.4.0", "shapely==2.2.0", "flatbuffers==25.12.19", "protobuf==7.36.2"]
"""RapidOCR and what it needs, which finds text in images."""

DOCS = Path(__file__).parents[1] / "docs"


def installed_beside(name: str, packages: Sequence[str]) -> Path:
    """Return a folder with pinned packages, kept between runs; skip the test without an index."""
    folder = Path(tempfile.gettempdir()) / f"vital-extras-{os.getuid()}" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # the tests run in two processes
        if not (folder / "complete").is_file():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            command = [*pip, "--target", str(folder), *packages]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"needs a package index: {done.stderr.strip().splitlines()[-1]}")
            (folder / "complete").touch()
    return folder


def script_of_docs(name: str) -> ModuleType:
    """Return the script docs/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_page", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
