#!/bin/sh
# trl 1.16.0: SFTTrainer with images trains a vision-language model to write the image placeholders.
#
# Expected: the labels of the image's placeholder tokens are -100, as those of padding are, since no
# answer ever contains them.
# Seen: for rows with `messages` each placeholder is a label. At 576 of them for a LLaVA-1.5 image,
# the reported loss and token accuracy are those of one repeated token, and a reply hardly counts.
# Rows with `prompt` and `completion` are right: only the completion has labels.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# called site-packages, since datasets pickles (by dill) the modules of packages that lie elsewhere
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/site-packages" \
  trl==1.16.0 transformers==5.23.0 torch==2.13.0 datasets==5.2.0 accelerate==1.15.0 pillow==13.0.0 numpy==2.4.6
PYTHONPATH="$work/site-packages" HF_HUB_OFFLINE=1 HF_HOME="$work/home" TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" -W ignore - "$work" 2>"$work/log" <<'PY' || { tail -n 20 "$work/log"; exit 1; }
import sys

import trl
from datasets import Dataset
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

words = ["<pad>", "<eos>", "<image>", "user", "assistant", "which", "side", "left"]
core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<pad>"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", extra_special_tokens={"image_token": "<image>"}
)
template = """{% for message in messages %}{{ message.role + ' ' }}{% for part in message.content %}\
{{ ('<image>' if part.type == 'image' else part.text) + ' ' }}{% endfor %}{% endfor %}\
{% if add_generation_prompt %}assistant {% endif %}"""
processor = LlavaProcessor(
    CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}), tokenizer,
    patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
    chat_template=template,
)
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = LlavaConfig(
    text_config=LlamaConfig(**sizes, vocab_size=len(words), pad_token_id=0, eos_token_id=1),
    vision_config=CLIPVisionConfig(**sizes, image_size=336, patch_size=14), image_token_id=2,
)
user = [{"role": "user", "content": "which side"}]
reply = [{"role": "assistant", "content": "left"}]


def labelled(**row):
    data = [row | {"images": [Image.new("RGB", (336, 336))]}]
    settings = trl.SFTConfig(sys.argv[1], use_cpu=True, bf16=False, report_to=[], max_length=None)
    trainer = trl.SFTTrainer(
        LlavaForConditionalGeneration(config), settings, train_dataset=Dataset.from_list(data),
        processing_class=processor,
    )
    labels = next(iter(trainer.get_train_dataloader()))["labels"]
    return int((labels == 2).sum()), int((labels > 2).sum())


print("trl", trl.__version__)
messages, pair = labelled(messages=user + reply), labelled(prompt=user, completion=reply)
print(f"messages: {messages[0]} labels are the image placeholder, {messages[1]} are words")
print(f"prompt and completion: {pair[0]} labels are the image placeholder, {pair[1]} are words")
assert messages == (576, 5) and pair == (0, 1), "changed"
PY
