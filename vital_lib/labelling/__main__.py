"""``python -m vital_lib.labelling``: serve the preference card, one secret link per annotator."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from vital_lib.labelling.card import open_queue
from vital_lib.labelling.links import FILE, UnreadableLinks, issue
from vital_lib.labelling.service import Service, serve
from vital_lib.labels import STRATEGIES, check_names
from vital_lib.tables import MissingTable, UnsupportedFormat, Workspace

_ALL = "*"
_CARD = ("label_log", "wanted", "strategy", "seed", "flagged", "calibrate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the run, print the links and serve until stopped; return 2 if it cannot start."""
    given = _parser().parse_args(arguments)
    try:
        service = _service(given)
        left_out = _check_run(service)
        service.check_port()
        renew = service.annotators if given.new_links == _ALL else _names(given.new_links)
        if unknown := set(renew) - set(service.annotators):
            raise ValueError(f"--new-links {', '.join(sorted(unknown))}: not among the annotators")
        links = issue(given.run, service.annotators, renew=renew)
    except (ValueError, OSError, UnsupportedFormat, UnreadableLinks, SQLAlchemyError) as error:
        print(f"cannot serve the card: {error}", file=sys.stderr)
        return 2
    _announce(service, links, left_out)
    serve(service)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vital_lib.labelling", description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("data/runs/demo"), help="the run's folder")
    parser.add_argument("--annotators", required=True, help="names in the log, e.g. ann,bob")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; default: loopback")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument(
        "--url",
        help="the address of the page behind a proxy, e.g. https://host.example/label/ (the proxy "
        "must pass on paths unchanged, and websockets)",
    )
    parser.add_argument(
        "--labels",
        dest="label_log",
        help="SQLAlchemy URL of the label log; default: the run's own. Give a password by "
        "PGPASSWORD or ~/.pgpass",
    )
    parser.add_argument("--wanted", type=int, help="annotators per item; default: everyone")
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="random",
        help="order of the items outside the random arm; default: random",
    )
    parser.add_argument(
        "--calibrate",
        type=_count,
        default=10,
        metavar="ITEMS",
        help="items in the calibration round before an annotator's first label; 0: no round",
    )
    parser.add_argument(
        "--flagged",
        action="store_true",
        help="also show pairs with two equal responses, an echo of the request or a refusal",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the queue's order and sides")
    parser.add_argument(
        "--new-links",
        nargs="?",
        const=_ALL,
        default="",
        metavar="NAMES",
        help="replace the earlier links: all of them, or those of the given names, e.g. ann,bob",
    )
    parser.add_argument(
        "--idle",
        type=int,
        default=600,
        metavar="SECONDS",
        help="time after which the kernel of a closed page is stopped",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _service(given: argparse.Namespace) -> Service:
    return Service(
        run=given.run,
        annotators=_names(given.annotators),
        host=given.host,
        port=given.port,
        url=given.url,
        card={name: getattr(given, name) for name in _CARD},
        idle_seconds=given.idle,
    )


def _check_run(service: Service) -> str:
    """Describe the pairs left out; errors are raised here, not on an annotator's page."""
    if not service.run.is_dir():
        raise MissingTable(
            f"run folder {service.run} does not exist: run notebooks 01 and 02 first"
        )
    workspace = Workspace(service.run)
    workspace.read("figures")
    given = {name: value for name, value in (service.card or {}).items() if name != "calibrate"}
    queue, _, log = open_queue(workspace, service.annotators[0], **given)
    known = log.annotators()
    log.close()
    check_names(service.annotators, known)
    return queue.left_out


def _announce(service: Service, links: dict[str, str | None], left_out: str) -> None:
    print(f"The preference card of {service.run}, one link per annotator. Keep links private.")
    for name, secret in links.items():
        print(f"  {name}: {service.link(secret) if secret else 'the earlier link stays valid'}")
    print(f"Only their hashes are stored, in {service.run / FILE}. --new-links makes new ones.")
    print(f"{left_out}.")
    if not service.on_loopback:
        print(
            f"WARNING: listening on {service.host}, so others on the network can connect, and "
            "links and labels travel unencrypted. Put a proxy with TLS in front of it and give the "
            "proxy's address with --url.",
            file=sys.stderr,
        )
    print("Press Ctrl-C to stop.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
