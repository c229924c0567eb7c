"""Claims about encoders, with a tiny random CLIP made here."""

import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vital_lib import encoders
from vital_lib.encoders import load_encoder
from vital_lib.figures import open_image

WORDS = ["a", "nodule", "in", "the", "left", "lung", "right", "upper", "lower", "mri", "normal"]
CONTEXT = 10


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(["<pad>", "<unk>", "<bos>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=CONTEXT,
    ).save_pretrained(folder)


def write_clip(folder: Path, seed: int = 0) -> Path:
    """A random CLIP of 32 dimensions on 32 x 32 pixels, as a transformers folder."""
    import torch
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(seed)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    text = {"vocab_size": 4 + len(WORDS), "max_position_embeddings": CONTEXT, "eos_token_id": 3}
    config = CLIPConfig(
        text_config={**small, **text, "num_hidden_layers": 1, "pad_token_id": 0, "bos_token_id": 2},
        vision_config={**small, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    CLIPModel(config).save_pretrained(folder)
    write_tokenizer(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    return str(write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("images")
    for n, size in enumerate([(40, 30), (32, 32), (300, 64), (20, 20)]):
        values = np.random.default_rng(n).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{n}.png")
    return [open_image(folder / f"{n}.png") for n in range(4)]


def test_features_are_unit_float32_rows_in_the_order_given(clip, images):
    encoder = load_encoder(clip)
    rows = encoder.images(images)
    texts = encoder.texts(["a nodule", "normal lung"])
    assert rows.shape == (4, 32) and texts.shape == (2, 32)
    assert rows.dtype == texts.dtype == np.float32
    lengths = np.linalg.norm(np.concatenate([rows, texts]), axis=1)
    assert lengths == pytest.approx(np.ones(6), abs=1e-5)
    assert np.array_equal(encoder.images(images[::-1]), rows[::-1])


def test_features_are_those_of_the_model_itself(clip, images):
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    model = CLIPModel.from_pretrained(clip).eval()
    pixels = AutoImageProcessor.from_pretrained(clip, backend="pil")(
        images=[images[0].pixels()], return_tensors="pt"
    )
    tokens = AutoTokenizer.from_pretrained(clip)(["a nodule"], return_tensors="pt")
    with torch.no_grad():
        image = model.get_image_features(**pixels).pooler_output[0]
        text = model.get_text_features(**tokens).pooler_output[0]
    encoder = load_encoder(clip)
    wanted = (image / image.norm()).numpy()
    assert encoder.images(images[:1])[0] == pytest.approx(wanted, abs=1e-5)
    assert encoder.texts(["a nodule"])[0] == pytest.approx((text / text.norm()).numpy(), abs=1e-5)


def test_a_row_does_not_depend_on_its_batch(clip, images):
    together = load_encoder(clip)
    longer = ["a nodule", "a nodule in the left lung", "normal"]
    alone = [load_encoder(clip).texts([text])[0] for text in longer]
    assert together.texts(longer) == pytest.approx(np.stack(alone), abs=1e-5)
    first = load_encoder(clip).images(images[2:3])[0]
    assert together.images(images)[2] == pytest.approx(first, abs=1e-5)


def test_texts_of_different_meaning_have_different_features(clip):
    left, right = load_encoder(clip).texts(["left lung nodule", "right lung nodule"])
    assert np.abs(left - right).max() > 1e-3


def test_no_content_gives_no_rows_of_the_right_width(clip):
    encoder = load_encoder(clip)
    assert encoder.images([]).shape == encoder.texts([]).shape == (0, 32)


def test_unchanged_content_is_never_encoded_twice(clip, images, tmp_path):
    cache = tmp_path / "features"
    encoded = []
    first = load_encoder(clip, cache=cache)
    rows = first.images([*images, images[0]], on_encoded=encoded.append)
    texts = first.texts(["a nodule", "normal", "a nodule"], on_encoded=encoded.append)
    assert encoded == [4, 2]
    again = load_encoder(clip, cache=cache)
    assert np.array_equal(again.images([*images, images[0]], on_encoded=encoded.append), rows)
    assert np.array_equal(
        again.texts(["a nodule", "normal", "a nodule"], on_encoded=encoded.append), texts
    )
    assert encoded == [4, 2]
    again.texts(["normal", "right lung"], on_encoded=encoded.append)
    assert encoded == [4, 2, 1]


def test_without_a_cache_file_nothing_is_encoded_twice_either(clip):
    encoder, encoded = load_encoder(clip), []
    encoder.texts(["a nodule"], on_encoded=encoded.append)
    encoder.texts(["a nodule"], on_encoded=encoded.append)
    assert encoded == [1]


def test_a_copied_image_is_the_same_content(clip, images, tmp_path):
    shutil.copy(images[0].path, tmp_path / "copy.png")
    encoder, encoded = load_encoder(clip), []
    encoder.images(images[:1], on_encoded=encoded.append)
    encoder.images([open_image(tmp_path / "copy.png")], on_encoded=encoded.append)
    assert encoded == [1]


def test_another_encoder_does_not_read_this_ones_features(clip, tmp_path):
    cache = tmp_path / "features"
    other = str(write_clip(tmp_path / "other", seed=1))
    one, two = load_encoder(clip, cache=cache), load_encoder(other, cache=cache)
    assert one.fingerprint != two.fingerprint
    for first, second, word in ((one, two, "left"), (two, one, "right")):
        assert np.abs(first.texts([word]) - second.texts([word])).max() > 1e-3


def test_a_fingerprint_is_the_content_not_the_folder(clip, tmp_path):
    shutil.copytree(clip, tmp_path / "copy")
    assert load_encoder(str(tmp_path / "copy")).fingerprint == load_encoder(clip).fingerprint
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 5
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    assert load_encoder(str(tmp_path / "copy")).fingerprint != load_encoder(clip).fingerprint


def test_a_long_text_is_cut_at_its_end_and_counted_once(clip, tmp_path):
    cache = tmp_path / "features"
    exact, long = " ".join(["lung"] * (CONTEXT - 2)), " ".join(["lung"] * CONTEXT)
    encoder = load_encoder(clip, cache=cache)
    rows = encoder.texts([exact, long, long, "normal"])
    assert encoder.truncated == 1
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)
    again = load_encoder(clip, cache=cache)
    assert again.truncated == 0
    again.texts([long])
    assert again.truncated == 1


def test_a_stopped_run_keeps_the_batches_that_were_done(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "TEXT_BATCH_SIZE", 2)
    cache = tmp_path / "features"
    texts = ["left", "right", "upper", "lower"]

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_encoder(clip, cache=cache).texts(texts, on_encoded=stop)
    encoded = []
    load_encoder(clip, cache=cache).texts(texts, on_encoded=encoded.append)
    assert encoded == [2]


def test_another_thread_may_ask(clip):
    encoder, rows = load_encoder(clip), []
    thread = threading.Thread(target=lambda: rows.append(encoder.texts(["a nodule"])))
    thread.start()
    thread.join()
    assert np.array_equal(rows[0], encoder.texts(["a nodule"]))


def test_features_that_are_not_finite_are_an_error(clip, tmp_path):
    import torch
    from transformers import CLIPModel

    shutil.copytree(clip, tmp_path / "broken")
    model = CLIPModel.from_pretrained(clip)
    with torch.no_grad():
        model.visual_projection.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="nan"):
        load_encoder(str(tmp_path / "broken")).images([open_image(tmp_path / "a.png")])


def test_a_model_without_all_its_weights_is_refused(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(clip, tmp_path / "part")
    weights = load_file(tmp_path / "part" / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"no weights for .*visual_projection"):
        load_encoder(str(tmp_path / "part"))


def test_a_model_of_texts_alone_is_refused(tmp_path):
    from transformers import BertConfig, BertModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=30, intermediate_size=16, **sizes)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    CLIPImageProcessorPil().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="BertModel"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/clip", "~/nowhere-at-all"])
def test_a_folder_that_is_not_there_says_so(name):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_encoder(name)


def test_an_empty_folder_says_what_is_wanted(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"hf-hub:"):
        load_encoder(str(tmp_path))


def test_a_file_that_is_no_cache_says_so(clip, tmp_path):
    (tmp_path / "features").write_text("not a folder")
    with pytest.raises(RuntimeError, match=r"not a usable feature cache .* delete it"):
        load_encoder(clip, cache=tmp_path / "features")


def test_features_that_a_copy_left_as_zeros_are_refused_and_not_used(clip, tmp_path):
    cache = tmp_path / "features"
    load_encoder(clip, cache=cache).texts(["left", "right"])
    [rows] = cache.rglob("*.rows")
    rows.write_bytes(rows.read_bytes()[: 4 * 32] + bytes(4 * 32))  # of 32 numbers each
    encoder = load_encoder(clip, cache=cache)
    with pytest.raises(RuntimeError, match=r"1 of 2 features in .*text are damaged: delete this"):
        encoder.texts(["left", "right"])


def test_only_the_lost_rows_of_a_cut_cache_are_encoded_again(clip, images, tmp_path):
    cache, encoded = tmp_path / "features", []
    texts = ["left", "right lung", "a nodule in the lung"]
    first = load_encoder(clip, cache=cache)
    rows, pictures = first.texts(texts), first.images(images)
    [file] = cache.rglob("text/*.rows")
    with open(file, "r+b") as opened:
        opened.truncate(4 * 32 * 2 + 7)
    again = load_encoder(clip, cache=cache)
    assert np.array_equal(again.images(images, on_encoded=encoded.append), pictures)
    assert again.texts(texts, on_encoded=encoded.append) == pytest.approx(rows, abs=1e-6)
    assert encoded == [1]


def test_a_full_disk_stops_the_encoding_with_a_way_out(clip, small_disk):
    (small_disk / "filler").write_bytes(bytes(1_040_000))
    texts = [f"lung {number}" for number in range(200)]
    with pytest.raises(RuntimeError, match=r"No space left .* is kept: free space"):
        load_encoder(clip, cache=small_disk / "features").texts(texts)
    (small_disk / "filler").unlink()
    assert load_encoder(clip, cache=small_disk / "features").texts(texts).shape == (200, 32)


@pytest.mark.skipif(
    importlib.util.find_spec("open_clip") is not None,
    reason="needs an environment without open_clip (pip uninstall open_clip_torch)",
)
@pytest.mark.parametrize(
    "name", ["hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "local-dir:/x"]
)
def test_biomedclip_without_its_extra_names_the_install(name):
    with pytest.raises(ImportError, match=r"pip install 'vital-workbench\[biomedclip\]'"):
        load_encoder(name)


def write_open_clip(folder: Path) -> Path:
    """A small random open_clip model with BiomedCLIP's towers: timm ViT and a BERT."""
    import open_clip
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig

    write_tokenizer(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    BertConfig(vocab_size=40, num_attention_heads=2, pad_token_id=0, **sizes).save_pretrained(
        folder
    )
    text = {
        "hf_model_name": str(folder),
        "hf_tokenizer_name": "somewhere/else",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_pooler",
        "context_length": CONTEXT,
    }
    vision = {"timm_model_name": "vit_tiny_patch16_224", "image_size": 224, "timm_proj": "linear"}
    model_cfg = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    own = {**text, "hf_model_pretrained": False}
    model = open_clip.CustomTextCLIP(**{**model_cfg, "text_cfg": own})
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    stated = {**text, "hf_model_name": "somewhere/else"}
    config = {"model_cfg": {**model_cfg, "text_cfg": stated}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def test_an_open_clip_folder_encodes_without_a_hub(tmp_path, images, monkeypatch):
    pytest.importorskip(
        "open_clip", reason="needs open_clip (pip install 'vital-workbench[biomedclip]')"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = load_encoder(str(write_open_clip(tmp_path)))
    assert encoder.fingerprint == load_encoder(f"local-dir:{tmp_path}").fingerprint
    assert encoder.images(images).shape == (4, 32)
    rows = encoder.texts(["a nodule", "normal", " ".join(["lung"] * 20)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert encoder.truncated == 1
    assert np.abs(rows[0] - rows[1]).max() > 1e-4


def test_importing_encoders_imports_nothing_heavy():
    heavy = "('torch', 'transformers', 'sklearn', 'scipy', 'open_clip')"
    code = f"import sys, vital_lib.encoders; assert not [m for m in {heavy} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_the_clinics_encoder_finds_captions_of_the_same_modality(tmp_path):
    from vital_lib.clinic.captions import write_caption
    from vital_lib.clinic.phantoms import draw, sample_truth
    from vital_lib.modalities import MODALITIES

    rng = np.random.default_rng(5)
    truths = [sample_truth(rng, MODALITIES[n % 5]) for n in range(40)]
    for n, truth in enumerate(truths):
        draw(truth, rng).save(tmp_path / f"{n}.png")
    encoder = load_encoder()
    rows = encoder.images([open_image(tmp_path / f"{n}.png") for n in range(40)])  # (40, d)
    texts = encoder.texts([write_caption(truth, rng) for truth in truths])  # (40, d)
    nearest = (rows @ texts.T).argmax(axis=1)
    told = [truths[n].modality == truths[m].modality for n, m in enumerate(nearest)]
    assert np.mean(told) > 0.9
    assert encoder.truncated == 0
