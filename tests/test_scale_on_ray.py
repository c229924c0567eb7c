"""Claims about Ray's workers: what they compute and ask is what one process computes and asks."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest
from clinic_requests import any_image, phantom_figures
from loopback import cleared, save_image
from ray_acts import ray_here, ray_workers, with_ray  # noqa: F401 - fixtures

from vital_lib import scale
from vital_lib.client import ChatClient, Control, CostCeiling, ModelUnavailable
from vital_lib.clinic.server import Dials, running
from vital_lib.encoders import load_encoder
from vital_lib.figures import UnreadableImage, open_image, read_figures
from vital_lib.generation import draft_candidates, generate_candidates
from vital_lib.judging import rate_candidates
from vital_lib.prompts import rating_prompt
from vital_lib.scale.scoring import score_candidates
from vital_lib.selector import candidate_features, train_selector
from vital_lib.tables import empty_frame

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

FAULTY = Dials(
    latency=0.01,
    faults={"rate_limited": 0.05, "server_error": 0.05, "reset": 0.05, "empty": 0.03,
            "malformed": 0.03, "refusal": 0.03, "wrong_schema": 0.03, "truncated": 0.03},
)  # fmt: skip


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> pd.DataFrame:
    """The clinic's figures of 40 articles."""
    frame, _ = read_figures("clinic", run=tmp_path_factory.mktemp("run"), articles=40)
    return frame


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A function that has a client in one process and one of two workers do the same.

    Each has a ledger of its own, and meets the same faults.
    """
    folder = tmp_path_factory.mktemp("ledgers")
    with running(FAULTY) as server:
        options = {"base_url": server.url, "local": True}
        alone = ChatClient("clinic", ledger=folder / "alone.sqlite", **options)
        options |= {"ledger": folder / "ray.sqlite", "workers": 2}
        shared = scale.open_client("clinic", engine="ray", **options)

        def do(work):
            done = []
            for client in (alone, shared):
                server.reset()
                done.append(work(client))
            return done

        yield do


def prompts(folder, number):
    image = cleared(any_image(folder).path)
    for figure in phantom_figures(number):
        figure = {**figure, "cleared": True}
        yield rating_prompt(figure, image, "On which side is the finding?", "It lies left.")


def test_ray_listens_on_loopback_alone():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            found += [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]
    assert found and all(ipaddress.ip_address(ip).is_loopback for ip in map(unmapped, found))


def unmapped(ip):
    return ip.removeprefix("::ffff:")


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(one, other)
    return True


def test_replies_are_those_of_one_process_in_order_whatever_fails(both, tmp_path):
    alone, shared = both(lambda client: client.ask(prompts(tmp_path, 120)))
    assert [replace(r, seconds=0.0) for r in shared] == [replace(r, seconds=0.0) for r in alone]
    assert sum(reply.value is not None for reply in shared) >= 100
    assert all(reply.receipts for reply in shared if reply.value is not None)
    assert len(ray_workers("_Sending")) == 2


def test_drafts_and_candidates_are_those_of_one_process(both, figures):
    alone, shared = both(lambda client: draft_candidates(figures, client, seed=3))
    assert all(map(same, shared, alone)) and len(shared[0])
    none = empty_frame("demonstrations")
    settings = {"arm": "none", "image_of": {}, "seed": 3}
    alone, shared = both(lambda client: generate_candidates(figures, none, client, **settings))
    assert all(map(same, shared, alone)) and len(shared[0])


def test_ratings_are_those_of_one_process(both, figures):
    drafts, _ = draft_candidates(figures, ChatClient(), seed=3)
    alone, shared = both(lambda client: rate_candidates(drafts, figures, client, repeats=2))
    assert same(shared, alone) and shared["overall"].notna().mean() > 0.8


def test_replies_in_the_ledger_are_not_sent_again(tmp_path):
    with running(Dials()) as server:
        options = {"base_url": server.url, "local": True, "ledger": tmp_path / "ledger.sqlite"}
        first = scale.open_client(engine="ray", **options).ask(prompts(tmp_path, 20))
        control = Control()
        second = scale.open_client(engine="ray", **options).ask(
            prompts(tmp_path, 20), control=control
        )
        assert second == first == ChatClient(**options).ask(prompts(tmp_path, 20))
        assert server.stats()["requests"] == 20 == control.tally.known


def test_the_embedded_clinic_answers_in_the_workers_too(tmp_path):
    shared = scale.open_client("clinic", engine="ray").ask(prompts(tmp_path, 8))
    alone = ChatClient("clinic").ask(prompts(tmp_path, 8))
    assert [replace(r, seconds=0.0) for r in shared] == [replace(r, seconds=0.0) for r in alone]


def test_the_ceiling_holds_for_all_workers_together(tmp_path, prices):
    with running(Dials(latency=0.05, reply="fixed")) as server:
        options = {"base_url": server.url, "prices": prices, "max_usd": 0.1, "concurrency": 16}
        client = scale.open_client("judge", engine="ray", workers=2, **options)
        with pytest.raises(CostCeiling, match="the ceiling is 0.1"):
            client.ask(prompts(tmp_path, 400))
        assert 0 < client.spent()["usd"] <= 0.1
        assert server.stats()["answered"] == client.spent()["requests"]


def test_the_limit_of_requests_at_once_holds_for_all_workers_together(tmp_path):
    with running(Dials(latency=0.05, reply="fixed")) as server:
        options = {"base_url": server.url, "local": True, "workers": 3, "concurrency": 8}
        scale.open_client(engine="ray", **options).ask(prompts(tmp_path, 100))
        assert server.stats()["most_in_flight"] == 8


def test_a_wrong_key_ends_the_run_with_the_same_words(tmp_path):
    with running(Dials(key="right-key")) as server:
        for client in (ChatClient, scale.open_client):
            engine = {} if client is ChatClient else {"engine": "ray"}
            with pytest.raises(ModelUnavailable, match=r"the key was refused \(401\)"):
                client("clinic", base_url=server.url, local=True, **engine).ask(
                    prompts(tmp_path, 5)
                )


def test_an_image_that_a_worker_cannot_read_is_one_reply_without_a_value(tmp_path):
    one, path = list(prompts(tmp_path, 2)), save_image(tmp_path / "gone.png", 7)
    gone = rating_prompt(phantom_figures(1)[0], open_image(path), "Where?", "It lies left.")
    path.unlink()
    with running(Dials()) as server:
        client = scale.open_client(engine="ray", base_url=server.url, local=True)
        first, bad, last = client.ask([one[0], gone, one[1]])
    assert first.value and last.value
    assert bad.value is None and "not sent: image: 'gone.png' cannot be read" in bad.reason


def test_a_stopped_run_keeps_its_replies(tmp_path):
    control = Control()
    with running(Dials(latency=0.02)) as server:
        client = scale.open_client(engine="ray", base_url=server.url, local=True, concurrency=4)
        stop_at_20 = {"on_reply": lambda done: control.stop() if done == 20 else None}
        replies = client.ask(prompts(tmp_path, 200), control=control, **stop_at_20)
    answered = [reply for reply in replies if reply.value is not None]
    # As without Ray: twice as many requests as the limit are under way.
    assert 20 <= len(answered) <= 20 + 8 and len(replies) == 200


def test_features_are_those_of_one_process_and_stay_in_the_cache(figures, tmp_path):
    images = [open_image(path) for path in figures["image"]]
    texts = [*figures["caption"], "word " * 500, ""]
    alone = load_encoder()
    shared = scale.load_encoder(engine="ray", cache=tmp_path / "cache", workers=2)
    seen: list[int] = []
    assert np.allclose(
        shared.images(images, on_encoded=seen.append), alone.images(images), atol=1e-5
    )
    assert np.allclose(shared.texts(texts), alone.texts(texts), atol=1e-5)
    assert shared.truncated == alone.truncated == 1
    assert seen == sorted(seen) and seen[-1] == len({image.shown_as for image in images})
    assert not list((tmp_path / "scale").rglob("*.parquet"))
    again: list[int] = []
    local = load_encoder(cache=tmp_path / "cache")
    assert (local.images(images, on_encoded=again.append) == shared.images(images)).all()
    assert not again


def test_an_image_that_changed_is_counted_and_the_others_are_kept(figures, tmp_path):
    images = [open_image(path) for path in figures["image"][:40]]
    copy = tmp_path / "copy.png"
    copy.write_bytes(images[0].path.read_bytes())
    changing = open_image(copy)
    copy.write_bytes(images[1].path.read_bytes()[:200])
    other = [image for image in images if image.shown_as != changing.shown_as]
    shared = scale.load_encoder(engine="ray", cache=tmp_path / "cache")
    with pytest.raises(UnreadableImage, match=r"1 of \d+ cannot be encoded, first .*copy.png"):
        shared.images([*other, changing])
    again: list[int] = []
    load_encoder(cache=tmp_path / "cache").images(other, on_encoded=again.append)
    assert not again


def test_scores_are_those_of_one_process(figures, tmp_path, caplog):
    drafts, _ = draft_candidates(figures, ChatClient(), seed=3)
    ticks = drafts[["candidate_id", "group_id"]].assign(
        split="train",
        item_id=drafts["instruction_id"],
        accepted=drafts["response"].str.len() % 2 == 0,
        annotator="ann",
    )
    alone = load_encoder()
    features = candidate_features(drafts, figures, alone)
    selector = train_selector(features, ticks, scale_on=drafts["candidate_id"])
    shared = scale.load_encoder(engine="ray", cache=tmp_path / "cache", workers=2)
    expected = score_candidates(selector, drafts, figures, alone, features=features)
    found = score_candidates(selector, drafts, figures, shared)
    assert (found["candidate_id"] == expected["candidate_id"]).all()
    for column in ("score", "uncertainty"):
        assert np.allclose(found[column], expected[column], atol=1e-5)
    gone = figures.assign(image=figures["image"].mask(figures.index == 0, str(tmp_path / "no.png")))
    with caplog.at_level(logging.WARNING, "vital_lib.scale"):
        some = score_candidates(selector, drafts, gone, shared)
    bad = drafts["figure_id"] == figures["figure_id"][0]
    assert some["score"].isna().tolist() == bad.tolist()
    assert np.allclose(some["score"][~bad], expected["score"][~bad], atol=1e-5)
    assert f"{bad.sum()} of {len(drafts)} candidates have no score, first" in caplog.text
