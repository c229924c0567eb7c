#!/bin/sh
# transformers 5.23.0: a Gemma 3 that is made from its config does not see the image.
#
# Expected: random weights, as in a LLaVA made from its config: another image gives other logits.
# Seen: the projector (mm_input_projection_weight) starts at zero, so that two images give equal
# logits, and no parameter of the vision tower gets a gradient before the projector has moved.
# So a test with a small random Gemma 3 cannot fail where the image is lost or mixed up.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  transformers==5.23.0 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" - <<'PY'
from importlib.metadata import version

import torch
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipVisionConfig,
)

torch.manual_seed(0)
sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
sizes["num_attention_heads"] = 4
text = {**sizes, "num_key_value_heads": 4, "vocab_size": 16}
vision = {**sizes, "image_size": 16, "patch_size": 8}
gemma = Gemma3Config(
    text_config=Gemma3TextConfig(**text, head_dim=8), vision_config=SiglipVisionConfig(**vision),
    mm_tokens_per_image=4, boi_token_index=3, eoi_token_index=4, image_token_index=5,
)
llava = LlavaConfig(
    text_config=LlamaConfig(**text), vision_config=CLIPVisionConfig(**vision), image_token_id=5
)
ids = torch.tensor([[6, 5, 5, 5, 5, 7, 8]])
rest = {"attention_mask": torch.ones_like(ids), "token_type_ids": (ids == 5).long()}
images = torch.randn(2, 1, 3, 16, 16)
found = {}
for kind, config in ((Gemma3ForConditionalGeneration, gemma), (LlavaForConditionalGeneration, llava)):
    model = kind(config).eval()
    more = rest if config is gemma else {}
    logits = [model(input_ids=ids, pixel_values=image, **more).logits for image in images]
    logits[0].logsumexp(-1).sum().backward()
    vision_part = [p for name, p in model.named_parameters() if "vision_tower" in name]
    moving = sum(p.grad is not None and bool(p.grad.any()) for p in vision_part)
    zero = [n for n, p in model.named_parameters() if p.dim() > 1 and not p.any()]
    found[kind.__name__] = (torch.equal(*logits), moving > 0, len(zero))
    print(f"{kind.__name__}: logits of two images are equal: {torch.equal(*logits)}; parameters of "
          f"the vision tower with a gradient: {moving} of {len(vision_part)}; zero: {zero}")
print("transformers", version("transformers"), "torch", torch.__version__)
assert found == {
    "Gemma3ForConditionalGeneration": (True, False, 1),
    "LlavaForConditionalGeneration": (False, True, 0),
}, f"changed: {found}"
PY
