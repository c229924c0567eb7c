"""Conversion of a label log of an older format into a new log, event by event.

The old log is only read. Its leases are not copied, because they expire within half an hour.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from vital_lib.labels.database import (
    OLDER_VERSIONS,
    Database,
    label_events,
    label_format,
    open_read_only,
    version_of_file,
)
from vital_lib.labels.events import with_kind
from vital_lib.tables import UnsupportedFormat


def convert(old: str, new: str) -> int:
    """Copy all events of the label log `old` into the log `new`; return their number.

    The new log also gets the identity of the old one, so that judgements which a browser still
    holds are saved in the new log.

    Args:
        old, new: path of an SQLite file, or SQLAlchemy URL. `new` is created if missing.

    Raises:
        UnsupportedFormat: `old` is not a label log of an older format.
        ValueError: there is no log at `old`, or `new` holds events already.
        LabelsNotSaved: the new log's database fails at the moment; nothing is copied.
    """
    version, identity, events = _read(_url(old))
    log = Database(_url(new))
    count = sa.select(sa.func.count()).select_from(label_events)
    with log.writing() as connection:
        if held := connection.scalar(count):
            raise ValueError(f"{new} holds {held:,} events: give a new log, or an empty one")
        connection.execute(sa.update(label_format).values(identity=identity))
        if events:
            connection.execute(sa.insert(label_events), [with_kind(event) for event in events])
        if (copied := connection.scalar(count)) != len(events):
            raise RuntimeError(f"{copied:,} of {len(events):,} events of format {version} copied")
    log.close()
    return len(events)


def _url(log: str) -> str:
    return log if "://" in log else f"sqlite:///{log}"


def _read(url: str) -> tuple[int, str, list[dict]]:
    """Return format version, identity and events, in order, of an older log."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        path = Path(address.database or "")
        if version_of_file(path) is None:
            raise ValueError(f"there is no label log at {str(path)!r}: give the path of one")
        engine = sa.create_engine("sqlite://", creator=lambda: open_read_only(path))
    else:
        engine = sa.create_engine(address, execution_options={"postgresql_readonly": True})
    try:
        with engine.connect() as connection:
            version, identity = connection.execute(sa.select(label_format)).one()
            if version not in OLDER_VERSIONS:
                raise UnsupportedFormat(
                    f"{address.render_as_string()} is a log of format version {version}: convert "
                    f"one of version {' or '.join(map(str, OLDER_VERSIONS))}"
                )
            table = sa.Table(label_events.name, sa.MetaData(), autoload_with=connection)
            columns = [column for column in table.columns if column is not table.c.place]
            rows = connection.execute(sa.select(*columns).order_by(table.c.place)).mappings().all()
    finally:
        engine.dispose()
    return version, identity, [dict(row) for row in rows]
