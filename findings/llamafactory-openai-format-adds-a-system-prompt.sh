#!/bin/sh
# llamafactory 0.9.5: a dataset of "formatting": "openai" is tuned with a system prompt that is not
# in it: "detailed thinking off".
#
# Expected: "openai" and "sharegpt" differ in the names of roles and in tool calls only.
# Seen: the converter of "openai" adds the sentence to the system prompt of each example without
# tools, and makes it the system prompt of an example that has none, for any template and model. The
# same messages by "sharegpt" stay as they are.
# So a model tuned on chat messages answers to a system prompt that nobody sends later.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  torch==2.13.0 transformers==5.6.0 peft==0.18.1 accelerate==1.11.0 datasets==4.0.0 numpy==2.4.6
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" --no-deps \
  llamafactory==0.9.5
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 "${PYTHON:-python3}" - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace

import llamafactory

# The package `data` imports audio and video libraries at once; its converters need none of them.
data = ModuleType("llamafactory.data")
data.__path__ = [str(Path(llamafactory.__file__).parent / "data")]
sys.modules["llamafactory.data"] = data

from llamafactory.data.converter import get_dataset_converter  # noqa: E402
from llamafactory.data.parser import DatasetAttr  # noqa: E402

tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "system_tag": "system", "observation_tag": "tool", "function_tag": "tool_call"}
messages = [{"role": "user", "content": "Which side?"}, {"role": "assistant", "content": "The left."}]
system = {"role": "system", "content": "You read X-rays."}


def read(formatting, rows):
    attributes = DatasetAttr("file", "replies.json")
    attributes.join({"formatting": formatting, "columns": {"messages": "messages"}, "tags": tags})
    converter = get_dataset_converter(formatting, attributes, SimpleNamespace(media_dir="."))
    example = converter({"messages": rows})
    assert example["_prompt"] + example["_response"] == messages, "changed"
    return example["_system"]


print("llamafactory", version("llamafactory"))
for formatting, expected in (
    ("openai", ["detailed thinking off", "You read X-rays.\ndetailed thinking off"]),
    ("sharegpt", ["", "You read X-rays."]),
):
    found = [read(formatting, messages), read(formatting, [system, *messages])]
    print(f"{formatting}: without a system prompt {found[0]!r}, with one {found[1]!r}")
    assert found == expected, "changed"
PY
