"""Claims about data sets that the library `datasets` 5.2.0 wrote or reads, installed beside."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from article_rows import png, write_tar
from export_rows import tools_beside


@pytest.mark.slow
def test_what_datasets_saves_and_streams_is_read(tmp_path, root):
    parts = {
        "a.png": png(1),
        "a.json": b'{"caption": "An MRI.", "license": "CC BY"}',
        "b.png": png(2),
    }
    write_tar(tmp_path / "shards" / "train-0000.tar", {**parts, "b.json": b'{"caption": null}'})
    paths = [str(root), str(root / "tests"), str(tools_beside())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    script = root / "tests" / "with_saved_sets.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(tmp_path / "caches")],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["one"] == [[f"r{n}" for n in range(30) if n != 3], 0]
    assert found["both"] == [["r0", "r1", "r2"], 0]
    assert found["hub"] == [["a"], ["An MRI."], 1]
    assert "'hf:nobody/none' cannot be read from the hub" in found["none"]
