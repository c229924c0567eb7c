#!/bin/sh
# ray 2.60.0: the HTTP processor of Ray Data takes an error of the server for an answer.
#
# Expected: a status of 400, 401 or 500 stops the run or marks the row, as 503 does; with max_retries
# a 500 is asked again.
# Seen: the body of the error is the row's http_response, if it is JSON, as it is with chat APIs. The
# row has no status and no error, and nothing is asked again.
# So a wrong key gives a table with a reply in each row, and a judge's outage becomes rows as well.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  "ray[data]==2.60.0" aiohttp==3.14.5 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1
PYTHONPATH="$work/lib" RAY_USAGE_STATS_ENABLED=0 "${PYTHON:-python3}" - 2>"$work/log" <<'PY' || { cat "$work/log"; exit 1; }
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor

asked = Counter()


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked[self.path] += 1
        body = json.dumps({"error": {"message": "no answer"}}).encode()
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *rest):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
ray.init(num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False


def answers(status):
    config = HttpRequestProcessorConfig(
        url=f"http://127.0.0.1:{server.server_port}/{status}", max_retries=1, base_retry_wait_time_in_s=0.1
    )
    processor = build_processor(
        config, preprocess=lambda row: {"payload": {"id": row["id"]}}, postprocess=lambda row: row
    )
    try:
        rows = processor(ray.data.range(2, override_num_blocks=1)).take_all()
    except ray.exceptions.RayTaskError:
        return "the run stops"
    assert all("__inference_error__" not in row for row in rows), "changed: rows have an error"
    return [row["http_response"] for row in rows]


print("ray", ray.__version__)
for status in (400, 401, 500, 503):
    found = answers(status)
    print(f"status {status}, asked {asked[f'/{status}']} times for 2 rows: {found}")
    as_rows = found == [{"error": {"message": "no answer"}}] * 2
    assert as_rows == (status != 503) and (asked[f"/{status}"] == 2), f"changed: {asked}"
PY
