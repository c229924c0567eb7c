"""Claims about receipts of an endpoint's requests, against a real server on this machine.

The simulated faults: a server that looks for the image under another name, a request whose image is
dropped, and a request that carries another one's image.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import sqlite3

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import answer_rows, question_rows
from loopback import Loopback
from PIL import Image

from vital_lib.client import ChatClient, Ledger, check_images, sent_images, wire
from vital_lib.client.images import Images
from vital_lib.evaluation import EndpointModel, answer_questions, reliance_metrics
from vital_lib.judging import compare_answers, probe_images, rate_candidates
from vital_lib.prompts import RatingCriteria
from vital_lib.receipts import ImageNotSeen


def reply(content, details=None):
    usage = {"prompt_tokens": 300, "completion_tokens": 5, **(details or {})}
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {"model": "m", "choices": [choice], "usage": usage}
    return 200, {"content-type": "application/json"}, json.dumps(body).encode()


def pictures(body):
    """The bytes of the images in a request, as a server decodes them."""
    parts = [part for message in body["messages"] for part in message["content"]]
    urls = [p["image_url"]["url"] for p in parts if isinstance(p, dict) and "image_url" in p]
    return [base64.b64decode(url.partition(",")[2]) for url in urls]


def sees(body, place=0):
    """A model that tells the brightness of its image, and counts 85 tokens for it."""
    shown = pictures(body)
    level = "unseen"
    if shown:  # to the nearest of the levels in use, since JPEG moves them
        top = np.asarray(Image.open(io.BytesIO(shown[0])).convert("L")).max()
        level = round((float(top) - 10) / 20) * 20 + 10
    details = {"prompt_tokens_details": {"image_tokens": 85 * len(shown), "cached_tokens": 0}}
    return reply(json.dumps({"answer": f"It is {level}."}), details)


def looks_elsewhere(body, place=0):
    """A server that reads the field `image`, which nobody sends, and answers from the text."""
    parts = body["messages"][-1]["content"]
    shown = [p["image"] for p in parts if isinstance(p, dict) and "image" in p]
    return reply(json.dumps({"answer": f"It shows {len(shown)} images."}))


def ties(body, place=0):
    return reply('{"rationale": "", "winner": "tie"}')


@pytest.fixture
def questions(tmp_path):
    """Twelve open questions about twelve images of different brightness."""
    rows = question_rows(
        *[("open", f"How bright is it? ({k})", f"{20 * k + 10}") for k in range(12)]
    )
    paths = []
    for k in range(12):
        pixels = np.zeros((40, 60), dtype=np.uint8)
        pixels[:20] = 20 * k + 10
        Image.fromarray(pixels).save(tmp_path / f"p{k}.png")
        paths.append(str(tmp_path / f"p{k}.png"))
    return rows.assign(image=paths, group_id=[f"g{k}" for k in range(12)])


def model(server, **options):
    options = {"base_url": server.base_url, "local": True, "concurrency": 4, **options}
    return ChatClient("m", **options)


def test_an_endpoints_answers_keep_the_bytes_the_size_and_the_tokens_of_their_images(questions):
    with Loopback(sees) as server:
        found = answer_questions(EndpointModel(model(server)), questions, name="m", probe=0)
    got = {hashlib.sha256(pictures(body)[0]).hexdigest() for body in server.bodies}
    assert set(found["image_sha256"]) == got and len(got) == 12
    assert set(found["image_width"]) == {60} and set(found["image_height"]) == {40}
    assert set(found["image_tokens"]) == {85}
    assert found["answer"].str.fullmatch(r"It is \d+\.").all()


def test_an_endpoint_that_does_not_report_image_tokens_leaves_them_null(questions):
    def silent(body, place):
        status, headers, raw = sees(body)
        return reply(json.loads(raw)["choices"][0]["message"]["content"])

    with Loopback(silent) as server:
        found = answer_questions(EndpointModel(model(server)), questions, name="m")
    assert found["image_tokens"].isna().all() and found["image_sha256"].notna().all()


def test_the_text_only_twin_of_an_endpoint_is_sent_no_image(questions):
    with Loopback(sees) as server:
        twin = EndpointModel(model(server))
        found = answer_questions(twin, questions, name="m", control="no_image")
    assert not any(pictures(body) for body in server.bodies)
    assert set(found["answer"]) == {"It is unseen."} and set(found["image_tokens"]) == {0}
    assert found["image_sha256"].isna().all()


def test_the_controls_of_an_endpoint_give_its_image_reliance(questions):
    with Loopback(sees) as server:
        asked = EndpointModel(model(server))
        parts = [
            answer_questions(asked, questions, name="m", control=control)
            for control in ("none", "blank", "shuffled", "no_image")
        ]
    found = reliance_metrics(questions, pd.concat(parts))
    for control in ("shuffled", "no_image"):
        assert found[f"evaluation.image_reliance_{control}_open_recall_m"] > 0.5


def test_a_server_that_looks_for_the_image_under_another_name_stops_the_evaluation(
    questions, tmp_path
):
    ledger = tmp_path / "ledger.sqlite"
    with Loopback(looks_elsewhere) as server:
        asked = EndpointModel(model(server, ledger=ledger))
        with pytest.raises(ImageNotSeen, match="no image tokens were reported.*name of the field"):
            answer_questions(asked, questions, name="m")
        assert len(server.bodies) == 16  # the probe alone
    assert Ledger(ledger).bill("m")["requests"] == 16  # and its replies are kept


def test_equal_answers_of_an_endpoint_that_counts_image_tokens_are_a_warning(questions, caplog):
    details = {"promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 258}]}
    yes = reply('{"answer": "yes"}', details)
    with Loopback(lambda body, place: yes) as server, caplog.at_level(logging.WARNING):
        found = answer_questions(EndpointModel(model(server)), questions, name="m")
    assert set(found["image_tokens"]) == {258}
    assert "although 2,064 image tokens were counted" in caplog.text


def test_an_endpoint_that_answers_in_plain_text_is_read(questions):
    with Loopback(lambda body, place: reply("Pneumothorax on the left.")) as server:
        found = answer_questions(EndpointModel(model(server)), questions, name="m", probe=0)
    assert set(found["answer"]) == {"Pneumothorax on the left."}


def test_a_known_reply_gives_its_receipt_again(questions, tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    with Loopback(sees) as server:
        first = answer_questions(
            EndpointModel(model(server, ledger=ledger)), questions, name="m", probe=0
        )
        again = answer_questions(
            EndpointModel(model(server, ledger=ledger)), questions, name="m", probe=0
        )
        assert len(server.bodies) == 12
    pd.testing.assert_frame_equal(first, again)


# Planted faults on this side of the wire


def drop(monkeypatch):
    sent = wire._sent

    def without_image(message, images, detail):
        found = sent(message, images, detail)
        if isinstance(found["content"], list):
            found["content"] = [part for part in found["content"] if part["type"] == "text"]
        return found

    monkeypatch.setattr(wire, "_sent", without_image)


def swap(monkeypatch):
    """Every figure is sent as the first one."""
    encoded, first = Images.encoded, []

    def swapped(self, figure):
        first.append(figure)
        return encoded(self, first[0])

    monkeypatch.setattr(Images, "encoded", swapped)


def test_a_dropped_image_stops_the_evaluation(questions, monkeypatch):
    drop(monkeypatch)
    with Loopback(sees) as server, pytest.raises(ImageNotSeen, match="no image was sent"):
        answer_questions(EndpointModel(model(server)), questions, name="m")


def test_a_swapped_image_stops_the_evaluation(questions, monkeypatch):
    swap(monkeypatch)
    with Loopback(sees) as server, pytest.raises(ImageNotSeen, match="another image was sent"):
        answer_questions(EndpointModel(model(server)), questions, name="m")


# Judges


def judged(server, questions, **options):
    """Judge two models' equal answers, so in one request for both orders; what was sent."""
    judge = model(server, **options)
    said = dict.fromkeys(questions["question_id"], "bright")
    answers = pd.concat([answer_rows(said, "selected"), answer_rows(said, "random")])
    verdicts = compare_answers(questions, answers, "selected", "random", judge)
    image = dict(zip(questions["question_id"], questions["image"], strict=True))
    return sent_images(judge, verdicts["reply_id"], verdicts["question_id"].map(image))


def test_every_verdict_has_the_receipt_of_its_questions_image(questions):
    with Loopback(ties) as server:
        sent = judged(server, questions)
    assert len(sent) == 24 and set(sent["carried"]) == {"own image"}
    assert sent["image_sha256"].nunique() == 12 and set(sent["image_width"]) == {60}
    assert check_images(sent.head(0)) == "no requests"
    assert check_images(sent) == "of 24 requests, own image: 24; image tokens: not reported"


@pytest.fixture
def rated(questions):
    """A candidate about each image, and the figures."""
    ids = {"figure_id": questions["question_id"], "candidate_id": questions["question_id"]}
    candidates = pd.DataFrame({**ids, "instruction": "Q?", "response": "R."})
    lists = {"mentions": [[]] * 12, "modalities": [[]] * 12}
    return candidates, questions.assign(figure_id=questions["question_id"], caption="c", **lists)


def test_only_some_images_are_encoded_again_for_the_comparison(questions, rated):
    with Loopback(ties) as server:
        judge = model(server)
        rows = rate_candidates(*rated, judge)
    sent = sent_images(judge, rows["reply_id"], questions["image"], compared=3)
    assert sent["carried"].value_counts().to_dict() == {"image not compared": 9, "own image": 3}


@pytest.mark.parametrize(("fault", "carried"), [(drop, "no image"), (swap, "another image")])
def test_verdicts_without_their_own_image_are_found(questions, monkeypatch, fault, carried):
    fault(monkeypatch)
    with Loopback(ties) as server:
        sent = judged(server, questions)
    assert (sent["carried"] == carried).sum() >= 22  # the first image is sent as itself
    with pytest.raises(ImageNotSeen, match=rf"\d+ of 24 requests did not.*{carried}: 2"):
        check_images(sent)


def rates(overall, rationale="", details=None):
    criteria = dict.fromkeys(RatingCriteria.model_fields, 5)
    told = {"rationale": rationale, "criteria": criteria, "overall": overall}
    return reply(json.dumps(told), details)


def test_a_judge_that_sees_its_images_passes_the_probe_and_pays_once(rated, tmp_path):
    def looks(body, place):
        level = np.asarray(Image.open(io.BytesIO(pictures(body)[0])).convert("L")).max()
        return rates(5, f"the brightest point is {level}")

    with Loopback(looks) as server:
        judge = model(server)
        told = probe_images(*rated, judge, tmp_path / "grey")
        assert len(server.bodies) == 16
        rate_candidates(*rated, judge)
        assert len(server.bodies) == 20  # the other four
    assert told.startswith("8 of 8 ratings differ if the image is blanked; of 8 requests, own im")


def test_a_judge_whose_server_ignores_the_image_is_stopped_before_it_is_paid(rated, tmp_path):
    with Loopback(lambda body, place: rates(7)) as server:
        with pytest.raises(ImageNotSeen, match="all 8 answers of the probe are the same"):
            probe_images(*rated, model(server), tmp_path / "grey")
        assert len(server.bodies) == 16
    counts = {"prompt_tokens_details": {"image_tokens": 85}}
    with Loopback(lambda body, place: rates(7, "", counts)) as server:
        told = probe_images(*rated, model(server), tmp_path / "grey")
    assert "although 680 image tokens were counted" in told


def test_the_probe_of_a_judge_finds_a_dropped_image(rated, tmp_path, monkeypatch):
    drop(monkeypatch)
    lost = pytest.raises(ImageNotSeen, match="8 of 8 requests did not carry their own image")
    with Loopback(lambda body, place: rates(place % 10)) as server, lost:
        probe_images(*rated, model(server), tmp_path / "grey")


def test_unread_ratings_are_no_sign_that_images_are_lost(rated, tmp_path):
    with Loopback(lambda body, place: reply("I would rather not say.")) as server:
        told = probe_images(*rated, model(server), tmp_path / "grey")
    assert told.startswith("no reply was read in the probe of 8 ratings")


# Ledgers of an earlier release


def test_a_ledger_of_an_earlier_release_opens_and_has_no_receipts(questions, tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Loopback(ties) as server:
        judged(server, questions, ledger=path)
        with sqlite3.connect(path) as connection:
            connection.execute("ALTER TABLE replies DROP COLUMN receipts")
        sent = judged(server, questions, ledger=path)  # no reply is paid for twice
        assert len(server.bodies) == 12
    assert set(sent["carried"]) == {"no receipt"} and sent["image_sha256"].isna().all()
    assert check_images(sent).startswith("of 24 requests, no receipt: 24")


def test_receipts_survive_an_export_and_an_older_export_has_none(questions, tmp_path):
    with Loopback(sees) as server:
        client = model(server)
        answer_questions(EndpointModel(client), questions, name="m", probe=0)
    client.ledger.export(tmp_path / "new.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    older = "\n".join(
        json.dumps({k: v for k, v in one.items() if k != "receipts"}) for one in lines
    )
    (tmp_path / "old.jsonl").write_text(older)
    columns = ["reply_id", "receipts"]
    kept = client.ledger.history(columns)
    pd.testing.assert_frame_equal(Ledger.of_export(tmp_path / "new.jsonl").history(columns), kept)
    assert Ledger.of_export(tmp_path / "old.jsonl").history(columns)["receipts"].isna().all()
