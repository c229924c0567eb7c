"""Claims about the one reader: every format and encoding; one bad record is one rejected row."""

from __future__ import annotations

import json
import pickle
from importlib import import_module

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vital_lib.client import Ledger, price_of
from vital_lib.labels import guideline
from vital_lib.prompts import templates
from vital_lib.records import (
    InvalidRecord,
    UnreadableFile,
    read_records,
    read_text,
    without_image_tag,
)
from vital_lib.sources.saved import arrow_records

GOOD = [{"id": "a", "text": "one"}, {"id": "b", "text": "two\u2028lines\u0085of é"}]
FIELDS = ("id", "text")


def read(path, **how):
    return list(read_records(path, **({"fields": FIELDS} | how)))


def records(path, **how):
    return [record for _, record in read(path, **how)]


def lines(rows=GOOD, ascii_only=False) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)


FORMS = {
    "lines.jsonl": lines(),
    "lines under json.json": lines(),
    "one line.jsonl": lines(GOOD[:1]),
    "windows lines.jsonl": lines().replace("\n", "\r\n"),
    "no name's ending": lines(),
    "lines with commas.jsonl": lines().replace("}\n", "},\n"),
    "objects over many lines.json": "\n".join(json.dumps(row, indent=2) for row in GOOD),
    "objects over many lines.jsonl": "\n".join(json.dumps(row, indent=2) for row in GOOD),
    "list.json": json.dumps(GOOD, ensure_ascii=False),
    "last comma.json": json.dumps(GOOD)[:-1] + ",\n]",
    "list in lines.jsonl": json.dumps(GOOD, indent=1),
    "list on one line.ndjson": json.dumps(GOOD),
    "wrapped.json": json.dumps({"version": "1.0", "info": {"by": "me"}, "data": GOOD}),
    "wrapped in lines.jsonl": json.dumps({"questions": GOOD}),
    "wrapped twice.json": json.dumps({"data": {"test": GOOD}}),
    "wrapped beside others.json": json.dumps(
        {"version": 1, "info": {"by": "me"}, "data": {"status": "ok", "items": GOOD}}
    ),
    "wrapped by a record's word.json": json.dumps({"id": "mine", "version": 2, "items": GOOD}),
    "wrapped twice by a record's word.json": json.dumps(
        {"id": "mine", "info": {}, "data": {"items": GOOD}}
    ),
    "domains.json": json.dumps({"mri": GOOD[:1], "gross": GOOD[1:]}),
    "by name.json": json.dumps({"r1": GOOD[0], "r2": GOOD[1]}),
    "columns.json": json.dumps({"id": ["a", "b"], "text": [row["text"] for row in GOOD]}),
    "pandas columns.json": pd.DataFrame(GOOD).to_json(),
    "table.csv": pd.DataFrame(GOOD).to_csv(index=False),
    "table with numbers.csv": pd.DataFrame(GOOD).to_csv(),
    "table.tsv": pd.DataFrame(GOOD).to_csv(index=False, sep="\t"),
    "blank rows.csv": pd.DataFrame(GOOD).to_csv(index=False) + ",\n , \n",
    "semicolons.csv": pd.DataFrame(GOOD).to_csv(index=False, sep=";"),
    "by Excel.csv": "sep=;\n" + pd.DataFrame(GOOD).to_csv(index=False, sep=";"),
    "literals.py": f"# nothing is run\nfs = {GOOD!r}\n",
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_in_every_unicode_encoding_gives_the_same_records(tmp_path, name, encoding):
    (tmp_path / name).write_bytes(FORMS[name].encode(encoding))
    found = records(tmp_path / name)
    assert found == (GOOD[:1] if name.startswith("one line") else GOOD)


STRUCT = pa.StructArray.from_arrays([pa.array(["a", "b"]), pa.array(["c", "d"])], ["x", "x"])
NO_VALUES = {
    "two fields of one name": STRUCT.take(pa.array([None, 1])),
    "a year after 9999": pa.array([0, 2**60], pa.timestamp("us")),
    "too long": pa.array([0, 2**62], pa.duration("s")),
}


@pytest.mark.parametrize("values", NO_VALUES.values(), ids=NO_VALUES)
def test_a_value_that_python_cannot_hold_costs_its_row_alone(values, tmp_path):
    rows = pa.table({"id": ["a", "b"], "seen": values})
    pq.write_table(rows, tmp_path / "t.parquet")
    with (
        pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file,
        pa.ipc.new_stream(file, rows.schema) as out,
    ):
        out.write_table(rows)
    for found in (read(tmp_path / "t.parquet"), arrow_records(tmp_path / "t.arrow")):
        (_, first), (place, wrong) = found
        assert first["id"] == "a" and isinstance(wrong, InvalidRecord)
        assert place.endswith("[1]") and "a value cannot be read: " in wrong.reason


def test_parquet_gives_the_same_records_and_nan_is_missing(tmp_path):
    pd.DataFrame([*GOOD, {"id": "c"}]).assign(n=[1.0, None, 3.0]).to_parquet(tmp_path / "t.parquet")
    found = records(tmp_path / "t.parquet")
    assert [row["text"] for row in found] == [GOOD[0]["text"], GOOD[1]["text"], None]
    assert [row["n"] for row in found] == [1.0, None, 3.0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": "a", "n": NaN, "deep": [NaN, {"m": NaN}]}\n'),
        ("a.json", '[{"id": "a", "n": NaN, "deep": [NaN, {"m": NaN}]}]'),
    ],
)
def test_nan_in_json_is_a_missing_value(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert records(tmp_path / name) == [{"id": "a", "n": None, "deep": [None, {"m": None}]}]


def test_an_empty_cell_or_a_written_nan_is_missing_and_none_is_a_word(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\na,\nb,nan\nc,NaN\nd,None\n")
    assert [row["text"] for row in records(tmp_path / "a.csv")] == [None, None, None, "None"]


BAD = {
    "lines.jsonl": (lines(GOOD[:1]) + '{"id": \n' + lines(GOOD[1:]), "lines.jsonl:2"),
    "bytes.jsonl": (lines(GOOD[:1]) + '{"id": "caf\udce9"}\n' + lines(GOOD[1:]), "bytes.jsonl:2"),
    "half.jsonl": (lines(GOOD[:1]) + '{"id": "\\ud83d"}\n' + lines(GOOD[1:]), "half.jsonl:2"),
    "deep.jsonl": (lines(GOOD[:1]) + "[" * 100_000 + "\n" + lines(GOOD[1:]), "deep.jsonl:2"),
    "lines.json": (lines(GOOD[:1]) + '{"id": \n' + lines(GOOD[1:]), "lines.json:2"),
    "list.json": (json.dumps(GOOD[:1])[:-1] + ',\n{"id": oops, "x": {}},\n'
                  + json.dumps(GOOD[1:])[1:], "list.json:2"),
    "comma.json": (json.dumps([GOOD[0], {"id": "x", "text": "y"}, GOOD[1]], indent=1).replace(
        '"x",', '"x"'), "comma.json:6"),
    "domain.json": ('{"mri": ' + json.dumps(GOOD[:1])[:-1] + ', {"id" 3}], "gross": '
                    + json.dumps(GOOD[1:]) + "}", "domain.json:1"),
    "bytes.json": (json.dumps([GOOD[0], {"id": "café"}, GOOD[1]], ensure_ascii=False).replace(
        "caf\u00e9", "caf\udce9"), "bytes.json[1]"),
    "short.csv": ("id,text\na,one\nb\nb,two\u2028lines\u0085of é\n", "short.csv:3"),
    "long.csv": ("id,text\na,one\nb,x,y\nb,two\u2028lines\u0085of é\n", "long.csv:3"),
    "quote.csv": ('id,text\na,one\nx,"never closed\nb,two\u2028lines\u0085of é\n', "quote.csv:3"),
    "swallow.csv": ('id,text\na,one\nx,"never\nb,"two\u2028lines\u0085of é"\n', "swallow.csv:3"),
    "bytes.csv": ("id,text\na,one\nx,caf\udce9\nb,two\u2028lines\u0085of é\n", "bytes.csv:3"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_one_bad_record_is_one_rejected_row_with_its_line(tmp_path, name):
    text, place = BAD[name]
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    found = read(tmp_path / name)
    assert [record for _, record in found if not isinstance(record, InvalidRecord)] == GOOD
    assert [where for where, record in found if isinstance(record, InvalidRecord)] == [place]
    str([record for _, record in found]).encode()  # what is told can be stored and printed


MANY = [{"id": str(k), "text": "x", "said": [{"a": 1}, {"a": 2}]} for k in range(12)]


@pytest.mark.parametrize(
    "bad", ['{"id": "b", "said": [{"a": 1}, {"a" 2}]}', '{"id": "b"', "{'id': 'b'}"]
)
@pytest.mark.parametrize(
    "form",
    ["lines", "one a line", "on one line", "domain", "domains", "after a version", "indented"],
)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_wherever_a_record_is_broken_it_is_one_rejected_row(
    tmp_path, bad, form, ending, count, place
):
    rows = [json.dumps(row, indent=1 if form == "indented" else None) for row in MANY[:count]]
    rows.insert(len(rows) if place == -1 else place, bad)
    listed, inline = ",\n".join(rows), ", ".join(rows)
    text = {
        "lines": "\n".join(rows),
        "one a line": f"[\n{listed}\n]",
        "on one line": f"[{inline}]",
        "domain": f'{{"mri": [{inline}]}}',
        "domains": f'{{"mri": [\n{listed}\n], "gross": [\n{rows[0] if place else rows[1]}\n]}}',
        "after a version": f'{{"version": "1.0", "count": 3, "data": [\n{listed}\n]}}',
        "indented": f"[{listed}]",
    }[form]
    (tmp_path / f"a.{ending}").write_text(text)
    found = records(tmp_path / f"a.{ending}")
    whole = [one for one in found if not isinstance(one, InvalidRecord)]
    assert whole == MANY[:count] + (MANY[:1] if form == "domains" else [])
    assert len(found) - len(whole) == 1


def test_a_record_alone_that_is_broken_is_one_rejected_row(tmp_path):
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text('{"id": "b", "said": [{"a": 1}, {"a" 2}]}')
        (one,) = records(tmp_path / name)
        assert isinstance(one, InvalidRecord)


def test_mostly_broken_lines_lose_none_that_is_whole(tmp_path):
    row, broken = json.dumps(MANY[0]), '{"id": "b", "said": [{"a": 1}, {"a" 2}]}'
    (tmp_path / "a.json").write_text("\n".join([broken, broken, row, broken]))
    found = records(tmp_path / "a.json")
    assert [isinstance(one, InvalidRecord) for one in found] == [True, True, False, True]


def test_a_cell_may_hold_several_lines_and_the_next_row_has_its_own_line(tmp_path):
    (tmp_path / "a.csv").write_text('id,text\na,"one\ntwo"\nb\n')
    found = read(tmp_path / "a.csv")
    assert found[0][1] == {"id": "a", "text": "one\ntwo"}
    assert found[1][0] == "a.csv:4" and isinstance(found[1][1], InvalidRecord)


def test_a_latin_1_file_is_told_with_line_byte_and_the_way_out(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,text\na,café\nb,tea\n".encode("latin-1"))
    (place, wrong), (_, good) = read(tmp_path / "a.csv")
    assert (place, good) == ("a.csv:2", {"id": "b", "text": "tea"})
    assert "byte 0xe9" in wrong.reason and "save the file as UTF-8" in wrong.reason


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_is_read_in_any_encoding_of_unicode_and_with_any_line_ends(tmp_path, encoding):
    (tmp_path / "a.md").write_bytes("# Café\r\n\r\nTick it.\n".encode(encoding))
    assert read_text(tmp_path / "a.md") == "# Café\n\nTick it.\n"


@pytest.mark.parametrize(
    ("module", "name", "read_it"),
    [
        ("vital_lib.labels.guideline", "_GUIDELINE", guideline),
        ("vital_lib.prompts.templates", "_POLICIES", lambda: templates._policy("draft")),
        ("vital_lib.client.prices", "TABLE", lambda: price_of("mine")),
    ],
)
def test_an_edited_text_of_another_encoding_is_told_with_file_line_and_way_out(
    tmp_path, monkeypatch, module, name, read_it
):
    file = tmp_path / "draft.md"
    file.write_bytes("a line\ncafé\n".encode("latin-1"))
    monkeypatch.setattr(import_module(module), name, tmp_path if name == "_POLICIES" else file)
    with pytest.raises(UnreadableFile) as error:
        read_it()
    assert str(error.value) == (
        f"{file}, line 2: not UTF-8: byte 0xe9 after 'a line\\ncaf'; save the file as UTF-8"
    )


def test_an_exported_reply_of_another_encoding_is_told_with_file_and_line(tmp_path):
    (tmp_path / "replies.jsonl").write_bytes('{"model": "café"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"replies.jsonl, line 1: not an exported reply: .*0xe9"):
        Ledger.of_export(tmp_path / "replies.jsonl")


def test_a_place_can_be_stored_and_printed_whatever_bytes_name_it(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"caf\xe9": [{"id": 1}, {"id": "\xe9"}], "b": [{"id": 2}]}')
    found = read(tmp_path / "a.json")
    assert [place.encode() and isinstance(one, InvalidRecord) for place, one in found] == [0, 1, 0]


def test_a_list_that_was_cut_short_gives_what_is_whole_and_says_so(tmp_path):
    (tmp_path / "cut.json").write_text(json.dumps(GOOD, indent=1)[:-20])
    (_, first), (place, wrong), (_, end) = read(tmp_path / "cut.json")
    assert first == GOOD[0] and isinstance(wrong, InvalidRecord) and place == "cut.json:6"
    assert "ends within its list" in end.reason


@pytest.mark.parametrize(
    "content", [b"", b" \n\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf \n"]
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.parquet", "a.txt"])
def test_an_empty_file_is_an_error_that_says_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=f"{name} is empty"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xlsx", b"PK\x03\x04abc", "save the sheet as CSV"),
        ("a.jsonl.gz", b"\x1f\x8b\x08abc", "compressed"),
        ("a.json", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n" + bytes(30), "is not text"),
        ("a.parquet", b"PAR1 and no more", "is not a valid Parquet file"),
        ("a.py", b"import os\nfs = [os.getcwd()]\n", "no list of literals"),
        ("a.py", b"a = 1\n", "assigns 0 lists"),
        ("a.json", b"\xff\xfe{\0\"", "is not valid utf-16"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_with_its_name_and_the_way_out(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=f"{name} .*{reason}"):
        read(tmp_path / name)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_plain_values_is_read(tmp_path, protocol):
    plain = [*GOOD, {"id": "c", "n": -7, "x": 0.5, "label": {"yes": 1}, "t": (1, 2), "no": None},
             {"id": "d", "big": 2**70, "on": True, "list": [], "long": "x" * 300}]  # fmt: skip
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(plain, protocol=protocol))
    assert records(tmp_path / "a.pkl") == plain


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, protocol):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    (tmp_path / "a.pkl").write_bytes(pickle.dumps([Evil()], protocol=protocol))
    with pytest.raises(UnreadableFile, match="loading a pickle may run code"):
        read(tmp_path / "a.pkl")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"\x80", b"\x80\x04", b"\x80\x04K", b"a", b"(", b".", b"I1\n"])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UnreadableFile):
        read(tmp_path / "a.pkl")


def test_an_object_of_records_names_them(tmp_path):
    rows = {"r1": {"text": "one"}, "r2": {"text": "two", "id": "own"}}
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = [{"id": "r1", "text": "one"}, {"text": "two", "id": "own"}]
    assert records(tmp_path / "a.json") == found


def test_a_record_with_a_list_of_its_parts_is_one_record(tmp_path):
    row = {"id": "a", "text": "one", "panels": [{"text": "left"}, {"text": "right"}]}
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert records(tmp_path / "a.json") == [row]


@pytest.mark.parametrize("text", ["<im<image>age>What?", "<image>\n<<image>image>What?", "What?"])
def test_no_image_tag_is_left_in_a_text(text):
    assert without_image_tag(text) == "What?"
