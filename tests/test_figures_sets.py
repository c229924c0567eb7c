"""Claims about reading figure sets: tables, rejected rows, groups, licences and splits."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from figure_rows import picture, png_header, read_one_bad, record, write_set
from PIL import Image

from vital_lib import clinic
from vital_lib.figures import NoUsableFigures, image_opener, open_image, read_figures, split_of
from vital_lib.tables import TABLES, Workspace


def test_a_set_becomes_the_declared_tables(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("1_F2")])
    frame, rejected = read_figures(str(folder), run=tmp_path / "run")
    workspace = Workspace(tmp_path / "run")
    assert workspace.write("figures", frame) == 2
    assert workspace.write("figures_rejected", rejected) == 0
    row = workspace.read("figures").iloc[0]
    assert row["mentions"] == ["See the figure ."]
    assert row["modalities"] == ["mri"]
    assert row["group_id"] == "1"
    assert len(row["phash"]) == 16
    assert row["sha256"] == open_image(row["image"]).sha256
    assert row["source"] == "set"


def test_the_dict_of_domains_is_read_with_the_index_as_place(tmp_path):
    bad = record("2_F1", fig_caption=None)
    write_set(tmp_path, [record("1_F1"), record("3_F1")])
    content = {"mri": [record("1_F1"), bad], "gross": [record("3_F1")], "ct_scan": "none"}
    (tmp_path / "captions.json").write_text(json.dumps(content))
    frame, rejected = read_figures(str(tmp_path / "captions.json"), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1", "3_F1"]
    assert rejected["place"].tolist() == ["captions.json:mri[1]", "captions.json:ct_scan"]


def test_without_an_image_field_the_image_is_pair_id_jpg(tmp_path):
    entry = record("1_F1")
    del entry["image"]
    folder = write_set(tmp_path / "set", [entry], images=False)
    picture().save(folder / "images" / "1_F1.jpg")
    frame, _ = read_figures(str(folder / "figures.jsonl"), run=tmp_path)
    assert Path(frame["image"][0]).name == "1_F1.jpg"


def test_a_figure_may_have_several_modalities_or_none(tmp_path):
    several = record("1_F1", domain={"mri": True, "ct_scan": True, "ultrasound": True})
    none = record("2_F1", domain=None)
    folder = write_set(tmp_path / "set", [several, none])
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert frame["modalities"].tolist() == [["ct_scan", "mri"], []]


@pytest.mark.parametrize(
    ("named", "flags"),
    [("CT", ["ct_scan"]), (["Chest X-ray", "MRI"], ["chest_xray", "mri"]), ("ultrasound", [])],
)
def test_modalities_may_be_named_by_words(tmp_path, named, flags):
    folder = write_set(tmp_path / "set", [record("1_F1", domain=named)])
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert frame["modalities"].tolist() == [flags]


def test_a_source_by_its_name_keeps_the_licence_beside_it(tmp_path):
    beside = record("1_F1", source="ward", license="CC BY 4.0")
    inside = record("2_F1", source={"name": "w", "licence": "CC0"}, licence="CC BY-NC 4.0")
    folder = write_set(tmp_path / "set", [beside, inside])
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert frame[["source", "licence"]].values.tolist() == [["ward", "CC BY 4.0"], ["w", "CC0"]]


def test_empty_mentions_are_left_out(tmp_path):
    folder = write_set(
        tmp_path / "set",
        [record("1_F1", in_text_mention=[{"tokens": ""}]), record("2_F1", in_text_mention=None)],
    )
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert frame["mentions"].tolist() == [[], []]


@pytest.mark.parametrize(
    ("changes", "field", "received"),
    [
        ({"image": "absent.png"}, "image", "absent.png"),
        ({"image": 7}, "image", "7"),
        ({"image": "../figures.jsonl"}, "image", "../figures.jsonl"),
        ({"image": "/etc/hostname"}, "image", "/etc/hostname"),
        ({"image": "a\0b"}, "image", "a\\x00b"),
        ({"pair_id": None}, "pair_id", "None"),
        ({"pair_id": "1_F1"}, "pair_id", "figures.jsonl:1"),
        ({"fig_caption": None}, "fig_caption", "None"),
        ({"fig_caption": ["text"]}, "fig_caption", "['text']"),
        ({"fig_caption": "  "}, "fig_caption", "'  '"),
        ({"fig_caption": "\ud800"}, "record", "\\ud800"),
        ({"in_text_mention": 3}, "in_text_mention", "3"),
        ({"in_text_mention": [{"entities": []}]}, "in_text_mention", "entities"),
        ({"in_text_mention": ["see", 4]}, "in_text_mention", "4"),
        ({"domain": ["mri", 3]}, "domain", "['mri', 3]"),
        ({"domain": {"mri": "yes"}}, "domain", "'yes'"),
        ({"pmid": [1]}, "pmid", "[1]"),
        ({"source": 3}, "source", "3"),
        ({"source": {"licence": 4}}, "source.licence", "4"),
    ],
)
def test_a_bad_field_is_one_rejected_row_with_the_value(tmp_path, changes, field, received):
    row = read_one_bad(tmp_path, {**record("2_F1"), **changes})
    assert row["field"] == field
    assert received in row["reason"]


def test_a_missing_caption_says_so(tmp_path):
    bad = record("2_F1")
    del bad["fig_caption"]
    reason = read_one_bad(tmp_path, bad)["reason"]
    assert "it is missing; the record has pair_id, pmid, image" in reason
    assert 'columns = {"fig_caption": ...}' in reason


@pytest.mark.parametrize("line", ['{"pair_id": ', "[1, 2]", "42", '"text"', "[" * 100_000])
def test_a_broken_line_is_one_rejected_row(tmp_path, line):
    assert read_one_bad(tmp_path, line)["field"] == "record"


def test_bytes_that_are_no_utf_8_are_one_rejected_row(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    lines = (folder / "figures.jsonl").read_bytes().replace(b"Caption of 1", b"Caption\xff 1")
    (folder / "figures.jsonl").write_bytes(lines)
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["2_F1"]
    assert rejected["place"].tolist() == ["figures.jsonl:1"]


@pytest.mark.parametrize(
    "content", [b"not an image", png_header(30_000, 30_000), picture().tobytes()[:100]]
)
def test_a_bad_image_is_one_rejected_row(tmp_path, content):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    (folder / "images" / "2_F1.png").write_bytes(content)
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1"]
    assert rejected[["place", "field"]].values.tolist() == [["figures.jsonl:2", "image"]]


def test_a_link_out_of_the_image_folder_is_one_rejected_row(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    picture(5).save(tmp_path / "secret.png")
    (folder / "images" / "2_F1.png").unlink()
    (folder / "images" / "2_F1.png").symlink_to(tmp_path / "secret.png")
    _, rejected = read_figures(str(folder), run=tmp_path)
    assert rejected["reason"].tolist() == [
        "'2_F1.png' leaves the image folder by a link that ends outside 'set': such links are "
        "followed only with follow_links=True"
    ]


def test_rejected_rows_show_no_path_of_the_machine(tmp_path):
    row = read_one_bad(tmp_path, record("2_F1", image="absent.png"))
    assert str(tmp_path) not in row["reason"]


def test_an_opener_opens_each_figure_once_by_its_id(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    frame, _ = read_figures(str(folder), run=tmp_path)
    image_of = image_opener(frame)
    assert image_of("2_F1").sha256 == frame["sha256"][1]
    assert image_of("2_F1") is image_of("2_F1")
    with pytest.raises(KeyError, match="3_F1"):
        image_of("3_F1")


def test_zero_usable_figures_is_an_error_with_the_first_reasons(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1", fig_caption=5), "{"])
    with pytest.raises(NoUsableFigures, match=r"0 of 2 .*figures\.jsonl:1: fig_caption.*5"):
        read_figures(str(folder), run=tmp_path)


def test_a_json_file_that_is_no_json_is_an_error(tmp_path):
    (tmp_path / "captions.json").write_text('{"mri": [')
    with pytest.raises(NoUsableFigures, match=r"0 of 1 .*captions\.json"):
        read_figures(str(tmp_path / "captions.json"), run=tmp_path)


def test_a_source_that_is_not_there_says_what_is_wanted(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'.*nowhere'.*figures\.jsonl"):
        read_figures(str(tmp_path / "nowhere"), run=tmp_path)


@pytest.mark.parametrize(
    ("changes", "group_id"),
    [
        ({"group_id": "g", "patient_id": "p", "pmid": 5}, "g"),
        ({"patient_id": "p", "pmid": 5}, "p"),
        ({"pmid": 5}, "5"),
        ({"source": {"url": "https://j.org/a1/figures/2#top"}}, "https://j.org/a1"),
        ({"source": {"url": "https://c.org/File:X.jpg"}}, "77"),
        ({"source": {"repo": "r", "text_path": "m1.xml"}}, "r/m1.xml"),
        ({}, "77"),
        ({"pair_id": "77_fig-0002"}, "77"),
        ({"pair_id": "77_FMRI"}, "77_FMRI"),
    ],
)
def test_the_group_is_the_first_that_the_record_states(tmp_path, changes, group_id):
    entry = {**record("77_F1", pmid=None), **changes}
    folder = write_set(tmp_path / "set", [entry | {"image": None}], images=False)
    picture().save(folder / "images" / f"{entry['pair_id']}.jpg")
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert frame["group_id"].tolist() == [group_id]
    assert frame["split"].tolist() == [split_of(group_id)]


@pytest.mark.parametrize(
    ("licence", "cleared"),
    [
        ("CC0", True),
        ("CC0 1.0", True),
        ("CC BY 4.0", True),
        ("cc-by-sa-3.0", True),
        ("Public domain (US NIH)", True),
        ("CC BY-NC 4.0", None),
        ("CC BY-ND 4.0", None),
        ("CC BY-NC-SA 4.0", None),
        ("not public domain", None),
        ("all rights reserved", None),
        (None, None),
    ],
)
def test_only_a_licence_that_allows_reuse_clears_a_figure(tmp_path, licence, cleared):
    source = {"name": "atlas", "licence": licence, "credit": "A. Author"}
    folder = write_set(tmp_path / "set", [record("1_F1", source=source)])
    Workspace(tmp_path).write("figures", read_figures(str(folder), run=tmp_path)[0])
    row = Workspace(tmp_path).read("figures").iloc[0]
    assert (None if pd.isna(row["cleared"]) else bool(row["cleared"])) is cleared
    assert (row["source"], row["credit"]) == ("atlas", "A. Author")
    assert row["cleared_reason"]


def test_splits_have_their_shares_and_never_move():
    splits = [split_of(str(number)) for number in range(100_000)]
    shares = {name: splits.count(name) / 100_000 for name in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.55, "validation": 0.10, "test": 0.35}, abs=0.01)
    assert [split_of(name) for name in ("28104940", "7", "19")] == ["test", "train", "validation"]


def test_figures_of_one_article_share_a_split(tmp_path):
    folder = write_set(tmp_path / "set", [record(f"{n // 2}_F{n}") for n in range(40)])
    frame, _ = read_figures(str(folder), run=tmp_path)
    assert (frame.groupby("group_id")["split"].nunique() == 1).all()
    assert frame["split"].nunique() > 1


def test_clinic_images_are_in_the_run_and_cleared(tmp_path, monkeypatch):
    def made(folder, *, articles, seed):
        assert (articles, seed) == (3, 9)
        return write_set(folder, [record("1_F1")]) / "figures.jsonl"

    monkeypatch.setitem(vars(clinic), "make_figure_set", made)
    frame, _ = read_figures("clinic", run=tmp_path, articles=3, seed=9)
    assert frame["image"].tolist() == [str(tmp_path / "clinic" / "images" / "1_F1.png")]
    assert frame["cleared"].tolist() == [True]
    assert frame.columns.tolist() == TABLES["figures"].columns


def test_near_identical_images_have_close_hashes(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1"), record("3_F1")])
    smooth = picture(7).resize((120, 80), Image.Resampling.BICUBIC)
    smooth.save(folder / "images" / "1_F1.png")
    smooth.resize((90, 60)).save(folder / "images" / "2_F1.png")
    frame, _ = read_figures(str(folder), run=tmp_path)
    one, two, other = (int(text, 16) for text in frame["phash"])
    assert (one ^ two).bit_count() <= 6 < (one ^ other).bit_count()


def test_importing_figures_imports_nothing_heavy():
    heavy = "('torch', 'transformers', 'sklearn', 'scipy', 'imagehash', 'matplotlib')"
    code = f"import sys, vital_lib.figures; assert not [m for m in {heavy} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.realdata
def test_all_sixty_real_figures_are_read(tmp_path, realdata):
    frame, rejected = read_figures(str(realdata / "figures"), run=tmp_path)
    assert (len(frame), len(rejected)) == (60, 0)
    assert frame["cleared"].tolist() == [True] * 60
    stated = [json.loads(line) for line in (realdata / "figures/figures.jsonl").open()]
    assert frame["sha256"].tolist() == [entry["sha256"] for entry in stated]
    assert frame["figure_id"].tolist() == [entry["pair_id"] for entry in stated]
    assert {len(flags) for flags in frame["modalities"]} == {0, 1, 2}
    assert sum(map(bool, frame["mentions"])) == 38
    for path, entry in zip(frame["image"], stated, strict=True):
        image = open_image(path)
        assert (image.width, image.height) == (entry["width"], entry["height"])
        assert image.pixels().mode == "RGB" and len(image.jpeg(256)) > 500
    assert (frame.groupby("group_id")["split"].nunique() == 1).all()
