"""Claims about figure sets of other forms: MedICaT, ROCO, tables and columns of any name."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_rows import picture, read_one_bad, record, write_set

from vital_lib.figures import NoUsableFigures, open_image, read_figures


def test_mentions_may_be_plain_texts(tmp_path):
    records = [
        record("1_F1", in_text_mention=["See it .", " ", {"tokens": "And here ."}]),
        record("2_F1", in_text_mention="See it ."),
    ]
    frame, _ = read_figures(str(write_set(tmp_path / "set", records)), run=tmp_path)
    assert frame["mentions"].tolist() == [["See it .", "And here ."], ["See it ."]]


def medicat(name: str, **changes) -> dict:
    """A record as MedICaT's sample publishes it."""
    doi = "10.14309/crj.2014.54"
    return {
        "pdf_hash": "57c9", "fig_key": "Figure1", "fig_uri": f"2-{name}-1.png",
        "s2_caption": "Figure 1. Barium enema.", "s2orc_caption": None,
        "s2orc_references": ["See ( Figure 1 ) ."], "radiology": True, "scope": False,
        "predicted_type": "Medical images",
        "oa_info": {"doi": doi, "doi_url": f"https://doi.org/{doi}",
                    "oa": {"is_oa": True, "license": "cc-by"}}, **changes,
    }  # fmt: skip


def test_medicats_records_are_read_as_published(tmp_path):
    rows = [medicat("Figure1"), medicat("Figure2", s2_caption=None, s2orc_caption="CT.",
            s2orc_references=None), medicat("Figure3", s2_caption=None)]  # fmt: skip
    (tmp_path / "figures").mkdir()
    for number, row in enumerate(rows):
        picture(number).save(tmp_path / "figures" / f"57c9_{row['fig_uri']}")
    (tmp_path / "sample.jsonl").write_text("\n".join(map(json.dumps, rows)))
    frame, rejected = read_figures(str(tmp_path), run=tmp_path)
    assert frame["figure_id"].tolist() == ["57c9_2-Figure1-1", "57c9_2-Figure2-1"]
    assert frame["caption"].tolist() == ["Figure 1. Barium enema.", "CT."]
    assert frame["mentions"].tolist() == [["See ( Figure 1 ) ."], []]
    assert frame["group_id"].tolist() == ["10.14309/crj.2014.54"] * 2
    assert frame["cleared"].tolist() == [True] * 2
    assert rejected[["place", "field"]].values.tolist() == [["sample.jsonl:3", "fig_caption"]]


@pytest.mark.parametrize(
    "changes", [{"oa_info": "none"}, {"oa_info": {"oa": 3, "doi": [1]}}, {"pdf_hash": [1]}]
)
def test_a_medicat_record_of_another_shape_stops_no_other(tmp_path, changes):
    rows = [medicat("Figure1"), medicat("Figure1", **changes), medicat("Figure2")]
    (tmp_path / "figures").mkdir()
    for number in (1, 2):
        picture(number).save(tmp_path / "figures" / f"57c9_2-Figure{number}-1.png")
    (tmp_path / "sample.jsonl").write_text("\n".join(map(json.dumps, rows)))
    frame, rejected = read_figures(str(tmp_path), run=tmp_path)
    assert len(frame) == 2 and rejected["place"].tolist() == ["sample.jsonl:2"]


def test_roco_is_read_as_published(tmp_path):
    """Captions between tabs without a line of names; images and licences in a file beside."""
    folder = tmp_path / "radiology"
    (folder / "images").mkdir(parents=True)
    picture(0).save(folder / "images" / "PMC3970251_CRI-003.jpg")
    picture(1).save(folder / "images" / "PMC2676075_p147.jpg")
    (folder / "captions.txt").write_text('ROCO_1\t A "CT.\nROCO_2\tAn MRI.\nROCO_3\n')
    (folder / "licences.txt").write_text(
        "ROCO_ID,PMC_ID,CC\nROCO_1,PMC3970251_CRI-003.jpg,CC BY\n"
        "ROCO_2,PMC2676075_p147.jpg,NO-CC CODE\n"
    )
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["ROCO_1", "ROCO_2"]
    assert frame["caption"].tolist() == ['A "CT.', "An MRI."]
    assert ["PMC3970251" in group for group in frame["group_id"]] == [True, False]
    assert frame["cleared"].fillna(False).tolist() == [True, False]
    assert rejected["place"].tolist() == ["captions.txt:3"]


def test_roco_without_licences_takes_its_images_from_the_download_links(tmp_path):
    (tmp_path / "images").mkdir()
    picture().save(tmp_path / "images" / "PMC3970251_CRI-003.jpg")
    (tmp_path / "captions.txt").write_text("ROCO_1\t A CT.\n")
    address = "ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/1e/ed/PMC3970251.tar.gz"
    (tmp_path / "dlinks.txt").write_text(f"ROCO_1\twget -r {address} -P /to\tCRI-003.jpg\n")
    frame, _ = read_figures(str(tmp_path), run=tmp_path)
    assert [Path(image).name for image in frame["image"]] == ["PMC3970251_CRI-003.jpg"]


def test_a_number_in_a_column_with_gaps_is_still_that_number(tmp_path):
    rows = [record("a", pmid=18627621), record("b", pmid=None), record("c", pmid=18627621)]
    folder = write_set(tmp_path / "set", rows)
    (folder / "figures.jsonl").unlink()
    pd.DataFrame(rows).to_parquet(folder / "figures.parquet")
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert rejected.empty and frame["group_id"].nunique() == 2
    assert "18627621" in frame["group_id"][0] and ".0" not in frame["group_id"][0]


@pytest.mark.parametrize("name", ["figures.csv", "figures.parquet", "figures.json", "own.tsv"])
def test_a_table_is_a_figure_set_too(tmp_path, name):
    rows = [
        {"figure_id": "1_F1", "Caption": "A CT.", "file_name": "a.png", "mentions": '["See it."]'},
        {"figure_id": "2_F1", "Caption": None, "file_name": "a.png", "mentions": None},
    ]
    (tmp_path / "images").mkdir()
    picture().save(tmp_path / "images" / "a.png")
    frame = pd.DataFrame(rows)
    if name.endswith(("csv", "tsv")):
        frame.to_csv(tmp_path / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    elif name.endswith("json"):
        (tmp_path / name).write_text(json.dumps({"figures": rows, "version": 1}))
    else:
        frame.to_parquet(tmp_path / name)
    found, rejected = read_figures(str(tmp_path), run=tmp_path)
    assert found[["figure_id", "caption"]].values.tolist() == [["1_F1", "A CT."]]
    assert found["mentions"].tolist() == [["See it."]]
    assert rejected["field"].tolist() == ["fig_caption"]


def test_images_within_parquet_are_written_below_the_run(tmp_path):
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    rows = [
        {"image": {"bytes": buffer.getvalue(), "path": "a.png"}, "image_id": "r1", "caption": "CT"},
        {"image": {"bytes": b"none", "path": None}, "image_id": "r2", "caption": "CT"},
    ]
    (tmp_path / "data").mkdir()
    pd.DataFrame(rows).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    frame, rejected = read_figures(str(tmp_path), run=tmp_path / "run")
    assert frame["figure_id"].tolist() == ["r1"]
    assert np.array_equal(np.asarray(open_image(frame["image"][0]).pixels()), np.asarray(picture()))
    assert rejected["field"].tolist() == ["image"]


def test_a_list_of_nothing_says_that_it_holds_no_records(tmp_path):
    (tmp_path / "figures.json").write_text("[]")
    with pytest.raises(NoUsableFigures, match="0 of 0 .*the file holds no records"):
        read_figures(str(tmp_path), run=tmp_path)


@pytest.mark.parametrize("name", ["figures.jsonl", "figures.json", "figures.csv"])
def test_an_empty_figure_set_says_that_it_is_empty(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(NoUsableFigures, match=f"{name} is empty"):
        read_figures(str(tmp_path), run=tmp_path)


NAMINGS = {
    "spaces": "Figure ID,Caption,Image Name,PMCID\n7,A scan.,a.png,PMC1234567\n",
    "hyphens": "figure-id;fig-caption;file-name;pmc-id\n7;A scan.;a.png;PMC1234567\n",
    "humps": "figureId,caption,imagePath,pmcId\n7,A scan.,a.png,PMC1234567\n",
    "an empty column before": "pair_id,fig_caption,caption,img,pmc\n7,,A scan.,a.png,PMC1234567\n",
    "Windows' slashes": "id,caption,filename,pmcid\n7,A scan.,images\\a.png,PMC1234567\n",
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_columns_are_known_however_their_names_are_written(tmp_path, naming):
    (tmp_path / "images").mkdir()
    picture().save(tmp_path / "images" / "a.png")
    (tmp_path / "Figures.CSV").write_text(NAMINGS[naming])
    frame, rejected = read_figures(str(tmp_path), run=tmp_path / "run")
    row = frame.iloc[0]
    found = (row["figure_id"], row["caption"], Path(row["image"]).name, row["group_id"])
    assert found == ("7", "A scan.", "a.png", "PMC1234567") and rejected.empty


@pytest.mark.parametrize("column", [[3, 4], [3.0, 4.0], ["3", "4"]])
def test_ids_may_be_numbers_also_in_a_column_with_gaps(tmp_path, column):
    folder = write_set(tmp_path / "set", [])
    picture().save(folder / "images" / "a.png")
    rows = [{"id": one, "fig_caption": "A scan.", "image": ["a.png"]} for one in column]
    (folder / "figures.jsonl").write_text("\n".join(map(json.dumps, rows)))
    frame, _ = read_figures(str(folder), run=tmp_path / "run")
    assert frame["figure_id"].tolist() == ["3", "4"]


@pytest.mark.parametrize(
    "mentions", [{"tokens": "See it."}, [{"text": "See it."}], [None, "See it."], "See it."]
)
def test_a_mention_is_read_however_it_is_kept(tmp_path, mentions):
    folder = write_set(tmp_path / "set", [record("1_F1", in_text_mention=mentions)])
    frame, _ = read_figures(str(folder), run=tmp_path / "run")
    assert frame["mentions"].tolist() == [["See it."]]


def test_an_address_in_place_of_an_image_is_told_as_one(tmp_path):
    bad = {**record("2_F1"), "image": "https://example.org/a.png"}
    assert "is a URL, and nothing is downloaded" in read_one_bad(tmp_path, bad)["reason"]
