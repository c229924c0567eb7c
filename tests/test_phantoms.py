"""Claims about the drawn figures: what a truth says can be found in the picture."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from vital_lib.clinic import phantoms
from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.captions import write_caption
from vital_lib.clinic.lexicon import FINDINGS, Truth
from vital_lib.clinic.phantoms import (
    SIZE,
    canvas,
    draw,
    draw_with_spots,
    radiology,
    sample_truth,
    specimens,
)
from vital_lib.modalities import MODALITIES

PAINTERS = {
    "chest_xray": (radiology.chest_xray, radiology.CHEST),
    "ct_scan": (radiology.ct_scan, radiology.HEAD),
    "mri": (radiology.mri, radiology.HEAD),
    "histology": (specimens.histology, specimens.SECTION),
    "gross": (specimens.gross, specimens.SPECIMEN),
}
KINDS = [(modality, finding) for modality in MODALITIES for finding in FINDINGS[modality]]


def none(modality: str) -> Truth:
    return Truth(modality, "none", None, None, None, 0)


def blurred(image: np.ndarray) -> np.ndarray:
    """Colour summed up and small detail smoothed away, (SIZE, SIZE)."""
    picture = canvas.to_image(image).filter(ImageFilter.GaussianBlur(3))
    return np.asarray(picture, dtype=float)


def test_the_same_seed_draws_the_same_picture():
    for modality in MODALITIES:
        truth = sample_truth(np.random.default_rng(1), modality)
        first, again = (draw(truth, np.random.default_rng(2)) for _ in range(2))
        other = draw(truth, np.random.default_rng(3))
        assert first.tobytes() == again.tobytes() != other.tobytes()
        assert (first.size, first.mode) == ((SIZE, SIZE), "RGB")


@pytest.mark.parametrize(("modality", "finding"), KINDS)
def test_a_finding_changes_the_picture_where_it_lies(modality, finding):
    paint, layout = PAINTERS[modality]
    rng = np.random.default_rng(4)
    spots = canvas.place(layout, "left", "upper", "large", 1, rng)
    with_it = np.mean(
        [blurred(paint(finding, spots, np.random.default_rng(k))) for k in range(6)], 0
    )
    without = np.mean([blurred(paint("none", [], np.random.default_rng(k))) for k in range(6)], 0)
    change = np.abs(with_it - without).sum(-1)
    near = np.hypot(canvas.X - spots[0].x, canvas.Y - spots[0].y) < 2.2 * spots[0].radius
    assert change[near].max() > 1.5 * change[~near].max()


@pytest.mark.parametrize(("first", "second"), [
    pair for modality in MODALITIES
    for pair in itertools.combinations([(modality, f) for f in FINDINGS[modality]], 2)
])  # fmt: skip
def test_two_findings_of_a_modality_look_different_when_small(first, second):
    """At 64 by 64 pixels, two kinds differ more than the same kind in two other bodies."""

    def mean_look(modality, finding, seeds):
        truth = Truth(modality, finding, "right", "middle", "small", 1)
        looks = [_centred(truth, seed) for seed in seeds]
        return np.mean(looks, axis=0)

    one, one_again = mean_look(*first, range(12)), mean_look(*first, range(12, 24))
    two, two_again = mean_look(*second, range(24, 36)), mean_look(*second, range(36, 48))
    between = np.abs(one + one_again - two - two_again).sum() / 2
    assert between > 1.2 * np.abs(one - one_again).sum()
    assert between > 1.2 * np.abs(two - two_again).sum()


def _centred(truth: Truth, seed: int) -> np.ndarray:
    """The 7 by 7 pixels around the only finding of a picture shrunk to 64 by 64."""
    spot = canvas.place(
        PAINTERS[truth.modality][1], truth.side, truth.level, truth.size, 1,
        np.random.default_rng(seed),
    )[0]  # fmt: skip
    small = draw(truth, np.random.default_rng(seed)).resize((64, 64), Image.Resampling.BICUBIC)
    column, row = int((spot.x + 1) * 32), int((spot.y + 1) * 32)
    return np.asarray(small, dtype=float)[row - 3 : row + 4, column - 3 : column + 4]


def test_the_patients_left_is_the_pictures_right_except_under_the_microscope():
    rng = np.random.default_rng(5)
    for modality, (_, layout) in PAINTERS.items():
        for _ in range(20):
            spots = canvas.place(layout, "left", "middle", "large", 3, rng)
            wanted = -1 if modality == "histology" else 1
            assert [np.sign(spot.x) for spot in spots] == [wanted] * 3


def test_levels_go_down_the_picture_and_never_mix():
    rng = np.random.default_rng(6)
    for _, layout in PAINTERS.values():
        heights = {
            level: [
                np.mean([spot.y for spot in canvas.place(layout, "right", level, size, count, rng)])
                for size in ("small", "large") for count in (1, 2, 3) for _ in range(10)
            ]
            for level in ("upper", "middle", "lower")
        }  # fmt: skip
        assert max(heights["upper"]) < min(heights["middle"])
        assert max(heights["middle"]) < min(heights["lower"])


def test_findings_do_not_touch_and_stay_in_the_picture():
    rng = np.random.default_rng(7)
    for _, layout in PAINTERS.values():
        for level, size in itertools.product(("upper", "middle", "lower"), ("small", "large")):
            spots = canvas.place(layout, "left", level, size, 3, rng)
            assert len(spots) == 3
            for one, two in itertools.combinations(spots, 2):
                assert np.hypot(one.x - two.x, one.y - two.y) > one.radius + two.radius
            assert all(max(abs(s.x), abs(s.y)) + s.radius < 1 for s in spots)


def test_large_is_clearly_larger_than_small():
    rng = np.random.default_rng(8)
    for _, layout in PAINTERS.values():
        small = [
            canvas.place(layout, "left", "upper", "small", 1, rng)[0].radius for _ in range(30)
        ]
        large = [
            canvas.place(layout, "left", "upper", "large", 1, rng)[0].radius for _ in range(30)
        ]
        assert min(large) > 1.4 * max(small)


def test_truths_are_drawn_evenly_and_some_show_nothing():
    rng = np.random.default_rng(9)
    truths = [sample_truth(rng) for _ in range(4000)]
    share = np.mean([truth.finding == "none" for truth in truths])
    assert share == pytest.approx(phantoms.NONE_SHARE, abs=0.02)
    shown = [truth for truth in truths if truth.count]
    assert {truth.modality for truth in truths} == set(MODALITIES)
    assert np.mean([truth.side == "left" for truth in shown]) == pytest.approx(0.5, abs=0.03)
    for count in (1, 2, 3):
        assert np.mean([truth.count == count for truth in shown]) == pytest.approx(1 / 3, abs=0.03)


def test_an_unknown_modality_is_named():
    with pytest.raises(ValueError, match=r"ultrasound.*chest_xray"):
        sample_truth(np.random.default_rng(0), "ultrasound")


def test_grey_modalities_are_grey_and_the_others_are_not():
    for modality in MODALITIES:
        pixels = np.asarray(draw(none(modality), np.random.default_rng(0)), dtype=int)
        spread = (pixels.max(-1) - pixels.min(-1)).mean()
        assert (spread == 0) == (modality in ("chest_xray", "ct_scan", "mri"))


def test_importing_the_phantoms_imports_nothing_heavy():
    code = (
        "import sys, vital_lib.clinic.phantoms\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'skimage', 'matplotlib'}\n"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_guideline_and_policy_mean_the_same_by_left_and_right(root):
    """A finding "on the left" lies on the image's right wherever the two texts say so."""
    words = {"chest_xray": "radiographs", "ct_scan": "CT", "mri": "MR", "gross": "specimens"}
    for name in ("labels/guideline.md", "prompts/policies/writing.md"):
        text = " ".join((root / "vital_lib" / name).read_text("utf-8").split())
        mirrored = re.search(r"[^.]*\bthe image's left is the patient's right\.", text).group()
        assert "On micrographs, left and right are those of the field as you see it." in text
        for modality in MODALITIES:
            truth = Truth(modality, FINDINGS[modality][0], "left", "middle", "small", 1)
            (spot,) = draw_with_spots(truth, np.random.default_rng(1))[1]
            assert (spot.x > 0) == (words.get(modality, "micrographs") in mirrored), (
                name,
                modality,
            )


def test_the_side_of_a_gross_finding_is_always_the_organs():
    truth = Truth("gross", "abscess", "left", "upper", "small", 1)
    rng = np.random.default_rng(2)
    texts = [write_caption(truth, rng) for _ in range(300)]
    texts += [row[key] for _ in range(300) for row in write_questions(truth, rng)
              for key in ("question", "reference")]  # fmt: skip
    assert sum("left half of the organ" in text for text in texts) > 20
    assert not [text for text in texts if re.search(r"left[^.]*of the (specimen|picture)", text)]
