"""The one seam to vision-language models: load one by name, ask it about images.

``"clinic"`` is the embedded tiny LLaVA, a folder is opened as it lies, anything else is a hub id.
``loading`` opens a model, ``asking`` talks to it, ``adapters`` puts tuned weights into it and
refuses those that do not fit. Knows nothing of tables, benchmarks or training.
"""

from vital_lib.models.adapters import ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS, WrongAdapter
from vital_lib.models.asking import VisionLanguageModel
from vital_lib.models.loading import load_model
from vital_lib.models.weights import quiet, weights_fingerprint
