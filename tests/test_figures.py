"""Claims about reading figure sets and opening images."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vital_lib import clinic
from vital_lib.figures import (
    FigureImage,
    NoUsableFigures,
    UnreadableImage,
    blank,
    image_opener,
    open_image,
    read_figures,
    split_of,
)
from vital_lib.modalities import MODALITIES
from vital_lib.tables import TABLES, Workspace


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def record(pair_id: str, **changes) -> dict:
    plain = {
        "pair_id": pair_id,
        "pmid": pair_id.split("_")[0],
        "image": f"{pair_id}.png",
        "fig_caption": f"Caption of {pair_id}.",
        "in_text_mention": [{"tokens": "See the figure .", "entities": []}],
        "domain": {name: name == "mri" for name in MODALITIES},
    }
    return {**plain, **changes}


def write_set(folder: Path, records: list, images: bool = True) -> Path:
    """A figure folder; an entry that is text is written as a line as it is."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in records]
    (folder / "figures.jsonl").write_text("\n".join(lines) + "\n")
    for number, entry in enumerate(records):
        if images and isinstance(entry, dict) and isinstance(entry.get("pair_id"), str):
            picture(number).save(folder / "images" / f"{entry['pair_id']}.png")
    return folder


def read_one_bad(tmp_path: Path, bad) -> dict:
    """The row that `bad` makes on line 2, after checking that its neighbours were read."""
    folder = write_set(tmp_path / "set", [record("1_F1"), bad, record("3_F1")])
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1", "3_F1"]
    assert rejected["place"].tolist() == ["figures.jsonl:2"]
    return rejected.iloc[0].to_dict()


def png_header(width: int, height: int) -> bytes:
    """A PNG that states its size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    return start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# Images


def test_only_open_image_makes_a_figure_image(tmp_path):
    with pytest.raises(TypeError, match="open_image"):
        FigureImage(tmp_path / "a.png", "0" * 64, 1, 1)


def test_pixels_are_those_of_the_file(tmp_path):
    picture().save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert (image.width, image.height) == (24, 16)
    assert np.array_equal(np.asarray(image.pixels()), np.asarray(picture()))


def test_a_file_changed_after_it_was_opened_is_not_shown(tmp_path):
    picture(0).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    picture(1).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match="changed since"):
        image.pixels()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_common_mode_becomes_rgb(tmp_path, mode):
    name = "a.png" if mode in ("1", "L", "LA", "P", "RGBA") else "a.tif"
    picture().convert(mode).save(tmp_path / name)
    assert open_image(tmp_path / name).pixels().mode == "RGB"


def test_a_cmyk_jpeg_keeps_its_colour(tmp_path):
    Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK").save(tmp_path / "a.jpg")
    red, green, blue = open_image(tmp_path / "a.jpg").pixels().getpixel((8, 8))
    assert red > 180 and green < 70 and blue < 70


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "b.png", transparency=0)
    for name in ("a.png", "b.png"):
        assert open_image(tmp_path / name).pixels().getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_greys_keep_their_order_over_the_whole_range(tmp_path):
    ramp = np.linspace(1000, 3000, 64).astype(np.uint16).reshape(1, 64)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    greys = np.asarray(open_image(tmp_path / "a.png").pixels())[0, :, 0].astype(int)
    assert greys[0] == 0 and greys[-1] == 255
    assert np.all(np.diff(greys) > 0)


def test_a_flat_16_bit_image_is_black_and_raises_nothing(tmp_path):
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").pixels().getextrema() == ((0, 0),) * 3


def test_exif_orientation_turns_the_pixels_and_the_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "a.png", exif=exif)
    image = open_image(tmp_path / "a.png")
    turned = picture().transpose(Image.Transpose.ROTATE_270)
    assert (image.width, image.height) == (16, 24)
    assert np.array_equal(np.asarray(image.pixels()), np.asarray(turned))


def test_the_jpeg_is_small_and_carries_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe, born 1970"
    picture(size=(300, 150)).save(tmp_path / "a.jpg", exif=exif, comment=b"Jane Doe")
    content = open_image(tmp_path / "a.jpg").jpeg(max_side=100)
    shown = Image.open(io.BytesIO(content))
    assert shown.size == (100, 50)
    assert b"Jane" not in content and not shown.getexif()


def test_the_jpeg_is_never_enlarged(tmp_path):
    picture().save(tmp_path / "a.png")
    content = open_image(tmp_path / "a.png").jpeg()
    assert Image.open(io.BytesIO(content)).size == (24, 16)


def test_blank_has_the_same_size_and_one_mean_grey(tmp_path):
    Image.fromarray(np.repeat(np.uint8([[0], [200]]), 6, axis=1)).save(tmp_path / "a.png")
    control = blank(open_image(tmp_path / "a.png"))
    assert control.size == (6, 2)
    assert control.getextrema() == ((100, 100),) * 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image"),
        (b"<html>404</html>", "not an image"),
        (png_header(30_000, 30_000), "pixels"),
        (png_header(10_001, 10_000), "10,001 x 10,000 pixels"),
    ],
)
def test_a_file_that_is_no_usable_image_says_why(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        open_image(tmp_path / "a.png")


def test_an_image_of_900_million_pixels_is_never_decoded(tmp_path, monkeypatch):
    def decoded(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    (tmp_path / "a.png").write_bytes(png_header(30_000, 30_000))
    with pytest.raises(UnreadableImage, match="over 100,000,000 pixels"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    picture(size=(200, 200)).save(tmp_path / f"whole.{suffix}")
    content = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage):
        open_image(tmp_path / f"cut.{suffix}")


def test_damaged_headers_raise_nothing_but_unreadable_image(tmp_path):
    rng, refused = np.random.default_rng(0), set()
    for suffix in ("png", "jpg", "gif", "webp"):
        picture().save(tmp_path / f"a.{suffix}")
        whole = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8)
        for _ in range(100):
            broken = whole.copy()
            broken[rng.integers(0, min(200, whole.size), 3)] = rng.integers(0, 256, 3)
            (tmp_path / "b").write_bytes(broken.tobytes())
            try:
                assert open_image(tmp_path / "b").pixels().mode == "RGB"
            except UnreadableImage as error:
                assert error.field == "image" and error.reason
                refused.add(suffix)
    assert refused == {"png", "jpg", "gif", "webp"}


def test_a_postscript_file_is_not_handed_to_an_interpreter(tmp_path):
    picture().save(tmp_path / "a.eps")
    with pytest.raises(UnreadableImage, match="not an image"):
        open_image(tmp_path / "a.eps")


@pytest.mark.parametrize("name", ["absent.png", "folder", "nul\0byte.png", "x" * 5000])
def test_a_path_that_is_no_file_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableImage, match=r"no such image file|not a usable path"):
        open_image(tmp_path / name)


def test_a_path_may_not_leave_its_folder(tmp_path):
    (tmp_path / "images").mkdir()
    picture().save(tmp_path / "secret.png")
    (tmp_path / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png"):
        path = tmp_path / "images" / name
        with pytest.raises(UnreadableImage, match="leaves the image folder"):
            open_image(path, inside=tmp_path / "images")


# Figure sets


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
        ({"domain": ["mri"]}, "domain", "['mri']"),
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
    assert "it is missing" in read_one_bad(tmp_path, bad)["reason"]


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


# Figure sets of other forms


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
