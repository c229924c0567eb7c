#!/bin/sh
# transformers 5.23.0 with bitsandbytes 0.50.2: llm_int8_skip_modules=["vision_tower"] does not keep
# a LLaVA's vision tower out of quantization, and puts the output layer into it.
#
# Expected: the layers of the module of that name keep their precision, or a name that matches no
# layer is refused; the output layer keeps its precision, as without the list.
# Seen: names are compared from the start of the path, so that every layer of the tower is in 4 bits;
# "model.vision_tower" works. Either list replaces the default one, so that lm_head is in 4 bits.
# There is no warning. So a list has to give whole names, and the output layer too.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  transformers==5.23.0 bitsandbytes==0.50.2 accelerate==1.15.0 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" - "$work" <<'PY'
import sys
from importlib.metadata import version

from transformers import (
    BitsAndBytesConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
sizes["num_attention_heads"] = 2
config = LlavaConfig(
    vision_config=CLIPVisionConfig(**sizes, image_size=16, patch_size=8),
    text_config=LlamaConfig(**sizes, vocab_size=64),
    image_token_id=3,
)
LlavaForConditionalGeneration(config).save_pretrained(sys.argv[1] + "/model")


def in_4_bits(skip):
    model = LlavaForConditionalGeneration.from_pretrained(
        sys.argv[1] + "/model",
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=skip),
    )
    layers = [n for n, part in model.named_modules() if type(part).__name__ == "Linear4bit"]
    return sum("vision_tower" in name for name in layers), "lm_head" in layers


print("transformers", version("transformers"), "bitsandbytes", version("bitsandbytes"))
found = [in_4_bits(skip) for skip in (None, ["vision_tower"], ["model.vision_tower"])]
for skip, (tower, head) in zip(("no list", "vision_tower", "model.vision_tower"), found):
    print(f"{skip}: {tower} layers of the tower are in 4 bits, lm_head: {head}")
assert found == [(6, False), (6, True), (0, True)], "changed"
PY
