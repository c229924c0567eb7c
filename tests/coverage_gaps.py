"""Print the measured coverage of vital_lib and its gaps; fail if the total is below the limit."""

from __future__ import annotations

import json
import subprocess
import sys

LIMIT = 90.0  # percent of lines, in sum; modules below it are listed


def main() -> int:
    """Read the data of the last measured test run; return an exit code."""
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    total = report["totals"]["percent_covered"]
    print(f"Coverage of vital_lib: {total:.1f} % of {report['totals']['num_statements']:,} lines")
    modules = [(found["summary"], path) for path, found in report["files"].items()]
    for summary, path in sorted(modules, key=lambda row: row[0]["percent_covered"]):
        if summary["percent_covered"] < LIMIT:
            missing = f"{summary['missing_lines']} of {summary['num_statements']} lines missing"
            print(f"{summary['percent_covered']:6.1f} %  {path} ({missing})")
    if total < LIMIT:
        print(f"at least {LIMIT:g} % are required: test the lines above")
    return int(total < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
