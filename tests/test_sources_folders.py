"""Claims about folders of images, saved data sets, named columns and LLaVA-Med's files."""

from __future__ import annotations

import io
import json

import pandas as pd
import pyarrow as pa
import pytest
from article_rows import png, write_tar
from figure_rows import picture

from vital_lib.figures import NoUsableFigures, open_image, read_counts, read_figures
from vital_lib.records import InvalidRecord
from vital_lib.sources import open_source


def read(path, tmp_path, **options) -> list:
    return list(open_source(str(path), work=tmp_path / "work", **options).records)


def write(folder, parts: dict[str, bytes | str]):
    for name, content in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_of_images_with_texts_beside_is_a_figure_set(tmp_path):
    about = {"Caption": "An MRI.", "patient_id": "p7", "license": "CC BY 4.0", "mentions": ["See."]}
    folder = write(
        tmp_path / "set",
        {
            "a.png": png(0), "a.txt": "A CT.\n", "b/scan 1.JPG": png(1),
            "b/scan 1.json": json.dumps(about), "c.tif": png(2), "d.txt": "alone",
            "e.png": png(3), "e.json": "[]", "f.png": png(4), "f.png.txt": "Gross.",
            ".hidden.png": png(5), "g.png": b"no image", "g.txt": "A CT.",
        },
    )  # fmt: skip
    figures, rejected = read_figures(str(folder), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["a", "f", "b_scan 1"]
    assert figures["caption"].tolist() == ["A CT.", "Gross.", "An MRI."]
    assert figures["group_id"].tolist()[2] == "p7" and figures["cleared"].tolist()[2]
    assert figures["mentions"].tolist()[2] == ["See."]
    assert dict(zip(rejected["place"], rejected["field"], strict=True)) == {
        "c.tif": "fig_caption", "d.txt": "image", "e.png": "record", "g.png": "image",
    }  # fmt: skip


def test_a_text_that_links_out_of_its_folder_is_not_read(tmp_path):
    write(tmp_path, {"secret.txt": "secret", "set/a.png": png(), "set/b.png": png(1)})
    (tmp_path / "set" / "a.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "set" / "b.txt").write_bytes(b"caf\xe9")
    found = dict(read(tmp_path / "set", tmp_path))
    assert "link that leaves" in found["a.png"].reason and "not UTF-8" in found["b.png"].reason


def saved(folder, rows: list[dict], splits: tuple[str, ...] = ()) -> None:
    """Write Arrow files as `datasets.Dataset.save_to_disk` lays them out."""
    for split in splits or ("",):
        table = pa.Table.from_pylist(rows)
        (folder / split).mkdir(parents=True, exist_ok=True)
        name = "data-00000-of-00001.arrow"
        with pa.ipc.new_stream(folder / split / name, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
        state = {"_data_files": [{"filename": name}], "_fingerprint": "0"}
        (folder / split / "state.json").write_text(json.dumps(state))
        (folder / split / "dataset_info.json").write_text("{}")
    if splits:
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))


@pytest.mark.parametrize("splits", [(), ("train", "test")])
def test_a_saved_data_set_is_read_without_the_library(tmp_path, splits):
    rows = [
        {"image": {"bytes": png(n), "path": None}, "caption": f"CT {n}.", "image_id": f"r{n}"}
        for n in range(5)
    ]
    saved(tmp_path / "set", [*rows, {**rows[0], "image_id": "bad", "caption": None}], splits)
    figures, rejected = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == [f"r{n}" for n in range(5)]
    assert open_image(figures["image"][4]).width == 24
    place = f"{splits[0] if splits else 'set'}/data-00000-of-00001.arrow[5]"
    assert rejected["place"].tolist()[0] == place and len(rejected) == (7 if splits else 1)


def test_a_damaged_arrow_file_is_a_rejected_row(tmp_path):
    saved(tmp_path / "set", [{"image": png(), "caption": "CT.", "id": "a"}] * 4)
    file = next((tmp_path / "set").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(NoUsableFigures, match="not a valid Arrow file"):
        read_figures(str(tmp_path / "set"), run=tmp_path / "run")


def test_a_state_that_names_a_file_elsewhere_reads_none_there(tmp_path):
    saved(tmp_path / "other", [{"image": png(), "caption": "CT.", "id": "a"}])
    saved(tmp_path / "set", [])
    state = {"_data_files": [{"filename": "../other/data-00000-of-00001.arrow"}]}
    (tmp_path / "set" / "state.json").write_text(json.dumps(state))
    (tmp_path / "set" / "data-00000-of-00001.arrow").unlink()
    ((_, wrong),) = read(tmp_path / "set", tmp_path)
    assert isinstance(wrong, InvalidRecord)


def test_a_data_set_on_the_hub_needs_its_library_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'vital-workbench\[datasets\]'"):
        read_figures("hf:owner/name", run=tmp_path)


ROW = {"Nr": "7", "Datei": "a.png", "Befund": "Ein CT.", "Lizenz": "CC BY 4.0", "Patient": "p1"}
COLUMNS = {
    "pair_id": "Nr", "image": "Datei", "fig_caption": "Befund", "licence": "Lizenz",
    "group_id": "patient",
}  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "json"])
def test_columns_of_any_name_are_mapped_to_the_fields(tmp_path, ending):
    write(tmp_path / "set", {"images/a.png": png()})
    frame = pd.DataFrame([ROW, {**ROW, "Nr": "8", "Befund": None}])
    file = tmp_path / "set" / f"own.{ending}"
    rows = frame.to_dict("records")
    if ending == "csv":
        frame.to_csv(file, index=False)
    elif ending == "parquet":
        frame.to_parquet(file)
    elif ending == "json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text("\n".join(map(json.dumps, rows)).replace("NaN", "null"))
    figures, rejected = read_figures(str(file), run=tmp_path / "run", columns=COLUMNS)
    row = figures.iloc[0]
    assert (row["figure_id"], row["caption"], row["group_id"]) == ("7", "Ein CT.", "p1")
    assert (row["licence"], row["cleared"]) == ("CC BY 4.0", True)
    assert rejected["field"].tolist() == ["fig_caption"]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path):
    (tmp_path / "own.csv").write_text("Nr,Text\n7,CT\n")
    with pytest.raises(NoUsableFigures, match="no column 'Befund'; the record has Nr, Text"):
        read_figures(str(tmp_path), run=tmp_path / "run", columns={"fig_caption": "Befund"})


def said(*texts: str) -> list[dict]:
    speakers = ("human", "gpt")
    return [{"from": speakers[n % 2], "value": text} for n, text in enumerate(texts)]


@pytest.mark.parametrize("field", ["conversations", "conversatons"])
def test_llava_meds_files_are_read_as_published(tmp_path, field):
    write(tmp_path / "set", {"images/1_F1.jpg": png(), "images/2_F1.jpg": png(1)})
    rows = [
        {"id": "1_F1", "image": "1_F1.jpg", field: said("What is it?\n<image>", "An axial CT.")},
        {"id": "2_F1", "image": "2_F1.jpg", field: said("Why?", "It is.", "And?", "So.")},
    ]
    (tmp_path / "set" / "llava_med_alignment_500k.json").write_text(json.dumps(rows))
    figures, rejected = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures[["figure_id", "caption"]].values.tolist() == [["1_F1", "An axial CT."]]
    assert "llava_med_instruct_fig_captions.json" in rejected["reason"][0]


def test_a_table_with_images_stays_a_table_beside_archives_and_xml(tmp_path):
    row = {"id": "1_F1", "caption": "A CT.", "image": "a.png"}
    write(tmp_path / "set", {"own.jsonl": json.dumps(row), "images/a.png": png()})
    write(tmp_path / "set", {"images/a.xml": "<annotation/>", "more/b.nxml": "<article/>"})
    write_tar(tmp_path / "set" / "images.tar", {"images/a.png": png()})
    figures, _ = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["1_F1"]


def test_what_was_read_is_counted_by_kind_with_the_first_reason(tmp_path):
    write(tmp_path, {"one/a.png": png(), "one/a.txt": "A CT."})
    write(
        tmp_path, {"two/a.png": png(), "two/a.txt": "A CT.", "two/b.png": png(1), "two/c.png": b""}
    )
    write(tmp_path, {"two/c.txt": "A CT.", "two/d.png": png(2)})
    found = [
        read_counts(*read_figures(str(tmp_path / name), run=tmp_path / "run")).values.tolist()
        for name in ("one", "two")
    ]
    assert found[0] == [["usable", "one", 1, "a"]]
    assert [row[:3] for row in found[1]] == [
        ["usable", "two", 1], ["rejected", "fig_caption", 2], ["rejected", "image", 1],
    ]  # fmt: skip
    assert found[1][1][3].startswith("b.png: no text beside the image")


def test_a_bar_shows_how_many_records_were_read(tmp_path, capsys):
    folder = write(tmp_path / "set", {"a.png": png(), "a.txt": "A CT."})
    read_figures(str(folder), run=tmp_path / "run")
    assert capsys.readouterr().err == ""
    read_figures(str(folder), run=tmp_path / "run", progress=True)
    assert "1 records" in capsys.readouterr().err


def test_a_row_of_a_shard_as_datasets_splits_it_is_one_record(tmp_path):
    buffer = io.BytesIO()
    picture(1).save(buffer, "JPEG")
    row = {"__key__": "train-0000-000001", "__url__": "x.tar",
           "jpg": {"bytes": buffer.getvalue(), "path": "x.jpg"},
           "jsonl": b'{"PMC_ID": "PMC1234567", "sub_caption": "MRI."}'}  # fmt: skip
    pd.DataFrame([row]).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    figures, rejected = read_figures(str(tmp_path), run=tmp_path / "run")
    assert rejected.empty and figures["caption"].tolist() == ["MRI."]
    assert figures["group_id"].tolist() == ["PMC1234567"]


def test_a_folder_with_nothing_to_read_names_what_can_be_given(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"no figure set at .*docs/sources.md"):
        read_figures(str(tmp_path), run=tmp_path / "run")


def test_columns_that_name_no_field_are_refused_with_the_fields(tmp_path):
    (tmp_path / "own.csv").write_text("Nr,Text,Art\n7,CT,CT\n")
    with pytest.raises(ValueError, match=r"names \['modality'\].*domain.*licence"):
        read_figures(str(tmp_path), run=tmp_path / "run", columns={"modality": "Art"})


def test_a_field_of_the_source_may_be_named_with_its_place(tmp_path):
    write(tmp_path / "set", {"images/a.png": png(), "own.csv": "n,b,l,s\na,CT.,CC0,ward\n"})
    columns = {"pair_id": "n", "fig_caption": "b", "source.licence": "l", "source.name": "s"}
    (tmp_path / "set" / "images" / "a.jpg").write_bytes(png())
    figures, _ = read_figures(str(tmp_path / "set"), run=tmp_path / "run", columns=columns)
    assert figures[["source", "licence"]].values.tolist() == [["ward", "CC0"]]


def test_of_several_tables_one_has_to_be_named(tmp_path):
    write(tmp_path / "set", {"pix/a.png": png(), "a.csv": "n\n1\n", "b.csv": "n\n1\n"})
    with pytest.raises(FileNotFoundError, match="several tables.*give one of a.csv, b.csv"):
        read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    (tmp_path / "set" / "pix" / "a.txt").write_text("A CT.")
    figures, _ = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures["caption"].tolist() == ["A CT."]


@pytest.mark.parametrize(
    ("name", "why"), [("", "is empty"), (" ", "is empty"), ("a.png", "folder")]
)
def test_no_name_and_one_image_are_no_figure_set(tmp_path, monkeypatch, name, why):
    write(tmp_path, {"a.png": png(), "figures.jsonl": "{}"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=why):
        read_figures(name, run=tmp_path / "run")


def test_parts_of_a_table_are_one_source_by_the_name_of_the_folder(tmp_path):
    for n in range(2):
        image = {"bytes": png(n), "path": None}
        frame = pd.DataFrame({"pair_id": [f"{n}"], "caption": ["A CT."], "image": [image]})
        (tmp_path / "mine" / "data").mkdir(parents=True, exist_ok=True)
        frame.to_parquet(tmp_path / "mine" / "data" / f"train-{n}.parquet")
    figures, _ = read_figures(str(tmp_path / "mine"), run=tmp_path / "run")
    assert figures["source"].tolist() == ["mine", "mine"]


def test_a_relative_path_is_told_with_the_folder_that_it_starts_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = rf"at 'data/mine' \(from the folder '{tmp_path.name}'\)"
    with pytest.raises(FileNotFoundError, match=where):
        read_figures("data/mine", run=tmp_path / "run")
