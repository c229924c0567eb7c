"""Claims about the reading of benchmarks: their forms, and VQA-RAD where it is."""

from __future__ import annotations

import io
import json
import logging
import pickle
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from vital_lib.evaluation import (
    BadQuestion,
    NoImages,
    OtherFigures,
    closed_accuracy,
    open_recall,
    read_questions,
    reading_notes,
    with_images,
)
from vital_lib.figures import CLINIC, open_image
from vital_lib.tables import Workspace, empty_frame


def _write(folder, name, records):
    folder.mkdir(exist_ok=True)
    if name.endswith(".json"):
        text = json.dumps(records)
    else:
        text = "\n".join(json.dumps(record) for record in records)
    (folder / name).write_text(text)
    return folder / name


def _record(k=0, **changes):
    record = {"question_id": f"x{k}", "image": f"i{k}.png", "question": "Is it?", "answer": "yes",
              "answer_type": "closed", **changes}  # fmt: skip
    return {name: value for name, value in record.items() if value is not None}


def test_the_clinics_benchmark_is_read_from_the_run_folder(tmp_path):
    record = {"question_id": "S0B1_F1-q1", "benchmark": "clinic", "group_id": "S0B1",
              "image": "clinic/benchmark_images/S0B1_F1.png", "modality": "mri", "kind": "chat",
              "question_type": "detail", "question": "What?", "reference": "A cyst."}  # fmt: skip
    _write(tmp_path / "clinic", "benchmark.jsonl", [record])
    questions = read_questions("clinic", run=tmp_path)
    found = questions.drop(columns="sha256").iloc[0].to_dict()
    clear = {"cleared": True, "cleared_reason": CLINIC}
    assert found == {**record, "image": str(tmp_path / record["image"]), **clear}
    assert Workspace(tmp_path).write("questions", questions) == 1


def test_before_the_figures_are_made_the_clinics_benchmark_names_its_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_explore_figures"):
        read_questions("clinic", run=tmp_path)


@pytest.mark.parametrize("left_over", [False, True])
def test_the_clinics_benchmark_says_in_one_line_that_the_figures_are_others(tmp_path, left_over):
    if left_over:  # an earlier walk was on the clinic's figures
        _write(tmp_path / "clinic", "benchmark.jsonl", [_record(0, benchmark="clinic")])
    workspace = Workspace(tmp_path)
    workspace.write("figures", empty_frame("figures"), parameters={"figures": "/data/mine"})
    with pytest.raises(OtherFigures) as told:
        read_questions("clinic", run=tmp_path)
    assert "this run's are '/data/mine': set benchmark to a folder or file" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_blank_behind_closed_and_a_number_as_answer_are_read(tmp_path):
    """VQA-RAD as published has "CLOSED " and integer answers."""
    records = [
        _record(0, answer_type="CLOSED "),
        _record(1, answer=2, answer_type="OPEN", question=" How many? "),
    ]
    questions = read_questions(_write(tmp_path, "own.json", records), run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["reference"].tolist() == ["yes", "2"]
    assert questions["question"][1] == "How many?"


def test_a_repeated_question_is_kept_once_and_named_with_its_count(tmp_path, caplog):
    records = [_record(k, image="one.png", question=q) for k, q in enumerate(
        ("Is it?", "is  it?", "Is it?", "Or is it?"))]  # fmt: skip
    file = _write(tmp_path, "own.jsonl", records)
    with caplog.at_level(logging.WARNING):
        questions = read_questions(file, run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x3"]
    assert questions.attrs["repeated"] == {"x0": 3}
    assert "x0" in caplog.text


def test_the_same_question_about_another_image_is_no_repeat(tmp_path):
    questions = read_questions(
        _write(tmp_path, "own.jsonl", [_record(0), _record(1)]), run=tmp_path
    )
    assert len(questions) == 2 and questions.attrs["repeated"] == {}


def test_fewer_questions_are_among_more_questions(tmp_path):
    file = _write(tmp_path, "own.jsonl", [_record(k) for k in range(40)])
    chosen = {n: set(read_questions(file, run=tmp_path, n=n)["question_id"]) for n in (5, 20)}
    assert len(chosen[5]) == 5 and chosen[5] < chosen[20]
    other = set(read_questions(file, run=tmp_path, n=20, seed=1)["question_id"])
    assert other != chosen[20]


def test_images_are_found_in_the_folder_beside_the_file(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "images" / "i0.png")
    questions = read_questions(_write(tmp_path, "own.jsonl", [_record(0)]), run="elsewhere")
    assert questions["image"][0] == str(tmp_path / "images" / "i0.png")
    assert questions["group_id"][0] == "i0"


def test_slake_is_read_in_english(tmp_path):
    records = [
        {"img_name": "xmlab1/source.jpg", "question": "Which organ?", "answer": "Liver",
         "q_lang": lang, "modality": "CT", "answer_type": "OPEN", "content_type": "Organ", "qid": k}
        for k, lang in enumerate(("en", "zh"))
    ]  # fmt: skip
    questions = read_questions(_write(tmp_path, "test.json", records).parent, run=tmp_path)
    row = questions.iloc[0]
    assert len(questions) == 1
    assert (row.group_id, row.modality, row.question_type) == ("xmlab1/source", "CT", "Organ")


def test_llava_meds_chat_questions_are_read(tmp_path):
    record = {"question_id": 0, "image": "1_F3.jpg", "pair_id": "1_F3", "text": "Which?\n<image>",
              "gpt4_answer": "It is X.", "type": "conversation",
              "domain": {"mri": False, "histology": True, "gross": True}}  # fmt: skip
    file = _write(tmp_path, "llava_med_eval_qa50_qa.jsonl", [record])
    row = read_questions(file, run=tmp_path).iloc[0]
    assert (row.kind, row.question_type, row.question) == ("chat", "conversation", "Which?")
    assert (row.reference, row.group_id, row.modality) == ("It is X.", "1", "histology, gross")


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"answer_type": "essay"}, "kind", "wanted open, closed, chat, received 'essay'"),
        ({"answer": None}, "reference", "it is missing"),
        ({"answer": "  "}, "reference", "received '  '"),
        ({"answer": True}, "reference", "received True"),
        ({"question": ["a"]}, "question", "received ['a']"),
        ({"question": "<image>\n"}, "question", "received '<image>"),
        ({"image": "../../secret.png"}, "image", "leaves the benchmark's folder"),
        ({"image": "/etc/secret.png"}, "image", "leaves the benchmark's folder"),
        ({"question_id": "x0"}, "question_id", "question_id 'x0' occurs twice"),
    ],
)
def test_a_bad_record_is_one_rejected_row_with_its_value(tmp_path, caplog, change, field, message):
    records = [_record(0), _record(1, **change), _record(2)]
    with caplog.at_level(logging.WARNING):
        questions = read_questions(_write(tmp_path, "own.jsonl", records), run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x2"]
    (wrong,) = questions.attrs["rejected"]
    assert (wrong["place"], wrong["field"]) == ("own.jsonl:2", field)
    assert message in wrong["reason"]
    assert "1 of 3 records are not questions" in caplog.text
    told = reading_notes(questions)["what"]
    assert told[0] == "2 questions about 2 images, from 3 records" and "1 of 3 records" in told[1]


def test_a_broken_line_is_one_rejected_row(tmp_path):
    text = json.dumps(_record(0)) + '\n{"question_id":\n' + json.dumps(_record(2))
    (tmp_path / "own.jsonl").write_text(text)
    questions = read_questions(tmp_path / "own.jsonl", run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x2"]
    assert [row["place"] for row in questions.attrs["rejected"]] == ["own.jsonl:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "own.jsonl is empty"), ("[]", "holds no records"), ("{}", r"0 of 1 .*own\.jsonl:1")],
)
def test_a_file_without_a_question_says_so(tmp_path, text, message):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(BadQuestion, match=message):
        read_questions(tmp_path / "own.jsonl", run=tmp_path)


def test_a_folder_without_a_benchmark_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vqa_rad_test\.jsonl"):
        read_questions(tmp_path, run=tmp_path)


def _pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), len(name)).save(folder / name)


@pytest.mark.parametrize("split", ["test", "train", "validation"])
def test_slakes_three_splits_are_read_as_published(tmp_path, split):
    name = "validate" if split == "validation" else split
    record = {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "Is it a CT?",
              "answer": "Yes", "q_lang": "en", "location": "Abdomen", "modality": "CT",
              "answer_type": "CLOSED", "base_type": "vqa", "content_type": "Modality",
              "triple": ["vhead", "_", "_"], "qid": 11_934}  # fmt: skip
    chinese = {**record, "q_lang": "zh", "qid": 11_935}
    _pictures(tmp_path / "Slake1.0", "imgs/xmlab1/source.jpg")
    _write(tmp_path / "Slake1.0", f"{name}.json", [record, chinese])
    questions = read_questions(tmp_path / "Slake1.0", run=tmp_path, split=split)
    row = questions.iloc[0]
    assert len(questions) == 1 and questions.attrs["other_languages"] == ["zh"]
    assert (row.benchmark, row.question_id, row.kind) == ("SLAKE", "slake_11934", "closed")
    assert row.image == str(tmp_path / "Slake1.0/imgs/xmlab1/source.jpg")
    assert "1 of 2 records are in another language" in reading_notes(questions)["what"][1]


def test_vqa_rads_one_file_of_all_its_questions_is_read_by_split(tmp_path):
    """As its authors publish it: the phrase says which questions are the test's."""
    records = [
        {"qid": str(k), "phrase_type": phrase, "qid_linked_id": "x", "image_name": "a.jpg",
         "image_case_url": "https://medpix.nlm.nih.gov/case", "image_organ": "CHEST",
         "question": f"Is it {k}?", "answer": "Yes", "answer_type": "CLOSED"}
        for k, phrase in enumerate(("freeform", "test_freeform", "para", "test_para"))
    ]  # fmt: skip
    folder = _write(tmp_path, "VQA_RAD Dataset Public.json", records).parent
    for split, ids in (("test", [1, 3]), ("train", [0, 2])):
        questions = read_questions(folder, run=tmp_path, split=split)
        assert questions["question_id"].tolist() == [f"vqarad_{k}" for k in ids]
        assert questions["benchmark"].unique().tolist() == ["VQA-RAD"]
        assert "2 of 4 records are in another split" in reading_notes(questions)["what"][1]


def test_a_table_that_states_splits_is_read_by_them_and_a_split_alone_is_read_whole(tmp_path):
    records = [_record(0, split="train"), _record(0, split="Test", question="Or?")]
    file = _write(tmp_path, "own.jsonl", records)
    assert read_questions(file, run=tmp_path)["question"].tolist() == ["Or?"]
    file = _write(tmp_path, "own.jsonl", records[:1])
    assert read_questions(file, run=tmp_path)["question"].tolist() == ["Is it?"]


@pytest.mark.parametrize("folder", ["own", "data", "test", "qas", "original"])
def test_an_images_path_may_not_leave_its_folder_however_that_is_called(tmp_path, folder):
    (tmp_path / folder).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "secret.png")
    records = [
        _record(0),
        _record(1, image="../secret.png"),
        _record(2, image="a/../../secret.png"),
    ]
    questions = read_questions(_write(tmp_path / folder, "own.jsonl", records), run=tmp_path)
    assert questions["question_id"].tolist() == ["x0"]
    assert [row["field"] for row in questions.attrs["rejected"]] == ["image"] * 2


def test_pathvqas_pickles_are_read_as_published(tmp_path):
    folder = tmp_path / "pvqa"
    _pictures(folder, "images/test/test_0273.jpg")
    rows = [
        {"answer_type": kind, "img_id": "test_0273", "label": label, "question_id": number,
         "question_type": "is", "sent": "Is it normal?"}
        for number, kind, label in ((1, "yes/no", {"no": 1}), (2, "other", {"liver": 1}),
                                    (3, "number", {}))
    ]  # fmt: skip
    (folder / "qas").mkdir()
    (folder / "qas" / "test_vqa.pkl").write_bytes(pickle.dumps(rows))
    questions = read_questions(folder, run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["reference"].tolist() == ["no", "liver"]
    assert questions["benchmark"].tolist() == ["PathVQA"] * 2
    assert questions["image"].unique().tolist() == [str(folder / "images/test/test_0273.jpg")]
    assert [row["field"] for row in questions.attrs["rejected"]] == ["reference"]
    (folder / "qas" / "test").mkdir()
    rows = [{"image": "test_0273", "question": f"Is it {k}?", "answer": a}
            for k, a in enumerate(("yes", "a cyst"))]  # fmt: skip
    (folder / "qas" / "test" / "test_qa.pkl").write_bytes(pickle.dumps(rows))
    questions = read_questions(folder, run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["image"].unique().tolist() == [str(folder / "images/test/test_0273.jpg")]


@pytest.mark.parametrize("repository", ["path-vqa", "vqa-rad"])
def test_a_benchmark_is_read_as_the_hub_keeps_it(tmp_path, repository):
    """Parquet in parts, the images within; in the cache below snapshots/<revision>."""
    folder = tmp_path / f"datasets--someone--{repository}" / "snapshots" / ("0f" * 20)
    (folder / "data").mkdir(parents=True)
    for part in range(2):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), part).save(buffer, "PNG")
        image = {"bytes": buffer.getvalue(), "path": None}
        rows = [{"image": image, "question": f"Is it {part}?", "answer": "yes"},
                {"image": image, "question": "What is it?", "answer": "a cyst"}]  # fmt: skip
        frame = pd.DataFrame(rows)
        frame.to_parquet(folder / "data" / f"test-0000{part}-of-00002-abc.parquet")
        frame.to_parquet(folder / "data" / f"train-0000{part}-of-00002-abc.parquet")
    run = tmp_path / "run"
    questions = read_questions(folder, run=run)
    name = {"path-vqa": "PathVQA", "vqa-rad": "VQA-RAD"}[repository]
    assert questions["benchmark"].tolist() == [name] * 4
    assert questions["kind"].tolist() == ["closed", "open"] * 2
    assert questions["image"].nunique() == questions["group_id"].nunique() == 2
    assert {Path(image).suffix for image in questions["image"]} == {".png"}
    assert len(with_images(questions)) == 4
    assert Workspace(run).write("questions", questions) == 4


@pytest.mark.parametrize("spelt", ["conversations", "conversatons"])
def test_llava_meds_form_of_the_three_is_read(tmp_path, spelt):
    said = [{"from": "human", "value": "<image>\nIs it?"}, {"from": "gpt", "value": "no"}]
    records = [
        {"id": 7, "image": "a.jpg", spelt: said, "answer_type": "CLOSED"},
        {"id": 8, "image": "a.jpg", spelt: [*said, *said[:1], {"from": "gpt", "value": "left"}]},
        {"id": 9, "image": "a.jpg", spelt: said[:1]},
    ]
    _write(tmp_path / "data_RAD", "test.json", records)
    questions = read_questions(tmp_path / "data_RAD", run=tmp_path)
    assert questions["question_id"].tolist() == ["data_rad_7", "8-r2"]
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["question"].tolist() == ["Is it?"] * 2
    assert questions.attrs["repeated"] == {"data_rad_7": 2}
    assert [row["field"] for row in questions.attrs["rejected"]] == ["conversations"]


def test_llavas_questions_find_their_answers_in_the_file_beside(tmp_path):
    _write(tmp_path, "qa90_questions.jsonl", [
        {"question_id": k, "image": "a.jpg", "text": f"What {k}?", "category": "conv"}
        for k in range(3)])  # fmt: skip
    _write(tmp_path, "qa90_gpt4_answer.jsonl", [
        {"question_id": k, "text": f"Answer {k}.", "answer_id": f"x{k}", "model_id": "gpt4"}
        for k in (1, 0)])  # fmt: skip
    questions = read_questions(tmp_path, run=tmp_path)
    assert questions["reference"].tolist() == ["Answer 0.", "Answer 1."]
    assert questions["kind"].tolist() == ["chat"] * 2
    assert questions["question_type"].tolist() == ["conv"] * 2
    assert [row["field"] for row in questions.attrs["rejected"]] == ["reference"]


@pytest.mark.parametrize("form", ["within", "beside", "by domain"])
def test_llava_meds_chat_set_comes_with_its_captions(tmp_path, form):
    record = {"question_id": 0, "image": "1_F3.jpg", "pair_id": "1_F3", "text": "Which?\n<image>",
              "gpt4_answer": "It is X.", "type": "detail", "in_text_mention": [],
              "domain": {"mri": True}, "fig_label": "Fig. 3"}  # fmt: skip
    captioned = {**record, "fig_caption": "A cyst. "}
    if form != "within":
        captions = [captioned] if form == "beside" else {"mri": [captioned]}
        _write(tmp_path, "llava_med_eval_qa50_fig_captions.json", captions)
    asked = captioned if form == "within" else record
    _write(tmp_path, "llava_med_eval_qa50_qa.jsonl", [asked])
    questions = read_questions(tmp_path, run=tmp_path)
    assert questions["benchmark"].tolist() == ["LLaVA-Med chat"]
    assert questions["kind"].tolist() == ["chat"]
    assert questions.attrs["captions"] == {str(tmp_path / "1_F3.jpg"): "A cyst."}


def test_a_table_of_ones_own_may_be_csv(tmp_path):
    (tmp_path / "wards.csv").write_text(
        "Question,Answer,Image\nHow many?,2.0,i0.png\nWhere?,nan,i0.png\nIs it?,Yes.,i0.png\n"
    )
    questions = read_questions(tmp_path / "wards.csv", run=tmp_path)
    assert questions["question_id"].tolist() == ["wards_1", "wards_3"]
    assert questions["kind"].tolist() == ["open", "closed"]
    assert questions["benchmark"].tolist() == ["wards"] * 2
    assert [row["place"] for row in questions.attrs["rejected"]] == ["wards.csv:3"]


@pytest.mark.parametrize(
    "name", ["test.json", "data/test.json", "questions.json", "qas/train.json"]
)
def test_a_benchmark_is_called_by_its_folder_where_its_file_says_nothing(tmp_path, name):
    file = tmp_path / "thorax" / name
    file.parent.mkdir(parents=True)
    questions = read_questions(_write(file.parent, file.name, [_record(0)]), run=tmp_path)
    assert questions["benchmark"].tolist() == ["thorax"]


def test_missing_images_are_counted_before_a_model_is_asked(tmp_path, caplog):
    _pictures(tmp_path, "i0.png")
    (tmp_path / "i2.png").write_bytes(b"no image")
    records = [_record(0), _record(1), _record(2), _record(3, image="i1.png", question="Or?")]
    with caplog.at_level(logging.WARNING):
        questions = read_questions(_write(tmp_path, "own.jsonl", records), run=tmp_path)
        asked = with_images(questions)
    assert "1 of 3 images are missing: 2 of 4 questions cannot be answered" in caplog.text
    assert asked["question_id"].tolist() == ["x0"]
    assert [reason[:9] for reason in asked.attrs["images_left_out"].values()] == [
        "no such i", "'i2.png' ",
    ]  # fmt: skip
    note = "2 of 3 images cannot be opened: 3 of 4 questions are left out"
    assert note in caplog.text
    assert reading_notes(asked)["what"].tolist() == [
        "1 questions about 1 images, from 4 records", note,
    ]  # fmt: skip


def test_a_benchmark_without_any_image_is_refused_in_one_line(tmp_path):
    questions = read_questions(_write(tmp_path, "own.jsonl", [_record(0)]), run=tmp_path)
    with pytest.raises(NoImages, match="1 of 1 images cannot be opened.*cannot be evaluated") as no:
        with_images(questions)
    assert "\n" not in str(no.value)


# -- VQA-RAD -------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_vqa_rad_reads_the_same_normalised_and_as_published(realdata, tmp_path):
    normalised = read_questions(realdata / "vqa_rad", run=tmp_path)
    published = read_questions(realdata / "vqa_rad" / "original", run=tmp_path)
    pd.testing.assert_frame_equal(normalised, published)
    assert len(normalised) == 451
    assert normalised["kind"].value_counts().to_dict() == {"closed": 272, "open": 179}
    assert normalised["image"].map(lambda path: open_image(path).width > 0).all()
    assert Workspace(tmp_path / "run").write("questions", normalised) == 451


@pytest.mark.realdata
def test_vqa_rads_training_file_with_its_odd_values_reads_the_same_both_ways(realdata, tmp_path):
    """Two "CLOSED " and ten integer answers stand in it, and 452 questions more than once."""
    folder = realdata / "vqa_rad"
    normalised = read_questions(folder / "vqa_rad_train.jsonl", run=tmp_path)
    published = read_questions(folder / "original" / "vqa_rad_trainset.json", run=tmp_path)
    pd.testing.assert_frame_equal(normalised, published)
    repeated = normalised.attrs["repeated"]
    assert len(repeated) == 452
    assert len(normalised) + sum(repeated.values()) - len(repeated) == 3064


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["vqa_rad_test.jsonl", "vqa_rad_train.jsonl"])
def test_a_perfect_model_scores_everything_and_a_contrary_one_nothing(realdata, tmp_path, name):
    questions = read_questions(realdata / "vqa_rad" / name, run=tmp_path)
    perfect = questions[["question_id"]].assign(
        model="perfect", control="none", draw=0, answer=questions["reference"]
    )
    assert open_recall(questions, perfect)["value"].mean() == 1.0
    assert closed_accuracy(questions, perfect)["value"].mean() == 1.0
    first = questions["reference"].str.lower().str.extract(r"^(yes|no)\b")[0]
    asked = questions[(questions["kind"] == "closed") & first.notna()]
    contrary = asked[["question_id"]].assign(
        model="contrary",
        draw=0,
        control="none",
        answer=first[asked.index].map({"yes": "no", "no": "yes"}),
    )
    assert closed_accuracy(asked, contrary)["value"].sum() == 0.0


SAID_OTHERWISE = {
    "roles.json": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A"}],
    "system.json": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "What?"},
                    {"from": "gpt", "value": "A"}],
    "cell.csv": [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A"}],
}  # fmt: skip


@pytest.mark.parametrize("name", SAID_OTHERWISE)
def test_a_conversations_question_is_read_however_it_is_told(tmp_path, name):
    row = {"id": "c1", "image": "i0.png", "conversations": SAID_OTHERWISE[name]}
    if name.endswith("csv"):
        pd.DataFrame([row]).to_csv(tmp_path / name, index=False)
    else:
        _write(tmp_path, name, [row])
    found = read_questions(tmp_path / name, run=tmp_path).iloc[0]
    assert (found["question"], found["reference"]) == ("What?", "A")


@pytest.mark.parametrize("kind", ["", "Closed-ended", "closed_ended", "CLOSED "])
def test_kinds_are_known_however_they_are_written(tmp_path, kind):
    record = _record(answer_type=kind, image="sub\\i0.png")
    found = read_questions(_write(tmp_path, "own.json", [record]), run=tmp_path).iloc[0]
    assert (found["kind"], found["image"]) == ("closed", str(tmp_path / "sub" / "i0.png"))


@pytest.mark.parametrize("n", ["5", 0, -1, 2.0, True])
def test_a_number_of_questions_that_is_none_is_refused(n, tmp_path):
    with pytest.raises(ValueError, match=f"n={n!r}: wanted a whole number from 1 on, or None"):
        read_questions("clinic", run=tmp_path, n=n)
