"""Claims about the judge measured: a bias is found where it was put, and not where it was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from loopback import save_image
from PIL import Image

from vital_lib import figures, judging
from vital_lib.client import ChatClient
from vital_lib.clinic import Clinicians, transport
from vital_lib.clinic.rates import DEFAULT_RATES
from vital_lib.figures import open_image
from vital_lib.generation import draft_candidates
from vital_lib.judging.measures import COLUMNS
from vital_lib.tables import Workspace

GROUPS = {f"c{n}": f"g{n}" for n in range(20)}


def ratings(*overall, repeat=0):
    rows = {"candidate_id": [f"c{n}" for n in range(len(overall))], "repeat": repeat}
    frame = pd.DataFrame({**rows, "overall": overall, "reply_id": "in the ledger"})
    return frame.astype({"overall": float})


def accepted(*shares):
    return pd.DataFrame({"candidate_id": [f"c{n}" for n in range(len(shares))], "accepted": shares})


def values(measures):
    return measures.set_index("measure")["value"].round(6).to_dict()


# ------------------------------------------------------------------ measures


def test_measures_are_flat_metrics_with_their_intervals():
    found = judging.null_rate(ratings(9, None, 8, None), GROUPS)
    assert list(found) == list(COLUMNS) and found["n"].tolist() == [4]
    flat = judging.metrics_of(found)
    assert flat["judge.null_share"] == 0.5
    assert flat["judge.null_share_low"] < 0.5 < flat["judge.null_share_high"]


def test_what_was_not_sent_is_no_null_of_the_judges():
    stopped = ratings(9, None, None, None)
    stopped.loc[2:, "reply_id"] = ""
    assert values(judging.null_rate(stopped, GROUPS)) == {"null_share": 0.5}
    assert judging.null_rate(stopped[2:], GROUPS).empty


def test_what_has_no_case_is_left_out():
    none = ratings()
    drafts = pd.DataFrame(columns=["candidate_id", "instruction_id", "response"])
    for found in (
        judging.null_rate(none, GROUPS),
        judging.consistency(ratings(9, 8), GROUPS),
        judging.calibration(none, accepted(), GROUPS),
        judging.length_bias(none, accepted(), drafts, GROUPS),
        judging.position_bias(verdicts("aa")[:1], GROUPS),
        judging.blank_drop_rate(none, none, GROUPS),
    ):
        assert found.empty and list(found) == list(COLUMNS) and judging.metrics_of(found) == {}


def test_an_answer_without_a_group_is_refused():
    with pytest.raises(ValueError, match="1 of 2 ids have no group, first 'c1'"):
        judging.null_rate(ratings(9, 8), {"c0": "g0"})


def verdicts(*winners):
    """Verdicts of the orders ab and ba, one pair of `winners` per question."""
    fixed = {"model_a": "old", "model_b": "new", "judge": "judge"}
    rows = [
        {"question_id": f"c{n}", **fixed, "order": order, "winner": winner}
        for n, pair in enumerate(winners)
        for order, winner in zip(("ab", "ba"), pair, strict=True)
    ]
    return pd.DataFrame(rows)


def test_a_judge_that_looks_at_the_place_alone_has_it_decide_everything():
    found = values(judging.position_bias(verdicts("ab", "ab", "ab"), GROUPS))
    assert found == {"position_flip_rate": 1.0, "position_bias": 0.5}
    found = values(judging.position_bias(verdicts("ba", "ba"), GROUPS))
    assert found == {"position_flip_rate": 1.0, "position_bias": -0.5}


def test_a_judge_that_looks_at_the_answers_alone_prefers_no_place():
    decided = verdicts("aa", "aa", "bb", ("tie", "tie"), ("a", None))
    assert values(judging.position_bias(decided, GROUPS)) == {
        "position_flip_rate": 0.0, "position_bias": 0.0
    }  # fmt: skip


def test_a_win_in_one_order_and_a_tie_in_the_other_is_half_a_preference():
    found = judging.position_bias(verdicts(("a", "tie"), "aa"), GROUPS)
    assert values(found) == {"position_flip_rate": 0.5, "position_bias": round(2 / 3 - 0.5, 6)}
    assert judging.position_bias(verdicts(("tie", "tie")), GROUPS)["measure"].tolist() == [
        "position_flip_rate"
    ]


DRAFTS = pd.DataFrame(
    {
        "candidate_id": [f"c{n}" for n in range(8)],
        "instruction_id": ["i0", "i0", "i1", "i1", "i2", "i2", "i3", "i3"],
        "response": ["short", "it is longer", "rather long", "no", "one", "two", "a b", "c"],
    }
)


def test_length_counts_where_the_judge_follows_it_and_people_do_not():
    rated = ratings(5, 9, 8, 3, 9, 1, 6, 6)  # the longer one twice, a tie once; i2 is of one length
    people = accepted(1.0, 0.0, 0.5, 0.5, 1.0, 0.0, 0.0, 1.0)
    found = values(judging.length_bias(rated, people, DRAFTS, GROUPS))
    wanted = {"longer_judge": 2.5 / 3, "longer_people": 0.5 / 3, "length_bias": 2 / 3}
    assert found == {name: round(value, 6) for name, value in wanted.items()}


def test_a_pair_with_one_rating_says_nothing_of_length():
    assert judging.length_bias(ratings(5), accepted(1.0, 0.0), DRAFTS, GROUPS).empty


def test_equal_repeats_are_consistent_and_noise_is_not():
    same = pd.concat([ratings(9, 2, 5), ratings(9, 2, 5, repeat=1)])
    assert values(judging.consistency(same, GROUPS)) == {
        "repeat_difference": 0.0, "consistency": 1.0, "probe_drop_rate_control": 0.0
    }  # fmt: skip
    noise = pd.concat([ratings(4, 6), ratings(6, 4, repeat=1)])
    found = values(judging.consistency(noise, GROUPS))
    assert found["repeat_difference"] == 2 and found["probe_drop_rate_control"] == 0.5
    assert found["consistency"] <= 0


def test_ratings_that_mean_what_they_say_are_calibrated():
    rated = ratings(*[10, 10, 0, 0] * 5)
    found = values(judging.calibration(rated, accepted(*[1.0, 1.0, 0.0, 0.0] * 5), GROUPS))
    assert found == {"calibration_error_raw": 0.0, "calibration_error": 0.0}


def test_a_judge_that_is_too_kind_is_mended_by_a_line():
    rated = ratings(*[10, 10, 8, 8] * 5)
    found = values(judging.calibration(rated, accepted(*[1.0, 1.0, 0.0, 0.0] * 5), GROUPS))
    assert found == {"calibration_error_raw": 0.4, "calibration_error": 0.0}


def test_ratings_without_a_spread_have_no_line():
    found = judging.calibration(ratings(8, 8, 8), accepted(1.0, 0.0, 1.0), GROUPS)
    assert found["measure"].tolist() == ["calibration_error_raw"]


# ------------------------------------------------------------------ probes


@pytest.mark.parametrize(
    ("kind", "text", "turned"),
    [
        ("side", "The left lung; Right-sided heart.", "The right lung; Left-sided heart."),
        ("side", "It is bright.", None),
        ("modality", "This is an MRI of the head.", "This is a CT of the head."),
        ("modality", "A CT scan and a chest X-ray.", "An MRI and a CT."),
        ("modality", "The direct cause.", None),
        ("count", "Two nodules and 4 cysts.", "Three nodules and 5 cysts."),
        ("count", "It is 3 cm wide, of stage T2, in 2019.", None),
        ("count", "One nodule.", None),
        ("negation", "There is no nodule. It is small.", "There is a nodule. It is small."),
        ("negation", "There are three nodules.", "There are no nodules."),
        ("negation", "No evidence of bleeding.", "Clear evidence of bleeding."),
        ("negation", "Yes, the lung is clear.", "No, the lung is not clear."),
        ("negation", "No, it shows a mass.", "Yes, it shows no mass."),
        ("negation", "yes", "no"),
        ("negation", "A mass.", None),
    ],
)
def test_a_probe_turns_one_thing_wrong_and_nothing_else(kind, text, turned):
    frame = pd.DataFrame([{"candidate_id": "c0", "figure_id": "f0", "response": text}])
    probes = judging.corrupt_answers(frame)
    found = probes[probes["kind"] == kind]
    assert found["response"].tolist() == ([] if turned is None else [turned])
    assert found["candidate_id"].tolist() == [f"c0-probe-{kind}"] * len(found)
    assert set(found["probe_of"]) <= {"c0"} and set(found["figure_id"]) <= {"f0"}


def test_no_answers_make_no_probes_with_all_columns():
    probes = judging.corrupt_answers(DRAFTS[:0])
    assert list(probes) == [*DRAFTS, "probe_of", "kind"] and probes.empty


def test_a_probe_drop_rate_where_it_is_rated_below_its_own_answer_at_the_same_repeat():
    probes = pd.DataFrame(
        {
            "candidate_id": ["p0", "p1", "p2"],
            "probe_of": ["c0", "c1", "c0"],
            "kind": ["side", "side", "count"],
        }
    )
    rated = pd.concat([ratings(9, 8), ratings(5, None, repeat=1)])
    of_probes = pd.DataFrame(
        {
            "candidate_id": ["p0", "p0", "p1", "p1", "p2"],
            "repeat": [0, 1, 0, 1, 0],
            "overall": [7.0, 6.0, 8.0, 1.0, None],
        }
    )
    found = judging.probe_drop_rate(probes, of_probes, rated, GROUPS)
    by_chance = {"probe_minus_control_side": -0.5}  # c0: 9, then 5; half of its probes are lower
    assert values(found) == {"probe_drop_rate_side": 0.25, "probe_points_side": 0.25} | by_chance
    assert found["n"].tolist() == [2, 2, 1]


def test_a_blanked_image_costs_what_exceeds_the_noise_of_the_same_answers():
    rated = pd.concat([ratings(9, 8, 7), ratings(9, 7, None, repeat=1)])  # c2 is rated once
    found = values(judging.blank_drop_rate(ratings(8, 7, 6), rated, GROUPS))
    assert found["blank_drop_rate"] == 1 and found["blank_minus_control"] == 0.5
    once = values(judging.blank_drop_rate(ratings(8, 7, 6), ratings(9, 8, 7), GROUPS))
    assert "blank_minus_control" not in once


def blanked_in(folder: Path, name: str) -> str:
    figures = pd.DataFrame({"image": [str(folder / name)]})
    return judging.blanked(figures, folder / "blank")["image"][0]


def test_a_blanked_image_is_grey_of_the_same_size_and_made_once(tmp_path):
    save_image(tmp_path / "a.png", 1)
    image = open_image(blanked_in(tmp_path, "a.png"))
    assert image.pixels().size == Image.open(tmp_path / "a.png").size
    assert len(image.pixels().getcolors()) == 1
    made = image.path.stat().st_mtime_ns
    assert Path(blanked_in(tmp_path, "a.png")).stat().st_mtime_ns == made


def test_an_image_that_cannot_be_opened_is_not_blanked(tmp_path):
    assert blanked_in(tmp_path, "gone.png") == str(tmp_path / "gone.png")


def test_another_image_under_the_same_name_is_blanked_anew(tmp_path):
    Image.new("L", (48, 48), 10).save(tmp_path / "a.png")
    dark = open_image(blanked_in(tmp_path, "a.png"))
    Image.new("L", (64, 48), 200).save(tmp_path / "a.png")
    bright = open_image(blanked_in(tmp_path, "a.png"))
    assert (dark.pixels().getpixel((0, 0)), bright.pixels().getpixel((0, 0))) == (
        (10, 10, 10), (200, 200, 200)
    )  # fmt: skip
    assert bright.width == 64 and len(list((tmp_path / "blank").iterdir())) == 2


def test_a_blanked_image_that_could_not_be_written_whole_is_not_there(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", 1)

    def half(self, file, **options):
        Path(file).write_bytes(b"\x89PNG half of it")
        raise OSError("no space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(Image.Image, "save", half)
        blanked_in(tmp_path, "a.png")
    assert list((tmp_path / "blank").iterdir()) == []
    assert len(open_image(blanked_in(tmp_path, "a.png")).pixels().getcolors()) == 1


# ------------------------------------------------------------------ on the clinic


class Clinic:
    """The clinic's figures, drafts and people; ratings by judges of any rates."""

    def __init__(self, folder):
        self.workspace = Workspace(folder)
        self.figures, _ = figures.read_figures("clinic", run=folder, seed=3, articles=120)
        self.drafts, _ = draft_candidates(self.figures, ChatClient("clinic"))
        people = Clinicians(self.figures, self.workspace.read("clinic_truth"), DEFAULT_RATES, 3)
        ticks = people.ticks(self.drafts)
        self.accepted = ticks.groupby("candidate_id")["accepted"].mean().reset_index()
        self.groups = self.drafts.set_index("candidate_id")["group_id"].to_dict()

    @property
    def good(self):
        """The drafts that all three clinicians accepted."""
        liked = self.accepted["candidate_id"][self.accepted["accepted"] == 1]
        return self.drafts[self.drafts["candidate_id"].isin(liked)]

    def rate(self, candidates, *, figures=None, **judge):
        """Two ratings each, by the clinic's judge with some of its rates changed."""
        rates = replace(DEFAULT_RATES, judge=replace(DEFAULT_RATES.judge, **judge))
        return judging.rate_candidates(
            candidates,
            self.figures if figures is None else figures,
            ChatClient("clinic", transport=transport(rates)),
            repeats=2,
        )


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    return Clinic(tmp_path_factory.mktemp("run"))


def rows(measures):
    return {row.measure: row for row in measures.itertuples()}


@pytest.mark.slow
def test_the_probes_find_the_judge_half_blind_to_side_and_count(clinic):
    """Its rates say so: 0.5 of each is seen, of the kind of image and the finding 0.9 or more."""
    probes = judging.corrupt_answers(clinic.good)
    untouched = clinic.rate(clinic.good)
    found = rows(judging.probe_drop_rate(probes, clinic.rate(probes), untouched, clinic.groups))
    control = rows(judging.consistency(untouched, clinic.groups))["probe_drop_rate_control"]
    for kind in ("side", "count"):
        points = found[f"probe_points_{kind}"]
        assert points.low > 0 and points.high < found["probe_points_modality"].low
        assert control.high < found[f"probe_drop_rate_{kind}"].value
        assert found[f"probe_drop_rate_{kind}"].high < found["probe_drop_rate_modality"].low
    sees = dict.fromkeys(DEFAULT_RATES.judge.sees, 1.0)
    sharp = clinic.rate(probes, sees=sees)
    sharper = rows(judging.probe_drop_rate(probes, sharp, untouched, clinic.groups))
    assert sharper["probe_points_side"].low > found["probe_points_side"].high


@pytest.mark.slow
def test_the_judge_is_found_fond_of_length_and_one_that_is_not_is_less_so(clinic):
    """Without the bonus for length, a little is left: copied text is long, and people mind it."""
    fond, fair = clinic.rate(clinic.drafts), clinic.rate(clinic.drafts, length_bonus=0.0)
    measured = [
        rows(judging.length_bias(rated, clinic.accepted, clinic.drafts, clinic.groups))
        for rated in (fond, fair)
    ]
    assert measured[0]["length_bias"].low > 0
    assert measured[1]["length_bias"].value < measured[0]["length_bias"].low


@pytest.mark.slow
def test_the_second_judge_is_found_to_prefer_what_stands_first(clinic):
    """Its rates give the first answer 0.4 points; the first judge's give it none."""
    groups = dict(
        zip(clinic.drafts["instruction_id"], map(clinic.groups.get, clinic.drafts["candidate_id"]),
            strict=True)
    )  # fmt: skip
    found = []
    for name in ("clinic", "clinic-second"):
        verdicts = judging.compare_drafts(clinic.drafts, clinic.figures, ChatClient(name))
        found.append(rows(judging.position_bias(verdicts, groups))["position_bias"])
    assert found[0].low <= 0 <= found[0].high
    assert found[1].low > 0


@pytest.mark.slow
def test_a_judge_that_sees_no_image_is_found_to_miss_none(clinic, tmp_path):
    grey = clinic.rate(clinic.good, figures=judging.blanked(clinic.figures, tmp_path))
    found = rows(judging.blank_drop_rate(grey, clinic.rate(clinic.good), clinic.groups))
    assert found["blank_points"].low <= 0 <= found["blank_points"].high
