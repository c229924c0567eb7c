#!/bin/sh
# trl 1.16.0: RewardTrainer trains on preferences with images without the images, and does not say so.
#
# Expected: the rows are refused, as SFTTrainer and DPOTrainer refuse rows with an `images` column for
# a model of text, or the images are used.
# Seen: the run starts and ends with a loss and an accuracy. A batch has token ids alone. Red and
# blue images give the same loss; a row without images too.
# So a reward model from image preferences is a model of the text alone, and nothing shows it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# called site-packages, since datasets pickles (by dill) the modules of packages that lie elsewhere
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/site-packages" \
  trl==1.16.0 transformers==5.23.0 torch==2.13.0 datasets==5.2.0 accelerate==1.15.0 pillow==13.0.0 numpy==2.4.6
PYTHONPATH="$work/site-packages" HF_HUB_OFFLINE=1 HF_HOME="$work/home" TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" -W ignore - "$work" 2>"$work/log" <<'PY' || { tail -n 20 "$work/log"; exit 1; }
import sys

import torch
import trl
from datasets import Dataset
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

words = ["<pad>", "<eos>", "which", "side", "left", "right"]
core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<pad>"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
config = LlamaConfig(**sizes, vocab_size=len(words), num_labels=1, pad_token_id=0)
settings = {"output_dir": sys.argv[1], "max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True,
            "report_to": [], "bf16": False, "save_strategy": "no", "disable_tqdm": True}


def rows(colour):
    row = {"prompt": "which side", "chosen": " left", "rejected": " right"}
    return [row if colour is None else row | {"images": [Image.new("RGB", (8, 8), colour)]}] * 2


def trained(colour):
    torch.manual_seed(0)
    trainer = trl.RewardTrainer(
        LlamaForSequenceClassification(config), trl.RewardConfig(**settings),
        train_dataset=Dataset.from_list(rows(colour)), processing_class=tokenizer,
    )
    batch = sorted(next(iter(trainer.get_train_dataloader())))
    return trainer.train().training_loss, batch


def refused(trainer, arguments, data):
    try:
        trainer(LlamaForCausalLM(config), args=arguments(**settings), train_dataset=Dataset.from_list(data),
                processing_class=tokenizer)
    except ValueError as error:
        return "vision-related" in str(error)
    return False


print("trl", trl.__version__)
found = {colour: trained(colour) for colour in ("red", "blue", None)}
for colour, (loss, batch) in found.items():
    print(f"RewardTrainer, image: {colour}: loss {loss:.6f}, a batch has {batch}")
sft = [{"prompt": row["prompt"], "completion": row["chosen"], "images": row["images"]} for row in rows("red")]
others = [refused(trl.SFTTrainer, trl.SFTConfig, sft), refused(trl.DPOTrainer, trl.DPOConfig, rows("red"))]
print("refused by SFTTrainer and DPOTrainer:", others)
assert others == [True, True], "changed"
assert found["red"] == found["blue"] == found[None], "changed"
assert found["red"][1] == ["attention_mask", "input_ids"], "changed"
PY
