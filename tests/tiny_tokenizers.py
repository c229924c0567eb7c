"""Tokenizers in the shape of published ones, trained on a few sentences in milliseconds.

``byte_level`` is as Qwen's and SmolVLM's (a regex, then bytes), ``byte_fallback`` as Llama's and
Gemma's (spaces as U+2581, bytes for unknown characters). Any text survives the round trip.
"""

from __future__ import annotations

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

_WORDS = (
    "Which modality is shown? This is a chest X-ray, a CT scan, an MRI, a histology section or a "
    "gross specimen. On which side is the nodule? It lies in the left upper lung. Is there a "
    "consolidation? No, there is none. How many are there? There are two small ones on the right. "
    "USER: ASSISTANT: User: Assistant: user model system assistant\n\n\n"
)
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(special: list[str], *, qwen: bool, **roles) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE; `qwen` adds its regex and its normalisation of characters."""
    core = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Digits(individual_digits=True)]
    if qwen:
        core.normalizer = normalizers.NFC()
        steps = [pre_tokenizers.Split(Regex(_QWEN), "isolated")]
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not qwen)
    core.pre_tokenizer = pre_tokenizers.Sequence([*steps, whole])
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(core, special, alphabet)
    return _wrapped(core, **roles)


def byte_fallback(special: list[str], *, llama: bool, **roles) -> PreTrainedTokenizerFast:
    """Return a BPE over characters that falls back on bytes and begins a text with its bos token.

    `llama` puts a space before the text, as Llama's tokenizer does and Gemma's does not.
    """
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    _train(learned, special, [])
    pairs = learned.model
    vocabulary, merges = _vocabulary(learned)
    del pairs
    for byte in range(256):
        vocabulary.setdefault(f"<0x{byte:02X}>", len(vocabulary))
    core = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token=special[0])
    )
    before = [normalizers.Prepend("\u2581")] if llama else []
    core.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "\u2581")])
    if not llama:
        core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    after = [decoders.Strip(" ", 1, 0)] if llama else []
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), *after]
    )
    core.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    bos = roles["bos_token"]
    core.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
    )
    return _wrapped(core, **roles)


def _train(core: Tokenizer, special: list[str], alphabet: list[str]) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=420 + len(special),
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    core.train_from_iterator([_WORDS], trainer)


def _vocabulary(core: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    model = json.loads(core.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def _wrapped(core: Tokenizer, **roles) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=core, clean_up_tokenization_spaces=False, **roles
    )
