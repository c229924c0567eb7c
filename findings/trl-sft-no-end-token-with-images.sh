#!/bin/sh
# trl 1.16.0: SFTTrainer ends a completion with the end-of-text token, but not if the row has images.
#
# Expected: {"prompt": ..., "completion": ...} is tuned to stop after the completion, with an `images`
# column as without.
# Seen: without images the last label is the end-of-text token. With images the labels end with the
# last word; nothing else tells the model to stop.
# So a vision-language model tuned on such rows answers on until max_new_tokens.
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
    LlamaForCausalLM,
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
processor = LlavaProcessor(
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}), tokenizer,
    patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
)
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
text = LlamaConfig(**sizes, vocab_size=len(words), pad_token_id=0, eos_token_id=1)
vision = CLIPVisionConfig(**sizes, image_size=16, patch_size=8)


def labels(model, processing_class, **row):
    settings = trl.SFTConfig(sys.argv[1], use_cpu=True, bf16=False, report_to=[])
    trainer = trl.SFTTrainer(
        model, settings, train_dataset=Dataset.from_list([row]), processing_class=processing_class
    )
    found = next(iter(trainer.get_train_dataloader()))["labels"][0].tolist()
    return [words[token] for token in found if token != -100]


print("trl", trl.__version__)
without = labels(LlamaForCausalLM(text), tokenizer, prompt="which side", completion=" left")
llava = LlavaForConditionalGeneration(LlavaConfig(text_config=text, vision_config=vision, image_token_id=2))
image = [Image.new("RGB", (16, 16))]
with_image = labels(llava, processor, images=image, prompt="<image> which side", completion=" left")
print(f"labels without an image: {without}, with an image: {with_image}")
assert without == ["left", "<eos>"] and with_image == ["left"], "changed"
PY
