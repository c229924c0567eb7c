#!/bin/sh
# papermill 2.7.0 hands a tuple to a notebook as text, and writes into the notebook that it was a list.
#
# Expected: parameters={"seeds": (0, 1, 2)} arrives as a list or tuple of numbers, or is refused, as a
# set is.
# Seen: the notebook gets the string "(0, 1, 2)", also from a tuple inside a list or dict. Its length
# is 9 and its first seed "(". The metadata that papermill keeps for a repetition say [0, 1, 2].
# So a loop over the seeds runs over characters, and the record of the run shows other parameters.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  papermill==2.7.0 ipykernel==7.4.0
export PYTHONPATH="$work/lib" IPYTHONDIR="$work/ipython" JUPYTER_PLATFORM_DIRS=1
export JUPYTER_DATA_DIR="$work/data" JUPYTER_RUNTIME_DIR="$work/runtime"
"${PYTHON:-python3}" -m ipykernel install --name python3 --prefix "$work" >"$work/log" 2>&1
export JUPYTER_PATH="$work/share/jupyter"
"${PYTHON:-python3}" - "$work" <<'PY'
import json
import sys
from importlib.metadata import version

import nbformat
import papermill

cells = [
    nbformat.v4.new_code_cell("seeds = None", metadata={"tags": ["parameters"]}),
    nbformat.v4.new_code_cell("import json\nprint(json.dumps([seeds, [str(s) for s in seeds]]))"),
]
kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
nbformat.write(notebook, sys.argv[1] + "/in.ipynb")


def seen_inside(seeds):
    done = papermill.execute_notebook(
        sys.argv[1] + "/in.ipynb", sys.argv[1] + "/out.ipynb", parameters={"seeds": seeds},
        progress_bar=False,
    )
    recorded = json.loads(nbformat.writes(done))["metadata"]["papermill"]["parameters"]["seeds"]
    value, items = json.loads(done.cells[-1].outputs[0].text)
    print(f"given {seeds}: the notebook sees {value!r}, {len(items)} seeds; recorded: {recorded}")
    return value, len(items), recorded


print("papermill", version("papermill"))
assert seen_inside([0, 1, 2]) == ([0, 1, 2], 3, [0, 1, 2]), "changed"
assert seen_inside((0, 1, 2)) == ("(0, 1, 2)", 9, [0, 1, 2]), "changed"
assert seen_inside([(0, 1)]) == (["(0, 1)"], 1, [[0, 1]]), "changed"
PY
