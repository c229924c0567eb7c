"""Claims about copies of pictures: what is found, what is missed, and what is no copy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from copied_pictures import COPIES, NO_COPIES, bordered, scene
from PIL import Image, ImageDraw

from vital_lib.figures import find_copies, find_twins, join_twins, open_image, split_of
from vital_lib.figures.copies import (
    ALIKE,
    SAME,
    SIDE,
    Picture,
    likeness,
    picture_hashes,
    thumbnails,
    without_border,
)
from vital_lib.figures.twins import COPY_BITS


def alike(one: Image.Image, other: Image.Image) -> float:
    return likeness(Picture(*thumbnails(one)), Picture(*thumbnails(other)))


def table(tmp_path, pictures: dict[str, Image.Image], **columns) -> tuple[pd.DataFrame, object]:
    """Figures as read_figures makes them, each in an article of its own, and their opener."""
    opened = {}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        opened[name] = open_image(tmp_path / f"{name}.png")
    hashes = [picture_hashes(image.pixels()) for image in opened.values()]
    frame = pd.DataFrame(
        {
            "figure_id": list(opened),
            "group_id": [f"article {name}" for name in opened],
            "split": [split_of(f"article {name}") for name in opened],
            "sha256": [image.sha256 for image in opened.values()],
            "phash": [whole for whole, _ in hashes],
            "phash_inner": [inner for _, inner in hashes],
            "source": "a set",
        }
    )
    return frame.assign(**columns), opened.__getitem__


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_the_same_picture(change):
    picture = scene(1)
    assert alike(picture, COPIES[change](picture)) >= SAME
    assert alike(COPIES[change](picture), picture) >= SAME


@pytest.mark.parametrize("change", NO_COPIES)
def test_a_mirrored_or_turned_picture_is_no_copy(change):
    assert alike(scene(1), NO_COPIES[change](scene(1))) < ALIKE - 0.2


def test_blank_dark_and_text_like_pictures_are_no_copies_whatever_their_hashes():
    size = (300, 200)
    words = ["No acute disease. Lungs clear.", "Fracture of the left hip, acute."]
    texts = [Image.new("RGB", size, "white") for _ in words]
    for text, said in zip(texts, words, strict=True):
        ImageDraw.Draw(text).multiline_text((10, 10), "\n".join([said] * 10), fill="black")
    rng = np.random.default_rng(0)
    dark = [Image.fromarray(rng.integers(0, 4, (200, 300, 3), dtype=np.uint8)) for _ in range(2)]
    blank = [Image.new("RGB", size, colour) for colour in ("black", "white")]
    odd = [*texts, *dark, *blank]
    found = [alike(one, other) for k, one in enumerate(odd) for other in odd[:k]]
    assert max(found) < ALIKE


def test_a_border_does_not_matter_whichever_picture_has_it_and_makes_no_copies():
    framed = [
        bordered(scene(1), share, grey) for share in (0.1, 0.2) for grey in ("white", "black")
    ]
    dark = bordered(scene(1), 0.06, "black")  # a border of its own, in another
    for picture in (*framed, bordered(dark, 0.1, "white")):
        assert alike(picture, scene(1)) >= SAME and alike(scene(1), picture) >= SAME
        assert alike(picture, dark) >= SAME
        assert alike(picture, bordered(scene(2), 0.1, "white")) < ALIKE - 0.1
        assert alike(picture, NO_COPIES["mirrored"](scene(1))) < ALIKE - 0.1


def test_a_border_changes_the_inner_hash_little():
    picture = scene(3)
    whole, inner = picture_hashes(picture)
    assert whole == inner  # nothing to remove
    framed = picture_hashes(bordered(picture, 0.05, "white"))
    assert (int(framed[0], 16) ^ int(whole, 16)).bit_count() > COPY_BITS
    assert (int(framed[1], 16) ^ int(whole, 16)).bit_count() <= COPY_BITS
    blank = np.full((SIDE, SIDE), 7, np.uint8)
    assert without_border(blank) is blank
    dot = blank.copy()
    dot[50, 50] = 255  # a picture of a dot is compared whole
    assert without_border(dot) is dot


def test_twins_are_found_across_articles_and_joined_in_one_split(tmp_path):
    pictures = {"a": scene(1), "b": COPIES["JPEG of half the size"](scene(1)), "c": scene(2)}
    pictures |= {"d": bordered(scene(1), 0.05, "white"), "e": NO_COPIES["mirrored"](scene(1))}
    figures, image_of = table(tmp_path, pictures, source=["one", "two", "two", "three", "one"])
    twins = find_twins(figures, image_of)
    found = {frozenset(pair) for pair in twins[["figure_id", "twin_id"]].values.tolist()}
    assert found == {frozenset("ab"), frozenset("ad"), frozenset("bd")} and twins["same"].all()
    first = twins.set_index(["figure_id", "twin_id"]).loc[("a", "b")]
    assert first[["group_id", "twin_group_id"]].tolist() == ["article a", "article b"]
    assert first[["source", "twin_source"]].tolist() == ["one", "two"] and first["bits"] <= 8
    joined = join_twins(figures, twins[twins["same"]]).set_index("figure_id")
    assert joined.loc[list("abd"), "group_id"].nunique() == 1
    assert joined.loc[list("abd"), "split"].nunique() == 1
    assert joined["group_id"].nunique() == 3
    assert find_twins(figures.assign(group_id="one article"), image_of).empty


def test_two_phantoms_that_look_alike_are_no_copies(tmp_path):
    pictures = {"a": scene(1), "b": COPIES["JPEG"](scene(1))}
    figures, image_of = table(tmp_path, pictures, source=["clinic", "clinic"])
    [twin] = find_twins(figures, image_of).to_dict("records")
    assert twin["likeness"] > SAME and not twin["same"]
    [one, other] = [figures.iloc[[0]], figures.iloc[[1]]]
    found = find_copies(one, other, image_of, image_of)
    assert found[["reason", "same"]].values.tolist() == [["a similar picture", False]]
    assert find_copies(one, other.assign(source="PMC"), image_of, image_of)["same"].all()
    assert find_copies(one, one, image_of, image_of)["same"].all()  # the same file


def test_a_twin_needs_a_hash_and_an_image_that_opens(tmp_path, caplog):
    figures, image_of = table(tmp_path, {"a": scene(1), "b": COPIES["JPEG"](scene(1))})
    assert len(find_twins(figures, image_of)) == 1
    older = figures.assign(phash_inner=None)  # a table of an earlier release
    assert len(find_twins(older.drop(columns="source"), image_of)) == 1
    assert find_twins(figures.assign(phash=[None, "0" * 16]), image_of).empty
    (tmp_path / "b.png").unlink()
    assert find_twins(figures, lambda name: open_image(tmp_path / f"{name}.png")).empty
    assert "b: not compared with other pictures: no such image file" in caplog.text


def test_copies_of_another_sets_pictures_are_found_with_the_reason(tmp_path):
    ours = {"same": scene(1), "again": COPIES["JPEG"](scene(1)), "other": scene(2)}
    figures, image_of = table(tmp_path, ours)
    others = figures.iloc[[0]].assign(figure_id="benchmark.png")
    found = find_copies(figures, others, image_of, lambda _: image_of("same"))
    assert found[["figure_id", "copy_of", "reason"]].values.tolist() == [
        ["same", "benchmark.png", "the same image file"],
        ["again", "benchmark.png", "the same picture"],
    ]
    assert found["likeness"].between(SAME, 1).all() and found["same"].all()
    nothing = find_copies(figures[:0], others, image_of, image_of)
    assert nothing.empty and list(nothing) == list(found)
    assert find_copies(figures, others[:0], image_of, image_of).empty


@pytest.mark.realdata
@pytest.mark.slow
def test_copies_of_real_figures_are_found_and_different_ones_are_not(realdata, capsys):
    """375 real pictures, among them many chest X-rays and axial slices of heads."""
    folders = (realdata / "figures" / "images", realdata / "vqa_rad" / "images")
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    whole = [open_image(path).pixels() for path in paths]
    for picture in whole:
        picture.thumbnail((600, 600))
    shown = [(picture_hashes(picture), Picture(*thumbnails(picture))) for picture in whole]

    def bits(one: tuple[str, str], other: tuple[str, str]) -> int:
        return min((int(a, 16) ^ int(b, 16)).bit_count() for a in one for b in other)

    recall = {}
    for name, change in (COPIES | NO_COPIES).items():
        near, same, look = [], [], []
        for picture, (hashes, known) in list(zip(whole, shown, strict=True))[::5]:
            changed = change(picture)
            near.append(bits(picture_hashes(changed), hashes) <= COPY_BITS)
            found = likeness(known, Picture(*thumbnails(changed))) if near[-1] else 0
            same.append(found >= SAME)
            look.append(found >= ALIKE)
        recall[name] = np.mean([near, same, look], axis=1).round(2).tolist()
    pairs = [
        (one, other)
        for k, (hashes, one) in enumerate(shown)
        for others, other in shown[:k]
        if bits(hashes, others) <= 12
    ]
    highest = max(likeness(one, other) for one, other in pairs)
    with capsys.disabled():
        print(f"\n{len(whole)} pictures; share near by hash, same, at least alike:")
        print("\n".join(f"{name:<28}{shares}" for name, shares in recall.items()))
        print(f"{len(pairs)} pairs of different pictures within 12 bits: at most {highest:.2f}")
    assert len(pairs) > 20 and highest < ALIKE - 0.1
    sure = {name for name, (_, same, _) in recall.items() if same >= 0.8}
    assert sure >= COPIES.keys() - {
        *("5 % cropped", "5 % of one side cropped"),
    }
    assert all(recall[name][2] == 0 for name in NO_COPIES)
