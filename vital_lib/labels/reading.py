"""Fingerprints of the votes that a stage has read, to detect newer votes in the label log.

Only votes on the stage's items count, and with "people" only votes of people. Votes on other
items, calibration rounds and adjudications do not make a stage out of date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from vital_lib.annotators import votes_of
from vital_lib.labels.database import LabelsNotSaved
from vital_lib.labels.log import LabelLog
from vital_lib.tables import TABLES, NotReadable, UnsupportedFormat, VotesRead, Workspace

_UNREADABLE = (LabelsNotSaved, UnsupportedFormat, ValueError, sa.exc.SQLAlchemyError, ImportError)
_SECRETS = ("password", "sslpassword")
_CLOSED = "the label log cannot be opened from here"
_NO_PASSWORD = "no password is stored: set PGPASSWORD"  # an error of a server may hold secrets

_LAST_READ: dict[tuple[int, str] | None, pd.DataFrame] = {}
"""The votes read last, keyed by `LabelLog.latest`, because a page needs them several times."""


def votes_read(
    votes: pd.DataFrame,
    annotators: str,
    label_log: str | None = None,
    *,
    items: Iterable[str] | None = None,
) -> VotesRead:
    """Return the record, for `made_from`, of the votes on which a table or metric rests.

    Args:
        votes: `LabelLog.preferences()` as read; columns of table `preferences`. Rows of other
            items, and of annotators who do not count, are left out.
        annotators: "clinic" or "people", as for `votes_of`.
        label_log: the log's URL; None for the run's own log. A password in it is not stored.
        items: ids of the items that could have votes. None stands for all instructions of
            `drafts`; `votes` must then hold no others.
    """
    items = None if items is None else tuple(sorted(set(items)))
    url = None if label_log is None else _without_password(label_log)
    print_ = _fingerprint(votes, annotators, items)
    return VotesRead("drafts" if items is None else "pairs", print_, annotators, url, items)


def log_of_run(workspace: Workspace) -> LabelLog:
    """Open the label log that notebook 03 of a run has read; without one, the run's own file.

    No password is stored: PostgreSQL takes it from PGPASSWORD.

    Raises:
        UnsupportedFormat, LabelsNotSaved, ValueError: as for `LabelLog`.
    """
    read = workspace.origin("preferences") if workspace.has("preferences") else {}
    votes = read.get("votes", {}).values()
    given = [how["label_log"] for how in votes if how["label_log"]]
    return LabelLog(given[0] if given else workspace.label_url)


def votes_now(url: str, annotators: str, items: Collection[str]) -> str:
    """Return the fingerprint of the votes now; a missing log counts as one without votes.

    Raises:
        NotReadable: the log cannot be opened from here.
    """
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return _fingerprint(pd.DataFrame(columns=TABLES["preferences"].columns), annotators, items)
    try:
        with closing(LabelLog(url)) as log:
            at = log.latest()
            votes = _LAST_READ.get(at)
            if votes is None:
                votes = log.preferences()
                _LAST_READ.clear()
                _LAST_READ[at] = votes
    except _UNREADABLE as error:
        own = address.get_backend_name() == "sqlite"
        why = str(error).partition("\n")[0] if own else _NO_PASSWORD
        raise NotReadable(f"{_CLOSED} ({why})") from error
    return _fingerprint(votes, annotators, items)


def _fingerprint(votes: pd.DataFrame, annotators: str, items: Collection[str] | None) -> str:
    own = votes_of(votes, annotators)
    own = own if items is None else own[own["item_id"].isin(list(items))]
    rows = own[TABLES["preferences"].columns].sort_values(["item_id", "annotator"])
    return hashlib.sha256(rows.to_json(orient="values").encode()).hexdigest()


def _without_password(label_log: str) -> str:
    address = sa.make_url(label_log)
    if address.get_backend_name() == "sqlite" and address.database:
        address = address.set(database=str(Path(address.database).absolute()))
    place = address.host, address.port, address.database
    kept = sa.URL.create(address.drivername, address.username, None, *place, address.query)
    return kept.difference_update_query(_SECRETS).render_as_string()
