#!/bin/sh
# ipykernel 7.4.0 with a subshell, which JupyterLab 4.6 uses for widgets by default: a widget's message
# that is sent before a cell may still be running when the cell runs, in another thread.
#
# Expected: a kernel handles messages in the order in which they are sent, as before subshells: a cell
# that is run after a slider was moved reads the slider's new value.
# Seen: the cell ends while the callback of the earlier message still runs; the callback is in another
# thread, so that a sqlite3 connection opened in a cell refuses it. Sent without a subshell, the same
# message is finished first, in the main thread.
# So a panel has to confirm a change before a cell may rely on it, and callbacks need locks.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  ipykernel==7.4.0 jupyter-client==8.10.0 comm==0.2.3
"${PYTHON:-python3}" -m pip download -q --disable-pip-version-check --no-deps -d "$work/lab" \
  jupyterlab==4.6.6
PYTHONPATH="$work/lib" IPYTHONDIR="$work" JUPYTER_RUNTIME_DIR="$work/run" \
  "${PYTHON:-python3}" - "$work"/lab/*.whl <<'PY'
import json
import sys
import zipfile
from importlib.metadata import version

from jupyter_client.manager import start_new_kernel

SETUP = """
import sqlite3, threading
from comm import get_comm_manager

connection, released, log = sqlite3.connect(":memory:"), threading.Event(), []

def opened(comm, message):
    @comm.on_msg
    def changed(message):
        released.wait(5)
        try:
            connection.execute("select 1")
            log.append("callback")
        except sqlite3.ProgrammingError:
            log.append("callback, refused by sqlite3")

get_comm_manager().register_target("slider", opened)
"""
READ = "seen = list(log); released.set(); print(seen)"


def send(client, kind, content, subshell=None):
    message = client.session.msg(kind, content)
    message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)
    return message["msg_id"]


def run(client, code):
    printed = []
    client.execute_interactive(
        code, output_hook=lambda m: printed.append(m["content"].get("text", "")), timeout=60
    )
    return "".join(printed).strip()


def order(with_subshell):
    manager, client = start_new_kernel(
        kernel_name="python3", startup_timeout=60,
        extra_arguments=["--IPKernelApp.log_level=50"],
    )
    try:
        run(client, SETUP)
        subshell = None
        if with_subshell:
            request = client.session.msg("create_subshell_request", {})
            client.control_channel.send(request)
            reply = client.get_control_msg(timeout=30)
            subshell = reply["content"]["subshell_id"]
        send(client, "comm_open", {"comm_id": "c", "target_name": "slider", "data": {}}, subshell)
        send(client, "comm_msg", {"comm_id": "c", "data": {}}, subshell)
        seen = run(client, READ)
        last = run(client, "import time\nend = time.time() + 20\n"
                   "while not log and time.time() < end: time.sleep(0.05)\nprint(log)")
        return seen, last
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = [n for n in wheel.namelist() if n.endswith("apputils-extension/kernels-settings.json")]
    default = json.loads(wheel.read(names[0]))["properties"]["commsOverSubshells"]["default"]
print("ipykernel", version("ipykernel"), "; jupyterlab 4.6.6 commsOverSubshells:", default)
found = {}
for with_subshell in (True, False):
    found[with_subshell] = order(with_subshell)
    how = "with" if with_subshell else "without"
    print(f"{how} a subshell: the cell that was sent later saw {found[with_subshell][0]}, "
          f"the callback ended as {found[with_subshell][1]}")
assert default == "perCommTarget", "changed"
assert found[True] == ("[]", "['callback, refused by sqlite3']"), "changed"
assert found[False] == ("['callback']", "['callback']"), "changed"
PY
