"""``python -m vital_lib.labels convert OLD NEW``: copy an older label log into a new one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from vital_lib.labels.convert import convert
from vital_lib.labels.database import LabelsNotSaved
from vital_lib.tables import UnsupportedFormat


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert and say how many events were copied; return 2 if the log cannot be converted."""
    parser = argparse.ArgumentParser(prog="python -m vital_lib.labels", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("convert", help="copy a log of an older format into a new log")
    command.add_argument("old", help="the log's path or SQLAlchemy URL; it is only read")
    command.add_argument("new", help="path or URL of the new log")
    given = parser.parse_args(arguments)
    try:
        number = convert(given.old, given.new)
    except (ValueError, OSError, UnsupportedFormat, LabelsNotSaved, SQLAlchemyError) as error:
        print(f"cannot convert {given.old}: {error}", file=sys.stderr)
        return 2
    print(f"{number:,} events copied. {given.old} is unchanged.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
