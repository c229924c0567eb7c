"""The one seam to vision-language models: load one by name, ask it about images.

``"clinic"`` is the embedded tiny LLaVA, a folder is opened as it lies, anything else is a hub id.
Safetensors only, no code from the hub. Images always go through the PIL image processor, so that
pixels do not depend on whether torchvision is installed. Knows nothing of tables, benchmarks or
training.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import logging as transformers_logging

ADAPTER_WEIGHTS = "adapter_model.safetensors"  # peft's own name
LANGUAGE_WEIGHTS = "language.safetensors"
"""What a tuned folder holds: LoRA's matrices, or the tuned language half and projector."""

_LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE\n{% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "{% else %}ASSISTANT: {{ message['content'][0]['text'] }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's own wording, for a processor that was saved without a chat template."""


class WrongAdapter(ValueError):
    """A folder that holds no tuned weights of this base model; the message says what was found."""


class VisionLanguageModel:
    """A loaded vision-language model with its processor.

    Attributes: `model` (in evaluation mode), `processor`, `name` (as it was asked for), `device`.
    """

    def __init__(self, model: torch.nn.Module, processor: Any, name: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        self._template = processor.chat_template or _LLAVA_TEMPLATE.replace(
            "IMAGE", getattr(processor, "image_token", "<image>")
        )
        self._control = _control_tokens(processor)

    def __repr__(self) -> str:
        return f"VisionLanguageModel({self.name!r}, {self.model.num_parameters():,} parameters)"

    @property
    def device(self) -> torch.device:
        """Where the weights are: cuda if there is one, else cpu."""
        return self.model.device

    def answer(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int = 48,
        batch_size: int = 32,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[str]:
        """The model's answers, one per image and question, stripped.

        Args:
            images: RGB images, as many as questions.
            questions: each asked about its image by itself, without memory of the others.
            max_new_tokens: longest answer, in tokens.
            batch_size: questions answered at once; it changes speed, not meaning.
            temperature: of sampling; None decodes greedily.
            seed: of sampling. An answer depends on it, the image and the question, and not on the
                others it is asked with; two models get the same noise, so that they differ by
                what they learned.

        Raises:
            ValueError: unequal numbers of images and questions, a size below 1, or a temperature
                that is not above 0.
        """
        if len(images) != len(questions):
            raise ValueError(f"{len(images)} images for {len(questions)} questions")
        if batch_size < 1 or max_new_tokens < 1:
            raise ValueError(f"batch_size={batch_size}, max_new_tokens={max_new_tokens}: below 1")
        if temperature is not None and not temperature > 0:
            raise ValueError(f"temperature={temperature}: wanted above 0, or None for greedy")
        answers: list[str] = []
        for start in range(0, len(questions), batch_size):
            part = images[start : start + batch_size], questions[start : start + batch_size]
            drawn = [] if temperature is None else [_Draws(temperature, seed, *part, self.device)]
            answers += self._answer_batch(*part, max_new_tokens, LogitsProcessorList(drawn))
        return answers

    def ask(self, image: Image.Image, question: str) -> str:
        """The model's answer to one question about one image."""
        return self.answer([image], [question])[0]

    def chat(self, turns: Sequence[tuple[str, str | None]]) -> str:
        """The chat template's text of rounds (instruction, response) about one image.

        The image stands in the first round. A last response of None is left for the model to
        give. Control tokens inside an instruction or response (``<image>``, ``</s>``, ...) are
        taken out: what a person or a model wrote is text, never structure.
        """
        messages = []
        for place, (instruction, response) in enumerate(turns):
            image = [{"type": "image"}] if place == 0 else []
            said = {"type": "text", "text": self._plain(instruction)}
            messages.append({"role": "user", "content": [*image, said]})
            if response is not None:
                reply = [{"type": "text", "text": self._plain(response)}]
                messages.append({"role": "assistant", "content": reply})
        asking = turns[-1][1] is None
        text = self.processor.apply_chat_template(
            messages, chat_template=self._template, add_generation_prompt=asking, tokenize=False
        )
        # In most vocabularies a word's first token holds the space before it: a prompt that ends
        # with that space asks for a token that no training text has.
        return text.rstrip(" ") if asking else text

    def tensors(
        self, texts: Sequence[str], images: Sequence[Image.Image], **options: Any
    ) -> dict[str, torch.Tensor]:
        """The processor's tensors of `texts` (n,) from `chat`, each with its one image (n,)."""
        first = self.processor.tokenizer.bos_token
        return self.processor(
            text=list(texts),
            images=[[image] for image in images],
            add_special_tokens=not (first and texts[0].startswith(first)),
            return_tensors="pt",
            **options,
        )

    @torch.inference_mode()
    def _answer_batch(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int,
        drawn: LogitsProcessorList,
    ) -> list[str]:
        texts = [self.chat([(question, None)]) for question in questions]
        # Left padding: every answer starts where its own question ends.
        batch = self.tensors(texts, images, padding=True, padding_side="left")
        batch = batch.to(self.device, dtype=self.model.dtype)
        tokens = self.model.generate(  # (B, L + new)
            **batch,
            max_new_tokens=max_new_tokens,
            logits_processor=drawn,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        new = tokens[:, batch["input_ids"].shape[1] :]  # (B, new)
        decoded = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [answer.strip() for answer in decoded]

    def _plain(self, text: str) -> str:
        return self._control.sub(" ", text).strip()


class _Draws(LogitsProcessor):
    """Turns greedy decoding into sampling, with a random generator for every question.

    The largest of logits / temperature + Gumbel noise is a draw from their softmax (the Gumbel-max
    trick). transformers' own sampling shares one generator among a batch's rows.
    """

    def __init__(
        self,
        temperature: float,
        seed: int,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        device: torch.device,
    ) -> None:
        self._temperature, self._generators = temperature, []
        for image, question in zip(images, questions, strict=True):
            digest = hashlib.sha256(f"{seed}\n{question}\n".encode() + image.tobytes()).digest()
            own = torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
            self._generators.append(own)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(scores)  # (B, vocabulary)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self._temperature - noise.log()


def load_model(
    base_model: str | Path = "clinic", adapter: str | Path | None = None
) -> VisionLanguageModel:
    """Open a vision-language model, with tuned weights put into it where they are given.

    Args:
        base_model: ``"clinic"``, a folder, or a hub id. bf16 on cuda, fp32 on the CPU.
        adapter: a folder that `vital_lib.tuning.tune` (or peft) wrote for this base model: an
            adapter, which is merged, or a tuned language half, which takes the base's place.

    Raises:
        FileNotFoundError: a path that is no folder.
        OSError: weights that are not safetensors, or a hub id that cannot be reached.
        ValueError: a model of another kind, such as an encoder.
        WrongAdapter: no tuned weights there, not all of them, or those of another base model.
    """
    source = str(_locate(base_model))
    cuda = torch.cuda.is_available()
    with quiet():
        model = _load_weights(source, torch.bfloat16 if cuda else torch.float32)
        processor = _load_processor(source)
    model = model.to("cuda" if cuda else "cpu")
    if adapter is not None:
        model = _tuned(model, Path(adapter), base_model)
    return VisionLanguageModel(model, processor, str(base_model))


def weights_fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 over every parameter's name, shape and first 64 values, rounded to bf16.

    The rounding makes it the same on a GPU (bf16) and a CPU (fp32); the sampling makes it cheap.
    """
    digest = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weights.shape)}".encode())
        if weights.is_floating_point():
            sample = weights.detach().flatten()[:64].to("cpu", torch.bfloat16)
            digest.update(sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back transformers' progress bars, and one warning of what peft has yet to rename."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _locate(base_model: str | Path) -> str | Path:
    if base_model == "clinic":
        from vital_lib import clinic

        return clinic.model_folder("llava")
    path = Path(base_model).expanduser()
    looks_like_path = isinstance(base_model, Path) or str(base_model).startswith(("/", ".", "~"))
    if not path.is_dir() and looks_like_path:
        raise FileNotFoundError(
            f"base_model {str(base_model)!r}: no such folder; give a folder with config.json and "
            "safetensors, a hub id such as 'HuggingFaceTB/SmolVLM-256M-Instruct', or 'clinic'"
        )
    return path if path.is_dir() else base_model


def _load_weights(source: str, dtype: torch.dtype) -> torch.nn.Module:
    try:
        return AutoModelForImageTextToText.from_pretrained(
            source, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except ValueError as error:
        # transformers goes on to list every class that it knows
        raise ValueError(
            f"base_model {source!r}: {str(error).splitlines()[0]} Give a vision-language model, "
            "such as a LLaVA or a Qwen-VL"
        ) from error


def _load_processor(source: str) -> Any:
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    kind = PROCESSOR_MAPPING[type(config)]
    if "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
    return _still_processor(kind, source)


def _still_processor(kind: type, source: str) -> Any:
    """A processor such as Qwen-VL's without its video half, which would need torchvision."""

    class StillProcessor(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(
            source, backend="pil", trust_remote_code=False
        ),
        "tokenizer": AutoTokenizer.from_pretrained(source, trust_remote_code=False),
        "video_processor": None,
    }
    settings, _ = kind.get_processor_dict(source)
    return StillProcessor.from_args_and_dict([parts[a] for a in kind.get_attributes()], settings)


def _tuned(model: torch.nn.Module, folder: Path, base_model: str | Path) -> torch.nn.Module:
    """`model` with the tuned weights of `folder`: as fast as the base model, and one object."""
    adapter = (folder / ADAPTER_WEIGHTS).is_file()
    if not adapter and not (folder / LANGUAGE_WEIGHTS).is_file():
        raise WrongAdapter(
            f"neither {ADAPTER_WEIGHTS} nor {LANGUAGE_WEIGHTS} in {folder}: tune a model in "
            "notebook 08"
        )
    written = folder / "config.json"
    # What `tune` writes last; peft alone, which writes LoRA only, has neither file.
    if (written.is_file() or not adapter) and not (folder / "metrics.json").is_file():
        raise WrongAdapter(
            f"{folder} has no metrics.json: its tuning was cut short, tune it again in notebook 08"
        )
    trained_on = json.loads(written.read_text()) if written.is_file() else {}
    wanted = trained_on.get("base_fingerprint")
    if wanted is not None and wanted != weights_fingerprint(model):
        raise WrongAdapter(
            f"{folder} was tuned on base model {trained_on.get('base_model')!r}, whose weights "
            f"are not those of {str(base_model)!r}"
        )
    try:
        return (_with_adapter if adapter else _with_language)(model, folder)
    except SafetensorError as error:
        raise WrongAdapter(
            f"the weights in {folder} are damaged ({error}): tune it again in notebook 08"
        ) from error


def _with_adapter(model: torch.nn.Module, folder: Path) -> torch.nn.Module:
    from peft import PeftModel

    with quiet():
        tuned = PeftModel.from_pretrained(model, str(folder), use_safetensors=True)
    return tuned.merge_and_unload()


def _with_language(model: torch.nn.Module, folder: Path) -> torch.nn.Module:
    from safetensors.torch import load_file

    tuned, own = load_file(folder / LANGUAGE_WEIGHTS), model.state_dict()
    strange = [name for name in tuned if name not in own or own[name].shape != tuned[name].shape]
    if strange:
        raise WrongAdapter(
            f"{len(strange)} of {len(tuned)} weights in {folder} do not fit "
            f"{type(model).__name__}, first {strange[0]!r}: give the base model it was tuned on"
        )
    whole = json.loads((folder / "config.json").read_text())["trained_whole"]
    parts = tuple(f"{name}." for name in whole)
    wanted = {name for name, _ in model.named_parameters() if name.startswith(parts)}
    lost = sorted(wanted - set(tuned))
    if lost or not wanted:
        raise WrongAdapter(
            f"{folder} lacks {len(lost)} of {len(wanted)} weights of {', '.join(whole)}, first "
            f"{min(lost, default=None)!r}: tune it again in notebook 08"
        )
    model.load_state_dict(tuned, strict=False)
    return model


def _control_tokens(processor: Any) -> re.Pattern[str]:
    """Matches every token that steers the model rather than speaks to it."""
    added = processor.tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special}
    found |= set(processor.tokenizer.all_special_tokens)
    found |= {getattr(processor, name, None) for name in ("image_token", "video_token")} - {None}
    longest_first = sorted(map(str, found), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
