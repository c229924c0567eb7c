#!/bin/sh
# transformers 5.23.0: AutoTokenizer opens a Qwen2.5-VL or Gemma 3 folder that has no tokenizer file,
# without an error, as a tokenizer that knows no word.
#
# Expected: an error that names the missing files, as for a Llama or an Idefics3 folder. A folder
# without tokenizer.json is what an interrupted download or a copy of the weights alone leaves.
# Seen: Qwen's tokenizer has 1 token and encodes every text as nothing; Gemma's has 5 and encodes a
# whole sentence as one unknown token. A model tuned with it trains, and learns nothing.
# So whoever opens a model's folder has to look for the tokenizer's files first.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  transformers==5.23.0
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" - "$work" <<'PY'
import json
import pathlib
import sys
from importlib.metadata import version

from transformers import AutoTokenizer

TEXT = "A chest film with a nodule"
found = {}
for kind in ("qwen2_5_vl", "gemma3", "llama", "idefics3"):
    folder = pathlib.Path(sys.argv[1]) / kind
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer(TEXT, add_special_tokens=False).input_ids
        found[kind] = (len(tokenizer), tokenizer.decode(ids))
        print(f"{kind}: {type(tokenizer).__name__} of {len(tokenizer)} tokens, "
              f"{TEXT!r} becomes {tokenizer.decode(ids)!r}")
    except ValueError as error:
        found[kind] = "refused"
        print(f"{kind}: {type(error).__name__}, {str(error)[:60]!r}...")
print("transformers", version("transformers"))
assert found == {
    "qwen2_5_vl": (1, ""), "gemma3": (5, "<unk>"), "llama": "refused", "idefics3": "refused"
}, f"changed: {found}"
PY
