#!/bin/sh
# ray 2.60.0: qps of Ray Data's HTTP processor neither limits the rate of requests nor sends several
# at a time.
#
# Expected: with qps=4 the server gets at most 4 requests a second; with qps=100 a slow server has
# many requests open at once, as "If None, the request will be sent sequentially" lets one expect.
# Seen: the waiting comes first: 20 requests wait for 5 seconds before the first is sent, then follow
# as fast as the server answers. There is never more than one open request of a batch, at any qps.
# So an endpoint's limit is exceeded, and 100,000 answers of 10 seconds take 11 days.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  "ray[data]==2.60.0" aiohttp==3.14.5 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1
PYTHONPATH="$work/lib" RAY_USAGE_STATS_ENABLED=0 "${PYTHON:-python3}" - 2>"$work/log" <<'PY' || { cat "$work/log"; exit 1; }
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ray
from ray.data.llm import HttpRequestProcessorConfig, build_processor

lock = threading.Lock()
arrivals, opened, most_open = [], 0, 0


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        global opened, most_open
        with lock:
            arrivals.append(time.monotonic())
            opened += 1
            most_open = max(most_open, opened)
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(self.path[1:]))
        with lock:
            opened -= 1
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


def asked(seconds, qps):
    global most_open
    arrivals.clear()
    most_open = 0
    processor = build_processor(
        HttpRequestProcessorConfig(url=f"http://127.0.0.1:{server.server_port}/{seconds}", qps=qps),
        preprocess=lambda row: {"payload": {"id": row["id"]}},
        postprocess=lambda row: {"id": row["id"]},
    )
    assert len(processor(ray.data.range(20, override_num_blocks=1)).take_all()) == len(arrivals) == 20
    a_second = max(sum(start <= time < start + 1 for time in arrivals) for start in arrivals)
    print(f"qps={qps}, answers after {seconds} s: {a_second} requests in a second, {most_open} open at once")
    return a_second, most_open


print("ray", ray.__version__)
assert asked(0, qps=4)[0] >= 8, "changed"
assert asked(0.2, qps=100)[1] == 1, "changed"
PY
