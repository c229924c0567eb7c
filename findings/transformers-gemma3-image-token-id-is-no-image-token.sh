#!/bin/sh
# transformers 5.23.0: the image_token_id of a Gemma 3 processor is another token than the one that
# the model's config calls image_token_id, and that stands for pixels.
#
# Expected: processor.image_token_id is the token that the processor writes once per image token, as
# in LLaVA's or Qwen-VL's processor: an image has 256 of them.
# Seen: it is the begin-of-image token, of which an image has 1; so is processor.image_token. The
# soft token is in processor.image_token_ids, in the plural.
# Whoever counts or masks image tokens by the processor's id counts 1 per image, without an error.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  transformers==5.23.0 numpy==2.4.6 pillow==13.0.0
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" - <<'PY'
from importlib.metadata import version

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Gemma3Config,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    PreTrainedTokenizerFast,
)

BEGIN, END, SOFT = "<start_of_image>", "<end_of_image>", "<image_soft_token>"
words = ["<pad>", "<unk>", BEGIN, END, SOFT, "describe", "it"]
core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=core, pad_token="<pad>", unk_token="<unk>",
    extra_special_tokens={"boi_token": BEGIN, "eoi_token": END, "image_token": SOFT},
)
processor = Gemma3Processor(Gemma3ImageProcessorPil(), tokenizer)
config = Gemma3Config(boi_token_index=2, eoi_token_index=3, image_token_index=4)
batch = processor(text=[f"{BEGIN} describe it"], images=[[Image.new("RGB", (40, 30))]])
ids = list(batch["input_ids"][0])
print("transformers", version("transformers"))
for whose, token in (
    ("processor.image_token_id", processor.image_token_id),
    ("processor.image_token_ids[0]", processor.image_token_ids[0]),
    ("config.image_token_id", config.image_token_id),
):
    print(f"{whose} = {token} ({words[token]}): {ids.count(token)} in the prompt of one image")
assert (processor.image_token, processor.image_token_id) == (BEGIN, 2), "changed"
assert processor.image_token_ids == [config.image_token_id] == [4], "changed"
assert (ids.count(2), ids.count(4)) == (1, 256), "changed"
PY
