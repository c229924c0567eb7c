"""Vision-language models: load a model by name, and generate its answers about images.

``"clinic"`` is the embedded tiny LLaVA, a folder is opened in place, and any other name is a hub
id. ``loading`` opens a model, ``chat`` writes its prompts, ``asking`` generates answers, and
``sharing`` computes once what prompts about one image share.
``adapters`` loads tuned weights and rejects weights that do not fit. ``image_tokens`` measures what
an image costs. The package does not depend on tables, benchmarks or training.
"""

from vital_lib.models.adapters import ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS, WrongAdapter
from vital_lib.models.asking import Shown, VisionLanguageModel, as_list
from vital_lib.models.chat import ChatFormat, UnusableTemplate
from vital_lib.models.image_tokens import ImageTokens, image_tokens
from vital_lib.models.loading import asker, load_model, locate
from vital_lib.models.parts import (
    is_below,
    language_layers,
    linear_layers,
    projectors,
    vision_towers,
    without,
)
from vital_lib.models.quantizing import QUANTIZED, check_quantize, meta_model
from vital_lib.models.weights import quiet, weights_fingerprint
