"""Image and text encoders: unit-length features, cached by content in memory-mapped shards.

One model, such as CLIP, encodes images and texts into one space. All encoding in the workbench goes
through this module. It does not depend on clusters, selectors or candidates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vital_lib.figures import FigureImage
from vital_lib.shards import RowShards
from vital_lib.stopping import stoppable

if TYPE_CHECKING:
    import torch
    from PIL import Image

BATCH_SIZE = 32
"""Number of images in a batch; each batch is committed to the cache."""
TEXT_BATCH_SIZE = 128
"""Number of texts in a batch; texts of similar length share a batch to save padding."""

_GO_ON = "the batches done are in the cache. Run the cell again to go on"
_PREPARATION = 1  # version of image and text preparation; a new version invalidates the cache


class Encoder:
    """A model that encodes images and texts as unit vectors, and caches them.

    `load_encoder` makes one. `fingerprint` is a hash of weights, tokenizer and image preparation.
    """

    def __init__(self, name: str, backend: _Backend, cache: Path | None = None) -> None:
        self.name = name
        self.fingerprint = backend.fingerprint
        self._backend = backend
        self._caches = {kind: _open_cache(cache, kind, backend) for kind in ("image", "text")}
        self._truncated: set[bytes] = set()

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, {self.fingerprint[:12]})"

    @property
    def truncated(self) -> int:
        """Number of distinct texts so far that exceeded the context and were truncated."""
        return len(self._truncated)

    @stoppable(_GO_ON)
    def images(
        self, images: Sequence[FigureImage], *, on_encoded: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Encode `images`: float32 (n, d), rows of unit length in the order given.

        Args:
            on_encoded: called after each batch with the number of images encoded so far, cached
                ones not counted.

        Raises:
            UnreadableImage: a file changed since it was opened.
            ValueError: the model returned a zero or non-finite feature vector.
            RuntimeError: the cache holds damaged features, or its disk is full.
        """

        def encode(batch: list[FigureImage]) -> tuple[np.ndarray, list[bool]]:
            features = self._backend.images([image.pixels() for image in batch])
            return unit_rows(features, self.name), [False] * len(batch)

        keys = [bytes.fromhex(image.shown_as) for image in images]
        return self._features(
            "image", dict(zip(keys, images, strict=True)), keys, encode, on_encoded
        )

    @stoppable(_GO_ON)
    def texts(
        self, texts: Sequence[str], *, on_encoded: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Encode `texts`: float32 (n, d), rows of unit length in the order given.

        A text longer than the model's context is truncated at its end and counted in `truncated`.
        Arguments and errors are those of `images`.
        """

        def encode(batch: list[str]) -> tuple[np.ndarray, list[bool]]:
            features, truncated = self._backend.texts(batch)
            return unit_rows(features, self.name), truncated

        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        return self._features("text", dict(zip(keys, texts, strict=True)), keys, encode, on_encoded)

    def _features(
        self,
        kind: str,
        contents: Mapping[bytes, Any],
        keys: Sequence[bytes],
        encode: Callable[[list], tuple[np.ndarray, list[bool]]],
        on_encoded: Callable[[int], None] | None,
    ) -> np.ndarray:
        """Return the rows of `keys` (n, d), and encode those of `contents` that the cache lacks."""
        cache, unique = self._caches[kind], list(contents)
        hashes = np.frombuffer(b"".join(unique), np.uint8).reshape(-1, 32)  # (u, 32)
        rows = np.zeros((len(unique), self._backend.width), np.float32)
        found, truncated = cache.read(hashes, rows)
        _refuse_damaged(rows, found, cache)
        missing, given = np.flatnonzero(~found), list(contents.values())
        size = BATCH_SIZE
        if kind == "text":
            size, lengths = TEXT_BATCH_SIZE, np.array([len(given[place]) for place in missing])
            missing = missing[np.argsort(lengths, kind="stable")]
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            rows[batch], truncated[batch] = encode([given[place] for place in batch])
            cache.write(hashes[batch], rows[batch], truncated[batch])
            if on_encoded is not None:
                on_encoded(start + len(batch))
        self._truncated.update(unique[place] for place in np.flatnonzero(truncated))
        if len(unique) == len(keys):
            return rows
        place_of = {key: place for place, key in enumerate(unique)}
        return rows[[place_of[key] for key in keys]]


def _open_cache(folder: Path | None, kind: str, backend: _Backend) -> RowShards:
    own = None if folder is None else Path(folder) / backend.fingerprint / kind
    try:
        return RowShards(own, backend.width)
    except NotADirectoryError as error:
        raise RuntimeError(
            f"{folder} is not a usable feature cache ({error}); delete it or give another folder, "
            "and the features are encoded again"
        ) from error


def _refuse_damaged(rows: np.ndarray, found: np.ndarray, cache: RowShards) -> None:
    """Refuse rows from the cache that are not of unit length, as in a half-copied file."""
    squares = np.einsum("ij,ij->i", rows, rows)  # (n,)
    damaged = int((found & ~(np.abs(squares - 1) < 1e-3)).sum())
    if damaged:
        raise RuntimeError(
            f"{damaged} of {int(found.sum())} features in {cache.folder} are damaged: delete this "
            "folder, and they are encoded again"
        )


def load_encoder(name: str = "clinic", *, cache: Path | None = None) -> Encoder:
    """Load the encoder `name`.

    Args:
        name: "clinic"; the folder or hub id of a CLIP-like transformers model; or an open_clip
            model as "hf-hub:<owner>/<model>" or "local-dir:<dir>". The paper's encoder BiomedCLIP
            is "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224".
        cache: folder of features (`Workspace.features`); without it they are kept in memory.

    Raises:
        FileNotFoundError: the folder does not exist, or the model cannot be loaded.
        ImportError: an open_clip model without the extra; the message has the `pip install`.
        ValueError: the model does not encode both images and texts, or lacks weights.
        RuntimeError: `cache` is not a folder.
    """
    return Encoder(name, open_backend(name), cache)


def open_backend(name: str) -> _Backend:
    """Open the model of an encoder, without a cache; arguments and errors of `load_encoder`."""
    if name == "clinic":
        from vital_lib import clinic

        return _Transformers(str(clinic.model_folder("encoder")))
    if name.startswith(("hf-hub:", "local-dir:")):
        return _OpenClip(name)
    folder = Path(name).expanduser()
    if (folder / "open_clip_config.json").is_file():
        return _OpenClip(f"local-dir:{folder}")
    if not folder.is_dir() and (name.startswith((".", "~", "/")) or name.count("/") > 1):
        raise FileNotFoundError(f"encoder {name!r}: the folder does not exist")
    return _Transformers(str(folder) if folder.is_dir() else name)


def unit_rows(features: torch.Tensor, name: str) -> np.ndarray:
    """Scale the features (b, d) of encoder `name` to unit length; ValueError for a zero row."""
    rows = features.float().cpu().numpy()  # (b, d)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)  # (b, 1)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise ValueError(f"encoder {name!r} returned features of length {lengths.ravel().tolist()}")
    return (rows / lengths).astype(np.float32)


# Backends


class _Backend(Protocol):
    """The model interface of an `Encoder`: raw features, not yet of unit length."""

    fingerprint: str
    width: int

    def images(self, images: list[Image.Image]) -> torch.Tensor: ...  # (b, d)

    def texts(
        self, texts: list[str]
    ) -> tuple[torch.Tensor, list[bool]]: ...  # (b, d), was truncated


class _Transformers:
    """A CLIP-like transformers model."""

    def __init__(self, source: str) -> None:
        self._model, self._tokenizer, self._processor = _load_transformers(source)
        text_config = self._model.config.get_text_config()
        limits = text_config.max_position_embeddings, self._tokenizer.model_max_length
        self._context = min(limits)
        # SigLIP was trained on texts padded to the full context and attends to the padding.
        siglip = "siglip" in self._model.config.model_type
        self._padding = "max_length" if siglip else "longest"
        self.fingerprint = _fingerprint(
            self._model,
            _stable_config(self._model.config),
            self._tokenizer.backend_tokenizer.to_str(),
            self._processor.to_json_string(),
            f"{self._context} {self._padding}",
        )
        self._device = _to_device(self._model)
        self.width = int(self.texts([""])[0].shape[1])

    def images(self, images: list[Image.Image]) -> torch.Tensor:
        import torch

        inputs = self._processor(images=images, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            return self._model.get_image_features(**inputs).pooler_output  # (b, d)

    def texts(self, texts: list[str]) -> tuple[torch.Tensor, list[bool]]:
        import torch

        inputs = self._tokenizer(
            texts,
            padding=self._padding,
            truncation=True,
            max_length=self._context,
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            features = self._model.get_text_features(**inputs).pooler_output  # (b, d)
        return features, [bool(encoding.overflowing) for encoding in inputs.encodings]


def _load_transformers(source: str) -> tuple[Any, Any, Any]:
    """Load a model in float32 and evaluation mode, its tokenizer and its image processor."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # no weight-loading bars in notebooks
    try:
        # Only safetensors: a pickle may run code.
        model, loading = AutoModel.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source)
        processor = AutoImageProcessor.from_pretrained(source, backend="pil")
    except (OSError, ValueError) as error:  # transformers raises either for an unknown folder
        raise FileNotFoundError(
            f"encoder {source!r} is not a complete CLIP-like transformers model, here or on the "
            "hub (for open_clip models such as BiomedCLIP give 'hf-hub:<owner>/<model>'): "
            f"{error}"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        kind = type(model).__name__
        raise ValueError(f"encoder {source!r} is a {kind}, which does not encode images and texts")
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])[:3]
        raise ValueError(f"encoder {source!r} has no weights for {missing}")
    return model.eval(), tokenizer, processor


def _stable_config(config: Any) -> str:
    """Return the config that decides how weights are used, without the file's version and path."""
    changing = {"transformers_version", "_name_or_path"}

    def stable(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: stable(inner) for key, inner in value.items() if key not in changing}

    return json.dumps(stable(config.to_dict()), sort_keys=True, default=str)


class _OpenClip:
    """An open_clip model; open_clip is an optional extra."""

    def __init__(self, name: str) -> None:
        open_clip = _import_open_clip()
        text_cfg = _local_text_config(name)
        self._model, self._prepare = open_clip.create_model_from_pretrained(name, **text_cfg)
        self._model.eval()
        self._tokenizer = open_clip.get_tokenizer(name)
        self._context = self._tokenizer.context_length
        self.fingerprint = _fingerprint(self._model, repr(self._prepare), str(self._context))
        self._device = _to_device(self._model)
        self.width = int(self.texts([""])[0].shape[1])

    def images(self, images: list[Image.Image]) -> torch.Tensor:
        import torch

        pixels = torch.stack([self._prepare(image) for image in images])  # (b, 3, H, W)
        with torch.inference_mode():
            return self._model.encode_image(pixels.to(self._device))  # (b, d)

    def texts(self, texts: list[str]) -> tuple[torch.Tensor, list[bool]]:
        import torch

        tokens = self._tokenizer(texts, context_length=self._context)  # (b, L)
        # With one more token of context, only a text that was truncated has no padding at the end.
        longer = self._tokenizer(texts, context_length=self._context + 1)  # (b, L + 1)
        padding = self._tokenizer([""], context_length=self._context + 1)[0, -1]
        with torch.inference_mode():
            features = self._model.encode_text(tokens.to(self._device))  # (b, d)
        return features, (longer[:, -1] != padding).tolist()


def _import_open_clip() -> Any:
    install = "pip install 'vital-workbench[biomedclip]'"
    try:
        import open_clip
    except ImportError as error:
        raise ImportError(f"this encoder needs open_clip: {install}") from error
    except RuntimeError as error:
        # A torchvision built for another torch raises this ("torchvision::nms does not exist").
        raise ImportError(
            f"open_clip is installed, but its torchvision does not fit this torch ({error}): "
            f"install both from one index, then {install}"
        ) from error
    return open_clip


def _local_text_config(name: str) -> dict[str, Any]:
    """Return the text configuration of a local folder, so that open_clip does not query the hub."""
    folder = Path(name.removeprefix("local-dir:")).expanduser().resolve()
    if not name.startswith("local-dir:") or not (folder / "config.json").is_file():
        return {}
    stated = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    if "hf_model_name" not in stated:
        return {}
    own = {"hf_model_name": str(folder), "hf_model_pretrained": False}
    return {"text_cfg": {**stated, **own}}


def _fingerprint(model: torch.nn.Module, *preparation: str) -> str:
    """Return the SHA-256 of all weights by name, and of the text and image preparation."""
    import torch

    digest = hashlib.sha256(json.dumps([_PREPARATION, *preparation]).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        content = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy())
    return digest.hexdigest()


def _to_device(model: torch.nn.Module) -> str:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    return device
