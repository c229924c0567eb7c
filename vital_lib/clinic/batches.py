"""A simulation of OpenAI's files and batches API: nothing leaves the machine, nothing is charged.

It has the parts that a client of batches uses: upload, list, content and deletion of files;
creation, state, list and cancellation of batches. The files are kept in memory until they are
deleted. Independent of sockets: the server calls `work` while it has nothing else to do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vital_lib.clinic.dials import Dials
from vital_lib.clinic.service import MODELS

MOST_LINES, MOST_BYTES = 50_000, 200_000_000
"""Of an input file; a batch of a larger one fails."""

_URL = "/v1/chat/completions"
_WINDOW_SECONDS = 86_400
_TOLD = 100  # errors of one file, at most
_NAME = re.compile(rb'name="([^"]*)"(?:; filename="([^"]*)")?')
_EXPIRED = "This request could not be executed before the completion window expired."
_Response = tuple[int, bytes]


@dataclass
class _Batch:
    """A batch and its progress; `todo` has its lines that are not answered."""

    id: str
    input_file_id: str
    metadata: Any
    created_at: int
    due: float  # on the monotonic clock
    status: str = "validating"
    todo: deque[tuple[str, bytes]] = field(default_factory=deque)
    total: int = 0
    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    faulty: list[dict[str, Any]] = field(default_factory=list)  # errors of the validation
    expires: bool = False
    times: dict[str, int] = field(default_factory=dict)
    output_file_id: str | None = None
    error_file_id: str | None = None


class Batches:
    """The files and batches of one server.

    Args:
        answer: returns (status, JSON) of the reply to the body of a chat completion request.
        clock: monotonic seconds; `now`: Unix seconds.
    """

    def __init__(
        self,
        dials: Dials,
        answer: Callable[[bytes], tuple[int, dict[str, Any]]],
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._dials, self._answer, self._clock, self._now = dials, answer, clock, now
        self._files: dict[str, dict[str, Any]] = {}  # with the content under "content"
        self._batches: dict[str, _Batch] = {}
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Restart the counts and the draws; files and batches stay."""
        self._counts: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._drawn: Counter[bytes] = Counter()
        self._paid: set[bytes] = set()

    def stats(self) -> dict[str, int]:
        """Return counts since the start or the last `reset`.

        Returns:
            uploads, batches (created), answered (lines with a reply), repeated (of those, lines
            whose body had been answered in a batch before, so paid for twice), and the files that
            are kept now.
        """
        names = ("uploads", "batches", "answered", "repeated")
        return {**{name: self._counts[name] for name in names}, "files": len(self._files)}

    def loses(self, method: str, path: str) -> bool:
        """Return whether the client of this upload or creation is to get no answer."""
        kind = path.rsplit("/", 1)[-1]
        if method != "POST" or kind not in ("files", "batches"):
            return False
        self._lost[kind] += 1
        return self._lost[kind] <= self._dials.batch_lost

    def respond(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> _Response:
        """Return status and body of the reply to a request of the files or batches API."""
        split = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        kind, *rest = re.split(r"/(?=files\b|batches\b)", split.path)[-1].split("/")
        match (method, kind, *rest):
            case ("POST", "files"):
                return self._upload(headers.get("content-type", ""), body)
            case ("POST", "batches"):
                return self._create(body)
            case ("GET", "files" | "batches"):
                return self._list(kind, query)
            case (_, "files", name, *more) if name in self._files:
                return self._file(method, name, more)
            case ("GET", "batches", name) if name in self._batches:
                return _json(200, self._shown(self._batches[name]))
            case ("POST", "batches", name, "cancel") if name in self._batches:
                return self._cancel(self._batches[name])
        return _error(404, f"There is no {method} {split.path} here, or no such file or batch")

    def work(self) -> bool:
        """Do one step of the batches; return whether there are more steps to do now."""
        for batch in self._batches.values():
            if batch.status == "validating":
                self._validate(batch)
                return True
            if batch.status == "in_progress" and batch.todo:
                self._run(batch, *batch.todo.popleft())
                return True
            self._end_if_due(batch)
        return False

    # ------------------------------------------------------------ files

    def _upload(self, content_type: str, body: bytes) -> _Response:
        found = re.search(r'boundary="?([^";]+)', content_type)
        if found is None:
            return _error(400, "The body is not multipart/form-data")
        parts: dict[str, tuple[str, bytes]] = {}
        for part in body.split(b"--" + found[1].encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            if named := _NAME.search(head):
                parts[named[1].decode()] = ((named[2] or b"").decode(), content[:-2])
        if "file" not in parts or "purpose" not in parts:
            return _error(400, "A file and its purpose are required")
        name, content = parts["file"]
        self._counts["uploads"] += 1
        return _json(200, _public(self._keep(name, parts["purpose"][1].decode(), content)))

    def _keep(self, name: str, purpose: str, content: bytes) -> dict[str, Any]:
        self._number += 1
        kept = {
            "id": f"file-simulated{self._number:04}",
            "object": "file",
            "bytes": len(content),
            "created_at": int(self._now()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
            "content": content,
        }
        return self._files.setdefault(kept["id"], kept)

    def _file(self, method: str, name: str, more: list[str]) -> _Response:
        if method == "DELETE" and not more:
            del self._files[name]
            return _json(200, {"id": name, "object": "file", "deleted": True})
        if method == "GET" and more == ["content"]:
            return 200, self._files[name]["content"]
        if method == "GET" and not more:
            return _json(200, _public(self._files[name]))
        return _error(405, f"{method} is not allowed here")

    def _list(self, kind: str, query: Mapping[str, str]) -> _Response:
        if kind == "files":
            wanted = query.get("purpose")
            files = [file for file in self._files.values() if wanted in (None, file["purpose"])]
            rows = [_public(file) for file in reversed(files)]
        else:
            rows = [self._shown(batch) for batch in reversed(self._batches.values())]
        names = [row["id"] for row in rows]
        start = names.index(query["after"]) + 1 if query.get("after") in names else 0
        end = start + int(query.get("limit", 10_000 if kind == "files" else 20))
        page = {"object": "list", "data": rows[start:end], "has_more": end < len(rows)}
        return _json(200, page)

    # ------------------------------------------------------------ batches

    def _create(self, body: bytes) -> _Response:
        try:
            asked = json.loads(body)
            source = self._files[asked["input_file_id"]]
        except (ValueError, TypeError, KeyError):
            return _error(400, "input_file_id names no uploaded file")
        if source["purpose"] != "batch" or asked.get("endpoint") != _URL:
            return _error(400, f"The file's purpose must be 'batch', and the endpoint {_URL!r}")
        self._number += 1
        name, now = f"batch_simulated{self._number:04}", int(self._now())
        due = self._clock() + self._dials.batch_seconds
        batch = _Batch(name, source["id"], asked.get("metadata"), now, due)
        self._batches[name] = batch
        self._counts["batches"] += 1
        return _json(200, self._shown(batch))

    def _validate(self, batch: _Batch) -> None:
        """Read the input file; the batch fails if a line is wrong, or if too many wait."""
        content = self._files.get(batch.input_file_id, {}).get("content", b"")
        seen: set[str] = set()
        lines = content.split(b"\n")
        lines = lines[:-1] if lines[-1] == b"" else lines
        for number, raw in enumerate(lines, start=1):
            key, words = _line(raw)
            words = words or ("custom_id is not unique" if key in seen else "")
            if words:
                batch.faulty.append({"code": "invalid_request", "line": number, "message": words})
            seen.add(key)
            batch.todo.append((key, raw))
        waiting = sum(len(other.todo) for other in self._batches.values()) - len(batch.todo)
        limit = self._dials.batch_queue
        if len(lines) > MOST_LINES or len(content) > MOST_BYTES or not lines:
            words = f"The file has {len(lines)} requests in {len(content)} bytes; the limits are "
            words += f"1 to {MOST_LINES} and {MOST_BYTES}"
            batch.faulty = [{"code": "file_size_limit_exceeded", "message": words}]
        elif limit is not None and not batch.faulty and waiting + len(lines) > limit:
            words = f"Enqueued token limit reached: {limit} requests may wait, and {waiting} do"
            batch.faulty = [{"code": "token_limit_exceeded", "message": words}]
        batch.total = len(lines)
        if batch.faulty:
            batch.todo.clear()
        self._reach(batch, "failed" if batch.faulty else "in_progress")

    def _run(self, batch: _Batch, key: str, raw: bytes) -> None:
        """Answer a line, with the fault that is drawn for it."""
        body = json.dumps(json.loads(raw)["body"]).encode()
        asked = hashlib.sha256(body).digest()
        fault = self._dials.draw_line(asked, self._drawn[asked])
        self._drawn[asked] += 1
        if fault == "expired":
            batch.expires = True
            error = {"code": "batch_expired", "message": _EXPIRED}
            batch.errors.append(_output(key, None, error))
            return
        status, reply = self._answer(body)
        if fault == "failed":
            message = "The server had an error while processing the request"
            status, reply = 500, {"error": {"message": message, "type": "server_error"}}
        line = _output(key, {"status_code": status, "request_id": "", "body": reply})
        if status != 200:
            batch.errors.append(line)
            return
        self._counts["answered"] += 1
        self._counts["repeated"] += asked in self._paid
        self._paid.add(asked)
        if fault == "malformed":
            line = line[: len(line) // 2]
        batch.output += {"duplicated": [line, line], "missing": []}.get(fault or "", [line])

    def _end_if_due(self, batch: _Batch) -> None:
        """End a batch whose lines are done; its lines come in another order than they were sent."""
        if batch.status == "cancelling" or (
            batch.status == "in_progress" and not batch.todo and self._clock() >= batch.due
        ):
            for lines, name in ((batch.output, "output"), (batch.errors, "error")):
                if lines:
                    lines.sort(key=lambda line: hashlib.sha256(line).digest())
                    content = b"\n".join([*lines, b""])
                    kept = self._keep(f"{batch.id}_{name}.jsonl", "batch_output", content)
                    setattr(batch, f"{name}_file_id", kept["id"])
            cancelled = batch.status == "cancelling"
            how = "expired" if batch.expires else "completed"
            self._reach(batch, "cancelled" if cancelled else how)

    def _cancel(self, batch: _Batch) -> _Response:
        if batch.status not in ("validating", "in_progress"):
            return _error(409, f"The batch is {batch.status}")
        error = {"code": "batch_cancelled", "message": "The batch was cancelled."}
        batch.errors += [_output(key, None, error) for key, _ in batch.todo]
        batch.todo.clear()
        self._reach(batch, "cancelling")
        return _json(200, self._shown(batch))

    def _reach(self, batch: _Batch, status: str) -> None:
        batch.status = status
        batch.times[f"{status}_at"] = int(self._now())

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        failed = len(batch.errors)
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": _URL,
            "errors": {"object": "list", "data": batch.faulty[:_TOLD]} if batch.faulty else None,
            "input_file_id": batch.input_file_id,
            "completion_window": "24h",
            "status": batch.status,
            "output_file_id": batch.output_file_id,
            "error_file_id": batch.error_file_id,
            "created_at": batch.created_at,
            "expires_at": batch.created_at + _WINDOW_SECONDS,
            **batch.times,
            "request_counts": {
                "total": batch.total,
                "completed": batch.total - len(batch.todo) - failed if batch.total else 0,
                "failed": failed,
            },
            "metadata": batch.metadata,
        }


def _line(raw: bytes) -> tuple[str, str]:
    """Return (custom_id, what is wrong) of a line of an input file."""
    try:
        line = json.loads(raw)
        key, body = line["custom_id"], line["body"]
        if (line["method"], line["url"]) != ("POST", _URL) or not isinstance(key, str):
            return str(key), f"method, url or custom_id is wrong; use POST and {_URL!r}"
        if body["model"] not in MODELS:
            return key, f"The model {str(body['model'])[:80]!r} does not exist; use one of {MODELS}"
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        return "", f"The line is no request: {type(error).__name__}"
    return key, ""


def _output(key: str, response: Any, error: Any = None) -> bytes:
    name = f"batch_req_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    line = {"id": name, "custom_id": key, "response": response, "error": error}
    return json.dumps(line, ensure_ascii=False).encode()


def _public(file: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in file.items() if name != "content"}


def _json(status: int, value: Any) -> _Response:
    return status, json.dumps(value).encode()


def _error(status: int, message: str) -> _Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return _json(status, {"error": error})
