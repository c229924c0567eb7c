"""Requests in batches: replies as if asked one by one, at half the price, and what goes wrong."""

from __future__ import annotations

import logging
import re
import threading
import tracemalloc

import pandas as pd
import pytest
from batch_acts import clinic, quick
from client_acts import PRICES, local, verdicts
from generation_rows import IMAGE_OF, ONE_EACH, figures
from loopback import Loopback, cleared, fault, save_image
from waiting import until

from vital_lib.client import UNSENT, ChatClient, Control, CostCeiling, Job, ModelUnavailable
from vital_lib.client.batches import asked, collecting, files, writing
from vital_lib.client.batches import run as batch_run
from vital_lib.client.batches.api import BatchApi
from vital_lib.clinic.server import Dials, running
from vital_lib.generation import generate_arms
from vital_lib.judging import rate_candidates
from vital_lib.panels.run_monitor import RunMonitor


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    for module, name in ((batch_run, "POLL_SECONDS"), (files, "MOST_LINES"), (writing, "_CHUNK")):
        monkeypatch.setattr(module, name, getattr(module, name))  # restored after `quick`
    quick()


@pytest.fixture
def image(tmp_path):
    return cleared(save_image(tmp_path / "a.png", 1))


@pytest.fixture
def priced(tmp_path):
    """Options of a client that pays 1 USD per thousand tokens in and 2 per thousand out."""
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES + "clinic,1000,2000,side 768 85,2026-11-01\n")
    return {"local": False, "prices": prices}


def uploaded(monkeypatch):
    """Return a list that grows by the content of each input file as it is uploaded."""
    contents, upload = [], BatchApi.upload

    def watching(self, name, file):
        file.seek(0)
        contents.append(file.read())
        return upload(self, name, file)

    monkeypatch.setattr(BatchApi, "upload", watching)
    return contents


def done(server, replies):
    """Check that all replies have values, and that none was paid for twice."""
    assert [reply.reason for reply in replies] == [None] * len(replies)
    assert server.stats()["batches"]["repeated"] == 0


# ------------------------------------------------------------------ replies and prices


def test_replies_are_those_of_single_requests_at_half_the_price(tmp_path, image, priced):
    with running() as server:
        single = clinic(server.url, tmp_path / "single", **priced)
        batched = clinic(server.url, tmp_path / "batched", **priced)
        assert batched.estimate(verdicts(image, 9), batch=True)["usd"] == pytest.approx(
            single.estimate(verdicts(image, 9))["usd"] / 2
        )
        one_by_one = single.ask(verdicts(image, 9))
        replies = batched.ask(verdicts(image, 9), batch=True)
        assert server.stats()["requests"] == 9
        assert batched.ask(verdicts(image, 9)) == replies  # found by their keys
        assert server.stats()["requests"] == 9
    for one, other in zip(one_by_one, replies, strict=True):
        assert other.usd == pytest.approx(one.usd / 2) and other.usd > 0
        assert one.receipts == other.receipts and one.receipts[0].sha256
        assert (one.reply_id, one.value, one.text) == (other.reply_id, other.value, other.text)
    for reply in one_by_one:
        traces = [client.ledger.trace(reply.reply_id) for client in (single, batched)]
        for trace in traces:
            del trace["at"], trace["seconds"], trace["usd"]
        assert traces[0] == traces[1]


def test_prompts_that_the_ledger_knows_or_that_repeat_are_in_no_batch(tmp_path, image, monkeypatch):
    contents = uploaded(monkeypatch)
    with running() as server:
        client = clinic(server.url)
        client.ask(verdicts(image, 3))
        control, counted = Control(), []
        prompts = [*verdicts(image, 5), *verdicts(image, 5)]
        replies = client.ask(prompts, batch=True, control=control, on_reply=counted.append)
        done(server, replies)
        assert replies[:5] == replies[5:]
        assert sum(content.count(b"\n") for content in contents) == 2
        assert (control.tally.done, control.tally.known, control.tally.failed) == (10, 6, 0)
        assert counted == [*range(1, 11)]


def test_asking_again_makes_a_new_attempt(image):
    with running() as server:
        client = clinic(server.url)
        first = client.ask(verdicts(image, 2), batch=True)
        second = client.ask(verdicts(image, 2), batch=True, again=True)
        assert [reply.reply_id for reply in second] == [f"{one.reply_id}-1" for one in first]
        assert client.ask(verdicts(image, 2)) == second


def test_into_replaces_replies(image):
    with running(Dials(reply="fixed")) as server:
        found = clinic(server.url).ask(verdicts(image, 3), batch=True, into=lambda one: one.text)
        assert all(isinstance(text, str) for text in found)


# ------------------------------------------------------------------ files and their limits


def test_files_are_split_by_lines(image, monkeypatch):
    contents = uploaded(monkeypatch)
    quick(lines=4)
    with running(Dials(reply="fixed")) as server:
        done(server, clinic(server.url).ask(verdicts(image, 10), batch=True))
        assert [content.count(b"\n") for content in contents] == [4, 4, 2]
        assert server.stats()["batches"] == {
            **{"uploads": 3, "batches": 3, "answered": 10, "repeated": 0, "files": 0}
        }


def test_images_reach_the_limit_of_bytes_first(tmp_path, monkeypatch):
    contents = uploaded(monkeypatch)
    large = cleared(save_image(tmp_path / "large.png", 1, side=400))
    monkeypatch.setattr(files, "MOST_BYTES", 300_000)
    with running(Dials(reply="fixed")) as server:
        done(server, clinic(server.url).ask(verdicts(large, 10), batch=True))
    lines = [content.count(b"\n") for content in contents]
    assert sum(lines) == 10 and len(lines) > 2 and max(map(len, contents)) <= 300_000
    each = len(contents[0]) / lines[0]
    assert all(len(content) > 300_000 - 2 * each for content in contents[:-1])  # nor far below


def test_a_request_larger_than_a_file_leaves_the_others(tmp_path, image, monkeypatch):
    large = cleared(save_image(tmp_path / "large.png", 1, side=400))
    monkeypatch.setattr(files, "MOST_BYTES", 20_000)
    prompts = [*verdicts(large, 1), *verdicts(image, 2), *verdicts(large, 1, start=2)]
    with running(Dials(reply="fixed")) as server:
        client = clinic(server.url)
        replies = client.ask(prompts, batch=True)
        done(server, replies[1:3])
        assert [replies[0].reason, replies[3].reason] == [replies[0].reason] * 2
        assert re.fullmatch(r"not sent: [\d,]+ bytes; a batch takes .* at most", replies[0].reason)
        done(server, client.ask(prompts))  # one by one, all can be sent


def test_memory_is_flat_in_rows(tmp_path, monkeypatch):
    large = cleared(save_image(tmp_path / "large.png", 1, side=400))
    peaks, sizes, contents = {}, {}, []
    upload = BatchApi.upload
    monkeypatch.setattr(
        BatchApi, "upload",
        lambda self, name, file: contents.append(file.tell()) or upload(self, name, file),
    )  # fmt: skip
    with running(Dials(reply="fixed")) as server:
        for count in (20, 220):
            client = clinic(server.url)
            contents.clear()
            tracemalloc.start()
            client.ask(verdicts(large, count), batch=True, into=lambda reply: reply.reply_id)
            peaks[count], sizes[count] = tracemalloc.get_traced_memory()[1], sum(contents)
            tracemalloc.stop()
    assert sizes[220] - sizes[20] > 20_000_000
    assert peaks[220] - peaks[20] < 2_000_000  # 10 kB per row, whatever its images


def test_an_unreadable_image_leaves_the_others(tmp_path, image):
    lost = cleared(save_image(tmp_path / "lost.png", 2))
    (tmp_path / "lost.png").unlink()
    prompts = [*verdicts(image, 2), *verdicts(lost, 1), *verdicts(image, 2, start=2)]
    with running(Dials(reply="fixed")) as server:
        replies = clinic(server.url).ask(prompts, batch=True)
        done(server, [*replies[:2], *replies[3:]])
    assert replies[2].reason.startswith("not sent: ") and replies[2].usd == 0


def test_a_full_disk_is_one_clear_line(image, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch_run, "write_file", full)
    with running() as server:
        client = clinic(server.url)
        with pytest.raises(OSError, match="No space left on device. Set TMPDIR to"):
            client.ask(verdicts(image, 1), batch=True)
        assert client.pending.files() == [] and server.stats()["batches"]["uploads"] == 0


# ------------------------------------------------------------------ lines that go wrong


@pytest.mark.parametrize("name", ["expired", "failed", "duplicated", "malformed", "missing"])
def test_lines_that_go_wrong_are_submitted_again(image, name):
    with running(Dials(batch_faults={name: 0.3})) as server:
        client = clinic(server.url)
        replies = client.ask(verdicts(image, 30), batch=True)
        given_up = [reply for reply in replies if reply.value is None]
        assert all(re.search(r"submitted 3 times$", reply.reason) for reply in given_up)
        assert len(given_up) < 10
        history = client.ledger.history()
        answered = history[history["answered"]]
        assert answered["key"].is_unique and len(answered) == 30 - len(given_up)
        stats = server.stats()["batches"]
        assert stats["batches"] in ([1] if name == "duplicated" else [2, 3])
        assert (stats["repeated"] > 0) == (name in ("malformed", "missing"))  # its fault, not ours


def test_lines_that_always_go_wrong_are_given_up(image):
    with running(Dials(batch_faults={"expired": 1.0})) as server:
        client = clinic(server.url)
        replies = client.ask(verdicts(image, 3), batch=True)
        assert {reply.reason for reply in replies} == {"the batch expired first; submitted 3 times"}
        assert server.stats()["batches"]["batches"] == asked._TRIES == 3
        assert client.ledger.bill()["usd"] == 0 and client.ledger.unanswered().empty


def test_lost_lines_count_as_possibly_charged(image, priced):
    with running(Dials(batch_faults={"missing": 1.0})) as server:
        client = clinic(server.url, **priced)
        [reply] = client.ask(verdicts(image, 1), batch=True)
        assert "was completed without a line for this request" in reply.reason
        assert reply.usd is None and len(client.ledger.unanswered()) == 1


def test_malformed_lines_are_named(image, caplog):
    with running(Dials(batch_faults={"malformed": 1.0})) as server:
        [reply] = clinic(server.url).ask(verdicts(image, 1), batch=True)
    assert re.search(r"its line in batch \S+ is unreadable \(line 1 of the output: ", reply.reason)
    assert "1 unreadable lines: line 1 of the output: no reply to a request" in caplog.text


def test_replies_that_were_deleted_at_the_endpoint_are_missing_lines(image, monkeypatch, caplog):
    lines = BatchApi.lines

    async def deleted(self, file_id):
        monkeypatch.setattr(BatchApi, "lines", lines)  # once
        await self.remove(file_id)
        async for line in lines(self, file_id):
            yield line

    monkeypatch.setattr(BatchApi, "lines", deleted)
    with running(Dials(reply="fixed")) as server:
        replies = clinic(server.url).ask(verdicts(image, 3), batch=True)
        assert [reply.reason for reply in replies] == [None] * 3
        assert server.stats()["batches"]["batches"] == 2
    assert "its file of output was deleted at the endpoint" in caplog.text


def test_files_that_a_killed_run_left_are_deleted_by_the_next_call(tmp_path, image, monkeypatch):
    async def killed(*_):
        raise SystemError

    with running(Dials(reply="fixed")) as server:
        client = clinic(server.url, tmp_path / "ledger")
        with monkeypatch.context() as patched:
            patched.setattr(collecting, "delete_files", killed)
            with pytest.raises(SystemError):
                client.ask(verdicts(image, 3), batch=True)
        assert server.stats()["batches"]["files"] == 2 and client.pending.files() == []
        done(server, client.ask(verdicts(image, 3), batch=True))  # all are known
        assert server.stats()["batches"]["files"] == 0 and client.pending.undeleted() == []
    known = clinic(server.url, tmp_path / "ledger").ask(verdicts(image, 3), batch=True)
    assert [reply.reason for reply in known] == [None] * 3  # without an endpoint


def test_uploads_and_batches_whose_answer_is_lost_are_not_repeated(image):
    with running(Dials(reply="fixed", batch_lost=1)) as server:
        done(server, clinic(server.url).ask(verdicts(image, 3), batch=True))
        stats = server.stats()["batches"]
        assert (stats["uploads"], stats["batches"], stats["answered"]) == (1, 1, 3)


def test_a_batch_that_fails_its_validation_tells_its_first_errors(image):
    with running() as server:
        client = ChatClient("no-such", base_url=server.url, local=True)
        with pytest.raises(ModelUnavailable) as raised:
            client.ask(verdicts(image, 5), batch=True)
        told = str(raised.value)
        first = "failed its validation with 5 errors, first: line 1: The model 'no-such' does not"
        assert first in told and "line 3: " in told and "line 4: " not in told
        assert client.pending.files() == [] and server.stats()["batches"]["files"] == 0


@pytest.mark.parametrize(("queue", "lines"), [(10, 8), (10, 35), (1, 4)])
def test_batches_wait_while_the_queue_of_the_endpoint_is_full(image, queue, lines):
    quick(lines)
    with running(Dials(reply="fixed", batch_queue=queue)) as server:
        done(server, clinic(server.url).ask(verdicts(image, 35 if queue > 1 else 4), batch=True))


# ------------------------------------------------------------------ the ceiling


def test_the_ceiling_is_checked_at_half_the_price_before_anything_is_submitted(image, priced):
    with running(Dials(reply="fixed")) as server:
        usd = clinic(server.url, **priced).estimate(verdicts(image, 6), batch=True)["usd"]
        poor = clinic(server.url, max_usd=0.99 * usd, **priced)
        with pytest.raises(CostCeiling, match="6 requests in batches may cost"):
            poor.ask(verdicts(image, 6), batch=True)
        assert server.stats()["batches"]["uploads"] == 0
        rich = clinic(server.url, max_usd=1.01 * usd, **priced)
        done(server, rich.ask(verdicts(image, 6), batch=True))


def test_requests_in_batches_count_towards_the_ceiling(tmp_path, image, priced):
    ledger = tmp_path / "ledger"
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        stopped_once_submitted(clinic(server.url, ledger, **priced), verdicts(image, 4))
        client = clinic(server.url, ledger, **priced)
        pending = client.pending.usd()
        assert pending == pytest.approx(client.estimate(verdicts(image, 4), batch=True)["usd"])
        other = list(verdicts(image, 1, start=50))
        single = client.estimate(other)["usd"]
        client = clinic(server.url, ledger, max_usd=pending + 0.99 * single, **priced)
        with pytest.raises(CostCeiling):
            client.ask(other)
        clinic(server.url, ledger, max_usd=pending + 1.01 * single, **priced).ask(other)


# ------------------------------------------------------------------ stops and other runs


def stopped_once_submitted(client, prompts):
    """Ask in batches, and stop once the panel's notice says that they are submitted."""
    control = Control()

    def stop():
        until(lambda: "submitted" in control.tally.notice)
        notices.append(control.tally.notice)
        control.stop()

    notices = []
    stopper = threading.Thread(target=stop)
    stopper.start()
    replies = client.ask(prompts, batch=True, control=control)
    stopper.join()
    return replies, notices[0]


def test_a_stopped_run_says_what_waits_and_is_collected_later(tmp_path, image, caplog):
    with running(Dials(reply="fixed", batch_seconds=1.0)) as server:
        client = clinic(server.url, tmp_path / "ledger")
        with caplog.at_level(logging.WARNING):
            replies, notice = stopped_once_submitted(client, verdicts(image, 5))
        assert {reply.reason for reply in replies} == {UNSENT}
        assert re.fullmatch(
            r"\d of 5 requests done in 1 batches, submitted \d\d:\d\d; next look in \d s", notice
        )
        assert "5 requests are in batches, which go on at the endpoint" in caplog.text
        with pytest.raises(ModelUnavailable, match="is in a batch, one of 5 requests since"):
            client.ask(verdicts(image, 5))  # would pay twice
        later = clinic(server.url, tmp_path / "ledger")
        done(server, later.ask(verdicts(image, 7), batch=True))
        assert server.stats()["batches"]["answered"] == 7


def test_the_panel_of_a_job_shows_what_was_submitted_when(image):
    with running(Dials(reply="fixed", batch_seconds=1.0)) as server:
        client = clinic(server.url)
        job = Job(lambda control: client.ask(verdicts(image, 3), batch=True, control=control), 3)
        panel = RunMonitor(job.start())
        until(lambda: re.search(r"of 3 requests .* submitted \d\d:", panel.widget.state["message"]))
        assert panel.widget.state["in_flight"] == 3
        done(server, job.result(20))


def test_a_cancelled_batch_gives_what_it_has(tmp_path, image):
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        client = clinic(server.url, tmp_path / "ledger")
        stopped_once_submitted(client, verdicts(image, 3))
        until(lambda: server.stats()["batches"]["answered"] == 3)  # and waits for its end
        assert client.cancel_batches() == 3
        replies = client.ask(verdicts(image, 3), batch=True)
        done(server, replies)
        assert client.cancel_batches() == 0


def test_runs_at_the_same_time_submit_nothing_twice(tmp_path, image):
    found = {}
    with running(Dials(reply="fixed", batch_seconds=0.3)) as server:

        def work(name):
            client = clinic(server.url, tmp_path / "ledger")
            found[name] = client.ask(verdicts(image, 6, start=name), batch=True)

        threads = [threading.Thread(target=work, args=(name,)) for name in (0, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done(server, [*found[0], *found[3]])
        assert server.stats()["batches"]["answered"] == 9
        assert [reply.text for reply in found[0][3:]] == [reply.text for reply in found[3][:3]]


def test_single_requests_in_flight_are_in_no_batch(tmp_path, image):
    with running(Dials(reply="fixed", latency=1.0)) as server:
        client = clinic(server.url, tmp_path / "ledger")
        single = threading.Thread(target=client.ask, args=(list(verdicts(image, 3)),))
        single.start()
        until(lambda: server.stats()["in_flight"] == 3)
        done(server, client.ask(verdicts(image, 5), batch=True))
        single.join()
        stats = server.stats()
        assert (stats["answered"], stats["batches"]["answered"]) == (3, 2)


def test_an_endpoint_that_dies_ends_the_run_and_keeps_the_batches(tmp_path, image, monkeypatch):
    monkeypatch.setattr(batch_run, "_UNREACHED", 2)
    monkeypatch.setattr("vital_lib.client.batches.api._ATTEMPTS", 1)
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        client = clinic(server.url, tmp_path / "ledger")
        stopped_once_submitted(client, verdicts(image, 2))
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        client.ask(verdicts(image, 2), batch=True)
    assert [file.lines for file in client.pending.files()] == [2]


def test_a_batch_that_is_not_known_there_can_be_given_up(tmp_path, image):
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        client = clinic(server.url, tmp_path / "ledger")
        stopped_once_submitted(client, verdicts(image, 2))
        port = int(server.url.split(":")[2].split("/")[0])
    with running(Dials(reply="fixed"), port=port) as server:  # knows no batch
        with pytest.raises(ModelUnavailable, match="or not the one that was submitted"):
            client.ask(verdicts(image, 2), batch=True)
        assert client.cancel_batches() == 0 and len(client.ledger.unanswered()) == 2
        done(server, client.ask(verdicts(image, 2), batch=True))


def test_an_endpoint_without_batches_is_named(image):
    with Loopback(lambda body, place: fault(500)) as server:
        client = local(server)
        with pytest.raises(ModelUnavailable, match="it has no batches.* Leave batch out"):
            client.ask(verdicts(image, 1), batch=True)
        assert client.pending.files() == []


def test_the_embedded_clinic_has_no_batches(image):
    with pytest.raises(ValueError, match="run `make serve-clinic`"):
        ChatClient("clinic").ask(verdicts(image, 1), batch=True)


def test_a_wrong_key_ends_the_run(image, monkeypatch):
    monkeypatch.setenv("VITAL_API_KEY", "sk-wrong-0123456789")
    with running(Dials(key="sk-right-0123456789")) as server:
        with pytest.raises(ModelUnavailable, match="set VITAL_API_KEY") as raised:
            clinic(server.url).ask(verdicts(image, 1), batch=True)
        assert "sk-wrong" not in str(raised.value) and raised.value.__context__ is None


# ------------------------------------------------------------------ the stages


def test_arms_that_are_generated_in_batches_wait_together(run, tmp_path):
    plan = [("clinician", figures(4), ONE_EACH), ("none", figures(4), ONE_EACH.head(0))]
    settings = {"image_of": IMAGE_OF, "rounds": 5, "seed": 0}
    with running(Dials(batch_seconds=0.5)) as server:
        control = Control()
        made, unread = generate_arms(
            plan, clinic(server.url, tmp_path / "batched"), control, batch=True, **settings
        )
        assert control.tally.done == 8 and server.stats()["batches"]["batches"] == 2
        one_by_one, _ = generate_arms(plan, clinic(server.url, tmp_path / "single"), **settings)
    assert unread.empty and not made.empty
    pd.testing.assert_frame_equal(made, one_by_one)


def test_an_arm_that_fails_ends_the_wait_of_the_others(run, tmp_path):
    plan = [("none", figures(2), ONE_EACH.head(0)), ("clinician", figures(2), ONE_EACH)]
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        client, act = clinic(server.url, tmp_path / "ledger"), ChatClient.ask

        def ask(self, prompts, **options):
            prompts = list(prompts)
            if len(prompts[0].messages) > 2:  # the arm with demonstrations
                until(lambda: server.stats()["batches"]["answered"] == 2)
                raise RuntimeError("no more")
            return act(self, prompts, **options)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="no more"):
            patch.setattr(ChatClient, "ask", ask)
            generate_arms(plan, client, image_of=IMAGE_OF, batch=True)
        assert [file.lines for file in client.pending.files()] == [2]


def test_ratings_in_batches_are_those_of_single_requests(run, tmp_path):
    with running() as server:
        single = clinic(server.url, tmp_path / "single")
        made, _ = generate_arms([("none", figures(2), ONE_EACH.head(0))], single, image_of=IMAGE_OF)
        batched = clinic(server.url, tmp_path / "batched")
        ratings = rate_candidates(made, figures(2), batched, repeats=2, batch=True)
        assert server.stats()["batches"]["answered"] == 2 * len(made) == len(ratings)
        expected = rate_candidates(made, figures(2), single, repeats=2)
    pd.testing.assert_frame_equal(ratings, expected)
