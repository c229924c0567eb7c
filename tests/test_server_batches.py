"""The simulated files and batches, as the openai library sees them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import openai
import pytest
from clinic_requests import any_image, sent
from waiting import until

from vital_lib.clinic.batches import MOST_BYTES, MOST_LINES
from vital_lib.clinic.server import Dials, _dials, _parser, running
from vital_lib.prompts import verdict_prompt

URL = "/v1/chat/completions"


@pytest.fixture
def body(tmp_path):
    prompt = verdict_prompt("Which side is it on?", any_image(tmp_path), "Right", "Right", "Left")
    return sent(prompt)


def client(server):
    return openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)


def line(key, body, **changes):
    return json.dumps({"custom_id": key, "method": "POST", "url": URL, "body": body, **changes})


def created(api, *lines, name="in.jsonl"):
    """Upload these lines and create their batch."""
    content = "\n".join(lines).encode()
    file = api.files.create(file=(name, content, "application/jsonl"), purpose="batch")
    assert (file.filename, file.bytes, file.purpose) == (name, len(content), "batch")
    return api.batches.create(
        input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={"file": name}
    )


def ended(api, batch):
    """Wait for the end of a batch; return it with the lines of its files."""
    states = ("completed", "expired", "cancelled", "failed")
    batch = until(lambda: (one := api.batches.retrieve(batch.id)).status in states and one)
    ids = [one for one in (batch.output_file_id, batch.error_file_id) if one]
    texts = [api.files.content(one).text for one in ids]
    return batch, [json.loads(row) for text in texts for row in text.splitlines()]


def test_a_batch_answers_as_single_requests_do(body):
    with running() as server:
        api = client(server)
        single = api.chat.completions.create(**body)
        batch = created(api, *(line(f"k{n}", {**body, "seed": n}) for n in range(5)))
        assert batch.status in ("validating", "in_progress") and batch.metadata == {
            "file": "in.jsonl"
        }
        batch, rows = ended(api, batch)
        assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == (
            *("completed", 5), 0
        )  # fmt: skip
        assert {row["custom_id"] for row in rows} == {f"k{n}" for n in range(5)}
        assert [row["custom_id"] for row in rows] != sorted(row["custom_id"] for row in rows)
        same = next(row for row in rows if row["custom_id"] == f"k{body['seed']}")
        assert same["error"] is None and same["response"]["status_code"] == 200
        assert same["response"]["body"] == single.model_dump(exclude_unset=True)


def test_files_are_listed_read_and_deleted(body):
    with running() as server:
        api = client(server)
        batches = [created(api, line("k", body), name=f"{n}.jsonl") for n in range(3)]
        names = [file.filename for file in api.files.list(purpose="batch", limit=2)]
        assert names == ["2.jsonl", "1.jsonl", "0.jsonl"]  # over two pages, the newest first
        assert [one.id for one in api.batches.list(limit=1)] == [one.id for one in batches[::-1]]
        file = batches[0].input_file_id
        assert api.files.content(file).read() == line("k", body).encode()
        assert api.files.retrieve(file).filename == "0.jsonl"
        assert api.files.delete(file).deleted
        with pytest.raises(openai.NotFoundError):
            api.files.content(file)
        with pytest.raises(openai.NotFoundError):
            api.batches.retrieve("batch_none")


def test_a_batch_of_a_wrong_file_fails_with_the_numbers_of_its_lines(body):
    with running() as server:
        api = client(server)
        wrong = [
            line("k", body),
            line("k", body),
            "{",
            line("m", {**body, "model": "gpt"}),
            line("u", body, url="/v1/embeddings"),
            "",
            line("z", body),
        ]
        batch, rows = ended(api, created(api, *wrong))
        assert batch.status == "failed" and rows == [] and batch.errors is not None
        assert [error.line for error in batch.errors.data or []] == [2, 3, 4, 5, 6]
        with pytest.raises(openai.BadRequestError):
            api.batches.create(input_file_id="none", endpoint=URL, completion_window="24h")


def test_a_cancelled_batch_names_what_it_did_not_run(body):
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        api = client(server)
        batch = created(api, *(line(f"k{n}", body) for n in range(3)))
        until(lambda: api.batches.retrieve(batch.id).request_counts.completed == 3)
        assert api.batches.cancel(batch.id).status in ("cancelling", "cancelled")
        batch, rows = ended(api, batch)
        assert batch.status == "cancelled" and len(rows) == 3 and batch.cancelled_at
        with pytest.raises(openai.ConflictError):
            api.batches.cancel(batch.id)


def test_a_batch_ends_no_sooner_than_set(body):
    with running(Dials(reply="fixed", batch_seconds=0.4)) as server:
        api = client(server)
        batch = created(api, line("k", body))
        until(lambda: api.batches.retrieve(batch.id).request_counts.completed == 1)
        assert api.batches.retrieve(batch.id).status == "in_progress"
        assert ended(api, batch)[0].status == "completed"


def test_a_queue_that_is_full_fails_the_next_batch(body):
    with running(Dials(reply="fixed", batch_queue=3)) as server:
        api = client(server)
        batch, _ = ended(api, created(api, *(line(f"k{n}", body) for n in range(4))))
        assert batch.errors.data[0].code == "token_limit_exceeded"
        batch, _ = ended(api, created(api, *(line(f"k{n}", body) for n in range(3))))
        assert batch.status == "completed"


@pytest.mark.parametrize("fault", ["expired", "failed", "duplicated", "malformed", "missing"])
def test_faults_of_lines_are_seen(body, fault):
    with running(Dials(reply="fixed", batch_faults={fault: 1.0})) as server:
        api = client(server)
        batch = created(api, line("k", body))
        batch = until(
            lambda: (one := api.batches.retrieve(batch.id)).status != "in_progress" and one
        )
        until(lambda: api.batches.retrieve(batch.id).status in ("completed", "expired"))
        batch = api.batches.retrieve(batch.id)
        assert (batch.status == "expired") == (fault == "expired")
        found = [name for name in (batch.output_file_id, batch.error_file_id) if name]
        texts = [api.files.content(name).text for name in found]
        if fault == "missing":
            assert texts == []
        elif fault == "malformed":
            with pytest.raises(ValueError):
                json.loads(texts[0])
        else:
            rows = [json.loads(row) for row in texts[0].splitlines()]
            assert len(rows) == (2 if fault == "duplicated" else 1)
            if fault == "expired":
                assert rows[0]["error"]["code"] == "batch_expired" and rows[0]["response"] is None
            if fault == "failed":
                assert rows[0]["response"]["status_code"] == 500


def test_the_limits_are_those_of_the_real_api():
    assert (MOST_LINES, MOST_BYTES) == (50_000, 200 * 10**6)


def test_a_body_that_is_no_upload_is_refused():
    with running() as server:
        request = urllib.request.Request(f"{server.url}/files", b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request)


def test_the_command_sets_the_faults_of_batches():
    options = ["--batch-fault", "expired=0.1", "--batch-seconds", "30", "--fault", "reset=0.2"]
    dials = _dials(_parser().parse_args(options))
    assert dict(dials.batch_faults) == {"expired": 0.1} and dict(dials.faults) == {"reset": 0.2}
    assert dials.batch_seconds == 30
    with pytest.raises(ValueError, match="fault 'reset' is unknown; give one of expired"):
        Dials(batch_faults={"reset": 0.1})
    with pytest.raises(ValueError, match="batch_queue is 0"):
        Dials(batch_queue=0)
