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
from vital_lib.labels import VOTES, check_names
from vital_lib.tables import MissingTable, UnsupportedFormat, Workspace

_ALL = "*"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the run, print the links, and serve until told to end; 2 where it cannot start."""
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
    parser.add_argument("--annotators", required=True, help="names in the log, as in ann,bob")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; default: loopback")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument(
        "--url",
        help="the address by which people reach it through a proxy, as in "
        "https://host.example/label/ (paths passed on unchanged, websockets too)",
    )
    parser.add_argument(
        "--labels",
        help="SQLAlchemy URL of the label log; default: the run's own. Leave a password to "
        "PGPASSWORD or ~/.pgpass",
    )
    parser.add_argument("--wanted", type=int, help="annotators per item; default: everyone")
    parser.add_argument(
        "--strategy",
        choices=VOTES,
        default="random",
        help="what comes first beside the random arm; default: random alone",
    )
    parser.add_argument(
        "--calibrate",
        type=_count,
        default=10,
        metavar="ITEMS",
        help="the round before a person's first label, on items that others agreed on; 0: none",
    )
    parser.add_argument(
        "--flagged",
        action="store_true",
        help="ask about pairs that are no choice, too: two same answers, an echo, a refusal",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the queue's order and sides")
    parser.add_argument(
        "--new-links",
        nargs="?",
        const=_ALL,
        default="",
        metavar="NAMES",
        help="make the earlier links invalid: all of them, or those of ann,bob",
    )
    parser.add_argument(
        "--idle",
        type=int,
        default=600,
        metavar="SECONDS",
        help="a closed page's kernel is ended after so long",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
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
        card={
            "label_log": given.labels,
            "wanted": given.wanted,
            "strategy": given.strategy,
            "seed": given.seed,
            "flagged": given.flagged,
            "calibrate": given.calibrate,
        },
        idle_seconds=given.idle,
    )


def _check_run(service: Service) -> str:
    """How many pairs are left out; fails here, where somebody reads it, not on a person's page."""
    if not service.run.is_dir():
        raise MissingTable(f"there is no run folder {service.run}: run notebooks 01 and 02 first")
    workspace = Workspace(service.run)
    workspace.read("figures")
    given = {name: value for name, value in service.card.items() if name != "calibrate"}
    queue, _, log = open_queue(workspace, service.annotators[0], **given)
    known = log.annotators()
    log.close()
    check_names(service.annotators, known)
    return queue.left_out


def _announce(service: Service, links: dict[str, str | None], left_out: str) -> None:
    print(f"The preference card of {service.run}, one link per annotator; keep each to its owner.")
    for name, secret in links.items():
        print(f"  {name}: {service.link(secret) if secret else 'the earlier link stays valid'}")
    print(f"Only their hashes are kept, in {service.run / FILE}. --new-links makes new ones.")
    print(f"{left_out}.")
    if not service.on_loopback:
        print(
            f"WARNING: listening on {service.host}, so others on the network can connect, and "
            "links and labels travel unencrypted. Put a proxy with TLS before it, and give its "
            "address with --url.",
            file=sys.stderr,
        )
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
