"""Run by test_exports_read_back.py where TRL 1.16 and datasets 5.2 are installed.

    python with_trl.py sft|dpo|reward <folder of a model> <folder of an export> <folder for caches>

It opens the export as the tool does, trains one step on it, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
SETTINGS = {
    "per_device_train_batch_size": 2,
    "max_steps": 1,
    "learning_rate": 1e-2,
    "save_strategy": "no",
    "report_to": [],
    "use_cpu": True,
    "bf16": False,
    "max_length": None,
    "disable_tqdm": True,
    "logging_steps": 1,
}


def main(kind: str, model: Path, folder: Path, caches: Path) -> dict:
    """Train one step; return the features, the loss, the images seen and what has changed."""
    rows = load_dataset(str(folder), cache_dir=str(caches / "datasets"))["train"]
    processor = transformers.AutoProcessor.from_pretrained(model)
    settings = {**SETTINGS, "output_dir": str(caches / "out")}
    if kind == "reward":
        tokenizer = processor.tokenizer
        tokenizer.chat_template = (
            "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        )
        text = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        network = transformers.LlamaForSequenceClassification(text)
        trainer = RewardTrainer(
            network, RewardConfig(**settings), train_dataset=rows, processing_class=tokenizer
        )
    else:
        network = transformers.LlavaForConditionalGeneration.from_pretrained(model)
        config, made = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer)}[kind]
        trainer = made(
            network, args=config(**settings), train_dataset=rows, processing_class=processor
        )
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.train()
    changed = [
        name
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    ]
    [loss] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "features": {name: repr(feature) for name, feature in rows.features.items()},
        "rows": len(rows),
        "loss": loss,
        "changed": len(changed),
        "batch": {name: list(value.shape) for name, value in batch.items()},
        "image_tokens": int((batch["input_ids"] == 3).sum()),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(Path, sys.argv[2:]))))
