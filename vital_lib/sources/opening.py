"""Opens a figure set by one string, and streams its records with their places.

This module decides by names what a source is; other modules read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, UnreadableFile, read_records
from vital_lib.sources.archives import is_tar
from vital_lib.sources.articles import articles_in, holds_articles, is_article, records_in
from vital_lib.sources.forms import FIELDS, check_columns, known_record
from vital_lib.sources.pictures import IMAGE_SUFFIXES, holds_images, picture_records
from vital_lib.sources.remote import is_remote, local_copy
from vital_lib.sources.samples import shard_records
from vital_lib.sources.saved import HUB, arrow_records, hub_records, saved_files, saved_splits
from vital_lib.sources.tables import (
    TABLES,
    figure_files,
    figure_records,
    has_named_table,
    home_of,
    image_folder,
    set_name,
)

DOWNLOAD = "download:"
"""Begins a source whose images are downloaded: download:links.csv."""

Columns = Mapping[str, str] | None
Records = Iterator[tuple[str, Any]]


@dataclass(frozen=True)
class Source:
    """An opened figure set.

    Args:
        name: the set's name in tables.
        home: the folder that holds its images; their names are relative to it or to the folder
            `image_folder(home)` in it.
        records: the place and the record of each entry, in LLaVA-Med's field names; an
            `InvalidRecord` for an entry that cannot be read. They are read as they are taken.
        kind: what kind of set it is, such as "table", "articles", "shards", "dataset", "pictures"
            or "downloads".
        unpacked: a second folder of images, those of packages; their names are absolute.
    """

    name: str
    home: Path
    records: Records
    kind: str
    unpacked: Path | None = None


def open_source(source: str, *, work: Path, columns: Columns = None) -> Source:
    """Open a figure set.

    Args:
        source: one of
            - a table of records: JSON Lines, JSON, CSV or Parquet, or a folder with one
              (`figure_files`);
            - articles in JATS: a `.nxml` or `.xml` file, a `.tar.gz` package, or a folder of these;
            - WebDataset shards: a `.tar` file, or a folder of these;
            - a folder of `datasets.Dataset.save_to_disk`, or "hf:owner/name[@revision][:split]";
            - a folder of images with a `.txt` or `.json` beside each;
            - a remote place of fsspec with any of these, such as "s3://bucket/set";
            - "download:<table>", whose records have the addresses of their images.
        work: where packages are unpacked and remote files are copied to.
        columns: LLaVA-Med's field name -> the name of the source's column.

    Raises:
        FileNotFoundError: `source` holds no figure set.
        ValueError: `columns` names a field that no record has.
        ImportError: an optional package is missing, which the message names.
        UnreadableFile (also while reading): a file is empty, packed or of an unsupported format, or
            a remote place cannot be reached.
    """
    if not source.strip():
        raise FileNotFoundError("the name of the figure set is empty: give a path, or 'clinic'")
    check_columns(columns or {})
    work = work.absolute()
    if source.startswith(HUB) and not is_remote(source):
        return Source(source, work, hub_records(source, columns), "dataset")
    if source.startswith(DOWNLOAD):
        return _downloads(source.removeprefix(DOWNLOAD), work, columns)
    path = local_copy(source, work / "copies") if is_remote(source) else Path(source)
    name = path.absolute().name
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        raise FileNotFoundError(
            f"{name!r} is one image: give its folder, with a text beside it "
            f"({path.stem}.txt or {path.stem}.json)"
        )
    if path.is_file() and is_tar(path) and not holds_articles(path):
        return Source(name, path.parent, _shards([path], columns), "shards")
    if path.is_file() and (is_article(path.name) or is_tar(path)):
        return _articles(name, path.absolute().parent, [path.absolute()], work)
    folder = path.is_dir() and not has_named_table(path)
    found = _of_folder(path.absolute(), name, work, columns) if folder else None
    return found or _table(path, columns)


def _of_folder(folder: Path, name: str, work: Path, columns: Columns) -> Source | None:
    """Open a folder that holds something else than a table, if it does."""
    if splits := saved_splits(folder):
        files = [file for split in splits for file in saved_files(split)]
        return Source(name, folder, _each(files, lambda f: arrow_records(f, columns)), "dataset")
    tables = _tables_in(folder)
    if tables and (folder / image_folder(folder)).is_dir():
        return None
    tars = [path for path in sorted(folder.glob("*")) if path.is_file() and is_tar(path)]
    if tars and not holds_articles(tars[0]):
        shards = [path for path in tars if path.suffix == ".tar" or not tables]
        return Source(name, folder, _shards(shards, columns), "shards") if shards else None
    articles = articles_in(folder)
    if articles and (not tables or tars or any(one.suffix == ".nxml" for one in articles)):
        return _articles(name, folder, articles, work)
    if not tables and holds_images(folder):
        _refuse_several(folder)
        return Source(name, folder, picture_records(folder, columns), "pictures")
    return None


def _refuse_several(folder: Path) -> None:
    """Raise FileNotFoundError if texts beside images are missing, and several tables are there."""
    several = [path.name for path in sorted(folder.glob("*")) if path.suffix.lower() in TABLES]
    if several and all(isinstance(one, InvalidRecord) for _, one in picture_records(folder)):
        raise FileNotFoundError(
            f"{folder.name!r} has several tables, and no image has a text beside it: give one of "
            f"{', '.join(several[:5])}"
        )


def _tables_in(folder: Path) -> list[Path]:
    try:
        return figure_files(folder)
    except FileNotFoundError:
        return []


def _shards(files: list[Path], columns: Columns) -> Records:
    return _each(files, lambda file: shard_records(file, columns))


def _articles(name: str, home: Path, files: list[Path], work: Path) -> Source:
    unpacked = work / "unpacked"
    records = _each(files, lambda file: records_in(file, home, unpacked))
    return Source(name, home, records, "articles", unpacked)


def _table(path: Path, columns: Columns) -> Source:
    files = figure_files(path)
    home = home_of(files[0])
    name = set_name(home.resolve() / files[0].name)
    if len(files) == 1:
        records = figure_records(files[0], columns)
    else:
        records = _each(files, lambda file: figure_records(file, columns))
        name = path.resolve().name  # not that of the first part
    return Source(name, home, records, "table")


def _downloads(table: str, work: Path, columns: Columns) -> Source:
    """Open a table whose images are downloaded, in the order of the table."""
    file = local_copy(table, work / "copies") if is_remote(table) else Path(table)
    if not file.is_file():
        raise FileNotFoundError(f"no list of links at {table!r}: give a .txt, .csv or .jsonl file")
    folder = work / "downloads"
    return Source(file.name, folder, _downloaded(file, folder, columns), "downloads")


def _downloaded(file: Path, folder: Path, columns: Columns) -> Records:
    """Yield the records of a table with the names of their downloaded images."""
    from vital_lib.sources.downloads import download, link_of  # brings in an HTTP client

    told: dict[int, tuple[str, dict[str, Any]]] = {}
    wrong: list[tuple[str, Any]] = []

    def links() -> Iterator[Any]:
        no_header = ("image",) if file.suffix == ".txt" else None
        for number, (place, record) in enumerate(
            read_records(file, fields=FIELDS, columns=no_header)
        ):
            known = known_record(record, columns) if isinstance(record, Mapping) else record
            try:
                if not isinstance(known, Mapping):
                    raise (
                        known
                        if isinstance(known, InvalidRecord)
                        else InvalidRecord("record", "wanted an object with an address")
                    )
                link = link_of(known)
            except InvalidRecord as error:
                wrong.append((place, error))
                continue
            told[number] = (place, dict(known))
            yield link

    for link, found in download(links(), folder):
        yield from wrong
        wrong.clear()
        place, record = told.pop(next(iter(told)))
        if found.file is None:
            yield place, InvalidRecord("image", f"{link.url}: {found.reason}")
            continue
        record.setdefault("pair_id", Path(found.file).stem)
        yield place, {**record, "image": found.file, "url": record.get("url") or link.url}
    yield from wrong


def _each(files: list[Path], read: Callable[[Path], Records]) -> Records:
    """Yield the records of several files; a file that cannot be read is one `InvalidRecord`."""
    for file in files:
        try:
            yield from read(file)
        except UnreadableFile as error:
            yield file.name, InvalidRecord("file", str(error))
        except OSError as error:
            yield file.name, InvalidRecord("file", f"cannot be read: {error.strerror or error}")
