#!/bin/sh
# transformers 5.23.0: AutoProcessor.from_pretrained(folder, backend="pil") of a Qwen2.5-VL fails
# without torchvision, also for images alone.
#
# Expected: backend="pil" loads what needs Pillow alone, as AutoImageProcessor does with the same
# folder; the video half may be missing.
# Seen: ImportError, "Video processor cannot be loaded - requested pil backend is not available":
# there is no Pillow half for videos, and the processor is not made without it.
# So a set of images cannot be prepared for Qwen2.5-VL where torchvision is not wanted or not found.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  transformers==5.23.0 torch==2.13.0 numpy==2.4.6 pillow==13.0.0
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 HF_HOME="$work/home" TRANSFORMERS_VERBOSITY=error \
  "${PYTHON:-python3}" - "$work/model" <<'PY'
import json
import sys
from pathlib import Path

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    __version__,
)
from transformers.utils import is_torchvision_available

assert not is_torchvision_available(), "this environment has torchvision: nothing can be seen here"
words = ["<|endoftext|>", "<|image_pad|>", "<|video_pad|>", "which", "side"]
core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=words[0]))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
folder = Path(sys.argv[1])
PreTrainedTokenizerFast(tokenizer_object=core, pad_token=words[0]).save_pretrained(folder)
settings = Qwen2VLImageProcessorPil().to_dict() | {
    "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"
}
(folder / "preprocessor_config.json").write_text(json.dumps(settings))
(folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
print("transformers", __version__)
images = AutoImageProcessor.from_pretrained(folder, backend="pil")
pixels = images(images=[Image.new("RGB", (56, 56))])["pixel_values"]
print(f"AutoImageProcessor: {type(images).__name__}, pixels {pixels.shape}")
try:
    AutoProcessor.from_pretrained(folder, backend="pil")
except ImportError as error:
    print("AutoProcessor: ImportError:", str(error).strip().splitlines()[0])
    assert "Video processor cannot be loaded" in str(error), "changed"
else:
    sys.exit("changed: AutoProcessor works")
PY
