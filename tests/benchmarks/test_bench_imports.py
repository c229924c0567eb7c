"""What importing the library costs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from measuring import median_seconds

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", ["vital_lib", "vital_lib.client", "vital_lib.labels"])
def test_importing_costs_little_beside_pandas(module, report):
    def run(names: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {names}"], check=True)

    ours, pandas = median_seconds(lambda: run(module), lambda: run("pandas, pyarrow.parquet"))
    report("import", **{f"{module}_seconds": ours, f"{module}_over_pandas": ours / pandas})
    assert ours < 4 * pandas
