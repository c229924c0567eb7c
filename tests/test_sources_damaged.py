"""Claims about damaged and made-up input: no reader fails, and none loses what lies beside."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from article_rows import article, fig, png, with_lxml, write_tar
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vital_lib.figures import NoUsableFigures, read_figures
from vital_lib.records import InvalidRecord, UnreadableFile
from vital_lib.sources import open_source
from vital_lib.sources.forms import known_record
from vital_lib.sources.licences import licence_of


def _settings(number: int) -> settings:
    return settings(max_examples=number, suppress_health_check=list(HealthCheck))


FEW, MANY = _settings(200), _settings(2_000)


def _tar(packed: bool) -> bytes:
    parts = {"1.png": png(), "1.txt": b"A CT.", "2.json": b'{"caption": "MRI."}', "2.png": png(1)}
    with tempfile.TemporaryDirectory() as folder:
        content = write_tar(Path(folder) / "a.tar", parts).read_bytes()[:8192]
    return gzip.compress(content, mtime=0) if packed else content


def _arrow() -> bytes:
    rows = [
        {"image": {"bytes": png(), "path": "a"}, "caption": "CT.", "id": f"r{n}"} for n in (1, 2)
    ]
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _csv() -> bytes:
    lines = io.StringIO()
    csv.writer(lines).writerows([["id", "caption", "image"], ["a", "x, y", "a.png"]])
    return lines.getvalue().encode()


_LINE = json.dumps({"pair_id": "a", "fig_caption": "CT.", "image": "a.png"}).encode()
_SEEN = '<p>See <xref ref-type="fig" rid="F1">Fig. 1</xref>.</p>'
_BODY = f"{_SEEN}{fig()}<fig-group>{fig('F2')}</fig-group>"
FILES = {
    "article": ("set/a.nxml", article(_BODY)),
    "shard": ("set/a.tar", _tar(False)),
    "packed shard": ("set/a.tar.gz", _tar(True)),
    "data set": ("set/data.arrow", _arrow()),
    "sidecar": ("set/b.json", b'{"caption": "CT.", "license": "CC BY", "mentions": ["x"]}'),
    "text": ("set/b.txt", "Café: a CT.".encode()),
    "lines": ("set/figures.jsonl", b"\n".join([_LINE] * 3)),
    "table": ("set/figures.csv", _csv()),
    "state": ("set/state.json", b'{"_data_files": [{"filename": "data.arrow"}]}'),
}


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """The content with some bytes changed, a piece left out, doubled or replaced, or an end cut."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(1, 64)))
        how = draw(st.sampled_from(["flip", "cut", "drop", "double", "put"]))
        if how == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del data[at:]
        elif how == "drop":
            del data[at:end]
        elif how == "double":
            data[at:at] = data[at:end]
        else:
            data[at:end] = draw(st.binary(max_size=32))
    return bytes(data)


def _set_with(kind: str, content: bytes, folder: Path) -> tuple[Path, str | None]:
    """Write a figure set with a file of that content; return it, and the id of a good neighbour."""
    place, _ = FILES[kind]
    path = folder / place
    path.parent.mkdir()
    beside = path.parent
    if kind == "article":
        (beside / "z").mkdir()
        good = article(fig("Z1"), ids='<article-id pub-id-type="pmc">99</article-id>')
        (beside / "z" / "z.nxml").write_bytes(good)
        (beside / "z" / "x-z1.png").write_bytes(png(9))
    elif kind in ("shard", "packed shard"):
        write_tar(beside / "0.tar", {"z.png": png(9), "z.txt": b"Good."})
    elif kind in ("data set", "state"):
        names = [{"filename": "data.arrow"}, {"filename": "z.arrow"}]
        (beside / "state.json").write_text(json.dumps({"_data_files": names}))
        (beside / "dataset_info.json").write_text("{}")
        (beside / "data.arrow").write_bytes(_arrow())
        (beside / "z.arrow").write_bytes(_arrow().replace(b"r1", b"z1"))
    else:
        for name in ("a", "b", "z"):
            (beside / f"{name}.png").write_bytes(png(ord(name)))
        (beside / "z.txt").write_text("Good.")
    path.write_bytes(content)
    good = {"article": "PMC99_Z1", "shard": "z", "packed shard": "z",
            "data set": "z1", "sidecar": "z", "text": "z"}  # fmt: skip
    return beside, good.get(kind)


def _streams(kind: str, content: bytes) -> None:
    """Check that the source is read to its end, and its neighbour with it."""
    with tempfile.TemporaryDirectory() as name:
        source, good = _set_with(kind, content, Path(name))
        found = []
        try:
            for place, one in open_source(str(source), work=Path(name) / "work").records:
                assert place.encode() and (not isinstance(one, InvalidRecord) or one.reason)
                found.append(one)
        except (UnreadableFile, FileNotFoundError):
            assert good is None
            return
        assert good is None or good in [
            one.get("pair_id") for one in found if isinstance(one, dict)
        ]


def _is_read(kind: str, content: bytes) -> None:
    """Check the same of the figures: with images, groups and rejected rows."""
    with tempfile.TemporaryDirectory() as name:
        source, good = _set_with(kind, content, Path(name))
        try:
            figures, rejected = read_figures(str(source), run=Path(name) / "run")
        except (NoUsableFigures, FileNotFoundError):
            assert good is None
            return
        assert good is None or good in set(figures["figure_id"])
        assert rejected["reason"].str.strip().ne("").all()


KINDS = list(FILES)


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(data=st.data())
def test_a_damaged_file_stops_no_reader_and_no_neighbour(kind, data):
    with_lxml()
    _streams(kind, data.draw(damaged(FILES[kind][1])))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(data=st.data())
def test_thousands_of_damaged_files_stop_no_reader_and_no_neighbour(kind, data):
    with_lxml()
    _streams(kind, data.draw(damaged(FILES[kind][1])))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@_settings(100)
@given(data=st.data())
def test_a_damaged_file_costs_no_other_figure(kind, data):
    with_lxml()
    _is_read(kind, data.draw(damaged(FILES[kind][1])))


NAMES = st.sampled_from(
    ["pair_id", "fig_caption", "caption", "image", "in_text_mention", "domain", "source", "doi",
     "conversations", "conversatons", "image_context", "image_secondary_label", "mentions", "pmid",
     "__key__", "jpg", "json", "jsonl", "txt", "pdf_hash", "fig_uri", "oa_info", "image_cluster_id",
     "group_id", "license", "article_accession_id", "modalities", "url", "credit", "PMC_ID"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.binary(max_size=8) | st.sampled_from(["[1", "{'a': 1}", '["x"]', "CC BY", "10.1/x", "\0"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["from", "value", "name", "licence", "bytes", "path", "F1"])
                      | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROWS = st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=8)


def _renamed(row: dict, columns: dict) -> None:
    from vital_lib.figures.articles import article_of
    from vital_lib.figures.records import _stated_source, figure_fields
    from vital_lib.sources.samples import row_record

    for found in (known_record(row, columns or None), row_record(row)):
        if isinstance(found, InvalidRecord):
            assert found.field and found.reason
            continue
        for check in (figure_fields, _stated_source,
                      lambda one: article_of(one, "a")):  # fmt: skip
            try:
                check(found)
            except InvalidRecord as wrong:
                assert wrong.reason


COLUMNS = st.dictionaries(NAMES, st.text(max_size=4), max_size=1)


@FEW
@given(ROWS, COLUMNS)
@example({"pdf_hash": [1], "fig_uri": {}}, {})
@example({"figure_id": "2_F1", "mentions": None}, {})
def test_a_row_of_any_values_is_a_record_or_is_refused(row, columns):
    _renamed(row, columns)


@pytest.mark.slow
@MANY
@given(ROWS, COLUMNS)
def test_thousands_of_rows_of_any_values_are_records_or_refused(row, columns):
    _renamed(row, columns)


WORDS = st.lists(
    st.sampled_from(["Creative Commons", "Attribution", "-NonCommercial", "No Derivatives", "4.0",
                     "CC", "BY", "-NC", "-SA", "CC0", "creativecommons.org/licenses/", "by/", "/",
                     "by-nc/4.0/", "license", ",", "ShareAlike", "non-commercial"]),
    max_size=12,
).map(" ".join)  # fmt: skip


def _named(text: str) -> None:
    found = licence_of([text])
    limited = "by-nc" in text or "NC" in text or "ommercial" in text or "Derivatives" in text
    assert found is None or found == " ".join(text.split()) or "CC" in found or "domain" in found
    if limited and found and "CC0" not in found and found != " ".join(text.split()):
        assert "NC" in found or "ND" in found or "creativecommons.org" in text


@FEW
@given(WORDS)
def test_no_limit_of_a_licence_is_ever_lost(text):
    _named(text)


def test_a_set_is_read_as_it_is_taken_not_beforehand(tmp_path):
    """The second shard may be damaged: the first is given before it is opened."""
    for number in (1, 2):
        write_tar(tmp_path / f"{number}.tar", {f"{number}.png": png(), f"{number}.txt": b"A CT."})
    opened = open_source(str(tmp_path), work=tmp_path / "work")
    (tmp_path / "2.tar").unlink()
    assert next(opened.records)[1]["pair_id"] == "1"
    assert "cannot be read" in next(opened.records)[1].reason
