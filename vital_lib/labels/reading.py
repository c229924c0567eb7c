"""What was read of a label log, and what stands there now: by it stages know of newer votes.

Only votes on the items in question count, and with "people" only people's: what is said of other
items, in calibration rounds or to settle a question makes nothing old.
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
from vital_lib.tables import TABLES, NotReadable, UnsupportedFormat, VotesRead

_SECRETS = ("password", "sslpassword")
_CLOSED = "the label log cannot be opened from here (its password is kept nowhere: set PGPASSWORD)"

_LAST_READ: dict[tuple[int, str] | None, pd.DataFrame] = {}
"""The votes as of `LabelLog.latest`: a page asks for them several times over."""


def votes_read(
    votes: pd.DataFrame,
    annotators: str,
    label_log: str | None = None,
    *,
    items: Iterable[str] | None = None,
) -> VotesRead:
    """What is kept, as one of `made_from`, of the votes that a table or a metric rests on.

    Args:
        votes: `LabelLog.preferences()` as it was read; columns of table `preferences`. Rows of
            other items, or of people who do not count, are left out.
        annotators: "clinic" or "people": whose votes count, as for `votes_of`.
        label_log: the log's URL; None is the run's own. A password in it is not kept.
        items: ids of the items that could have been voted on; None: all instructions of `drafts`,
            `votes` being of these alone.
    """
    items = None if items is None else tuple(sorted(set(items)))
    url = None if label_log is None else _without_password(label_log)
    print_ = _fingerprint(votes, annotators, items)
    return VotesRead("drafts" if items is None else "pairs", print_, annotators, url, items)


def votes_now(url: str, annotators: str, items: Collection[str]) -> str:
    """The fingerprint that `votes_read` would give today; of a log that is not there that of none.

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
    except (
        LabelsNotSaved,
        UnsupportedFormat,
        ValueError,
        sa.exc.SQLAlchemyError,
        ImportError,
    ) as error:
        raise NotReadable(_CLOSED) from error
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
