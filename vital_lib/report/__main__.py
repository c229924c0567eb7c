"""Write the report of a run: ``python -m vital_lib.report RUN [--beside OTHER]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vital_lib.report.page import write_report
from vital_lib.tables import UnsupportedFormat, Workspace


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vital_lib.report", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--beside", type=Path, help="the folder of a run to compare it with")
    options = parser.parse_args()
    for folder in filter(None, (options.run, options.beside)):
        if not (folder / "run.json").is_file():
            print(f"{folder} is not a run: it has no run.json", file=sys.stderr)
            return 1
    try:
        other = options.beside and Workspace(options.beside)
        print(write_report(Workspace(options.run), beside=other))
    except (OSError, UnsupportedFormat, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
