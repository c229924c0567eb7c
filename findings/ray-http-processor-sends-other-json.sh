#!/bin/sh
# ray 2.60.0: the HTTP processor of Ray Data sends another JSON than the payload that preprocess
# returned, and what it sends depends on the other rows.
#
# Expected: the server gets json.dumps(payload).
# Seen: payloads pass through an Arrow table on their way. The text part of a chat message gets an
# image_url of null, and its image part a text of null; a row without a seed sends null because its
# neighbour has one, and the neighbour's seed 7 is sent as 7.0.
# So a strict chat API refuses every message with an image, though the same payload works with curl.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  "ray[data]==2.60.0" aiohttp==3.14.5 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1
PYTHONPATH="$work/lib" RAY_USAGE_STATS_ENABLED=0 "${PYTHON:-python3}" - 2>"$work/log" <<'PY' || { cat "$work/log"; exit 1; }
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor

received = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"reply": 1}')

    def log_message(self, *rest):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
ray.init(num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False


def payload(row):
    parts = [{"type": "text", "text": "CT?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    seed = {"seed": 7} if row["id"] == 1 else {}
    return {"messages": [{"role": "user", "content": parts}], "n": 1, **seed}


build_processor(
    HttpRequestProcessorConfig(url=f"http://127.0.0.1:{server.server_port}/"),
    preprocess=lambda row: {"payload": payload(row)},
    postprocess=lambda row: {"id": row["id"]},
)(ray.data.range(2, override_num_blocks=1)).take_all()
print("ray", ray.__version__)
seen = []
for number, body in enumerate(sorted(received, key=lambda body: json.loads(body)["seed"] is not None)):
    print(f"returned {json.dumps(payload({'id': number}))}\nsent     {body}")
    sent = json.loads(body)
    parts = sent["messages"][0]["content"]
    seen.append((parts[0]["image_url"], parts[1]["text"], sent["n"], repr(sent["seed"])))
assert seen == [(None, None, 1, "None"), (None, None, 1, "7.0")], f"changed: {seen}"
PY
