"""What tuning leaves: the model card, a merged model, and a check that reads the weights back."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from panel_rows import HOSTILE, candidate_row
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import WrongAdapter, load_model
from vital_lib.tables import Workspace, frame_of
from vital_lib.tuning import (
    DoesNotFit,
    NothingLearned,
    NothingToTune,
    check_reloaded,
    save_merged,
    write_card,
    write_results,
)

pytest_plugins = "tuning_rows"
LEARNED = {"epochs": 25, "learning_rate": 2e-2}
ONE = [("On which side?", "On the left.")]


@pytest.fixture(scope="module", params=["llava", "qwen"])
def base(request):
    return request.getfixturevalue(f"{request.param}_folder")


def _pixels(tmp_path, n=3):
    return [Image.open(tmp_path / f"F{k}.png").convert("RGB") for k in range(n)]


def _logits(vlm, images):
    """The logits at the end of one prompt for each image."""
    found = []
    for image in images:
        batch = vlm.tensors([vlm.chat([("On which side?", None)])], [image])
        with torch.inference_mode():
            found.append(vlm.model(**batch).logits[0, -1])
    return torch.stack(found)


# -- merged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", ["lora", "language"])
def test_a_merged_model_opens_alone_and_answers_as_the_adapter_on_its_base(
    train, base, figures, tmp_path
):
    tune_shortly(base, conversation_rows(), figures, tmp_path, train=train, epochs=2)
    merged = save_merged(base, tmp_path / "adapter", tmp_path / "out" / "merged")
    images = _pixels(tmp_path)
    expected, base_logits = (
        _logits(load_model(base, adapter), images) for adapter in (tmp_path / "adapter", None)
    )
    assert not torch.allclose(expected, base_logits, atol=1e-4)
    torch.testing.assert_close(_logits(load_model(merged), images), expected, rtol=0, atol=1e-5)
    alone, loaded = AutoModelForImageTextToText.from_pretrained(
        merged, dtype=torch.float32, output_loading_info=True
    )
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"]
    assert not any("lora" in name for name, _ in alone.named_parameters())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["merged"]
    assert "not for clinical use" in (merged / "README.md").read_text().lower()


def test_the_processor_of_a_merged_model_is_the_base_models(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    merged = save_merged(llava_folder, tmp_path / "adapter", tmp_path / "merged")
    one, other = (
        AutoProcessor.from_pretrained(folder, backend="pil")(
            text="<image>Where?", images=_pixels(tmp_path, 1), return_tensors="pt"
        )
        for folder in (llava_folder, merged)
    )
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_merged_model_is_a_base_model_to_tune_further(llava_folder, figures, tmp_path):
    captions = conversation_rows(8, [("Describe it.", "A plain image.")])
    how = {"train": "projector", "learning_rate": 1e-2}
    tune_shortly(llava_folder, captions, figures, tmp_path, folder="first", **how)
    merged = save_merged(llava_folder, tmp_path / "first", tmp_path / "merged")
    tune_shortly(merged, conversation_rows(), figures, tmp_path, folder="second", epochs=2)
    assert load_model(merged, adapter=tmp_path / "second")
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(llava_folder, adapter=tmp_path / "second")


def test_a_merged_model_replaces_no_files(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    with pytest.raises(FileExistsError, match="is not empty: give a new folder"):
        save_merged(llava_folder, tmp_path / "adapter", tmp_path)


def test_a_merged_model_that_does_not_fit_the_disk_is_refused(
    llava_folder, figures, tmp_path, monkeypatch
):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    monkeypatch.setattr("vital_lib.tuning.merging.free_disk", lambda folder: 1000)
    with pytest.raises(DoesNotFit, match="too little disk: the merged model needs .* MiB"):
        save_merged(llava_folder, tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_failed_merge_leaves_nothing(llava_folder, qwen_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    with pytest.raises(WrongAdapter):
        save_merged(qwen_folder, tmp_path / "adapter", tmp_path / "out" / "merged")
    assert not (tmp_path / "out").exists()


def test_plain_peft_opens_the_adapter_with_the_same_logits(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(8, ONE), figures, tmp_path, **LEARNED)
    images = _pixels(tmp_path)
    expected = _logits(load_model(llava_folder, tmp_path / "adapter"), images)
    vlm = load_model(llava_folder)
    vlm.model = PeftModel.from_pretrained(vlm.model, tmp_path / "adapter").eval()
    torch.testing.assert_close(_logits(vlm, images), expected, rtol=0, atol=1e-3)


# -- check after reload ----------------------------------------------------------------------------


def test_a_model_that_learned_answers_its_training_questions_differently(base, figures, tmp_path):
    conversations = conversation_rows(8, ONE)
    tune_shortly(base, conversations, figures, tmp_path, **LEARNED)
    found = check_reloaded(base, tmp_path / "adapter", conversations, figures, n=3)
    assert found["question"].tolist() == ["On which side?"] * 3
    assert found["response"].tolist() == found["tuned"].tolist() == ["On the left."] * 3
    assert (found["base"] != found["tuned"]).all()
    assert found.attrs["weights_changed"] > 10 and found.attrs["logits_changed"] > 1


def test_a_question_about_an_unknown_figure_is_refused(llava_folder, figures, tmp_path):
    with pytest.raises(ValueError, match="2 of 3 figures of the conversations are not given"):
        check_reloaded(llava_folder, tmp_path, conversation_rows(3), figures.head(1))


def test_conversations_that_were_left_out_are_not_asked_about(llava_folder, figures, tmp_path):
    """A missing image costs no tuned model its check."""
    rows = conversation_rows()
    rows["turns"] = rows["turns"].astype(object)
    rows.at[1, "turns"] = None
    rows.at[2, "turns"] = [{"instruction": "Why? " * 300, "response": "No."}]
    (tmp_path / "F0.png").unlink()
    tune_shortly(llava_folder, rows, figures, tmp_path)
    found = check_reloaded(llava_folder, tmp_path / "adapter", rows, figures, n=3)
    assert list(found["question"]) == [ROUNDS[0][0]] * 3
    with pytest.raises(NothingToTune, match=r"no conversation of 3 can be asked .*F0\.png"):
        check_reloaded(llava_folder, tmp_path / "adapter", rows.head(3), figures)


def test_weights_that_did_not_change_are_an_error(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train="language")
    start, file = load_model(llava_folder).model.state_dict(), tmp_path / "adapter"
    saved = load_file(file / "language.safetensors")
    kept = {name: start[name].clone() for name in saved}
    save_file(kept, file / "language.safetensors")
    with pytest.raises(NothingLearned, match="no weight differs for 4 training questions"):
        check_reloaded(llava_folder, file, conversation_rows(4), figures)


def test_an_adapter_of_zeros_is_an_error(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train_projector=False)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = {name: w * (".lora_A." in name) for name, w in load_file(file).items()}
    save_file(tensors, file)
    with pytest.raises(NothingLearned, match="Check learning_rate and the number of steps"):
        check_reloaded(llava_folder, file.parent, conversation_rows(4), figures)


def test_weights_that_move_too_little_for_any_answer_are_a_warning(
    llava_folder, figures, tmp_path, caplog
):
    tiny = {"learning_rate": 1e-6}
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train="language", **tiny)
    found = check_reloaded(llava_folder, tmp_path / "adapter", conversation_rows(4), figures)
    assert found["base"].equals(found["tuned"]) and found.attrs["weights_changed"] > 0
    assert "none of 4 answers to training questions differs" in caplog.text


# -- model card ------------------------------------------------------------------------------------


def _card(folder):
    """The card's metadata and text."""
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_every_tuned_model_has_a_card(llava_folder, figures, tmp_path):
    metrics = tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    head, text = _card(tmp_path / "adapter")
    assert head["library_name"] == "peft" and head["base_model"] == llava_folder.name
    assert "Not for clinical use" in text and str(tmp_path) not in text
    config = json.loads((tmp_path / "adapter" / "config.json").read_text())
    for stated in (
        config["base_fingerprint"][:12],
        config["conversations_fingerprint"],
        config["versions"]["peft"],
        f"| loss\\_last | {metrics['loss_last']:,.4g} |",
        "| lora\\_rank | 8 |",
    ):
        assert stated in text
    assert "simulated" not in text and "stopped" not in text


def test_the_card_of_a_simulated_base_or_a_stopped_run_says_so(llava_folder, figures, tmp_path):
    tune_shortly(
        llava_folder, conversation_rows(), figures, tmp_path, on_step=lambda event: event.step < 1
    )
    file = tmp_path / "adapter" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"base_model": "clinic"}))
    text = write_card(file.parent).read_text()
    assert "base model is **simulated**" in text
    assert "training was stopped before the last step" in text


def test_a_card_needs_a_tuned_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no tuned model in .*08_tune_model"):
        write_card(tmp_path)


@pytest.fixture
def run_of(tmp_path, figures):
    """A run with four figures of two sources, their candidates, votes and metrics."""
    workspace = Workspace(tmp_path / "run")
    rows = []
    for k, row in enumerate(figures.head(4).itertuples()):
        real = {"source": "PMC", "licence": "CC BY 4.0", "credit": HOSTILE}
        drawn = {"source": "clinic", "licence": None, "credit": None}
        plain = {"figure_id": row.figure_id, "image": row.image, "caption": "A caption."}
        plain |= {"mentions": [], "modalities": [], "group_id": f"g{k}", "split": "train"}
        plain |= {"sha256": "0", "phash": "0", "cleared": True, "cleared_reason": "checked"}
        rows.append(plain | (drawn if k else real))
    workspace.write("figures", frame_of("figures", rows))
    made = [candidate_row(f"F{k}", "final", "clinician", 1) for k in range(4)]
    made = [{**row, "group_id": "g", "split": "train", "seed": 0, "reply_id": "r"} for row in made]
    workspace.write("candidates", frame_of("candidates", made))
    return workspace


def test_the_card_of_a_run_states_sources_prompts_annotators_and_metrics(
    run_of, llava_folder, figures, tmp_path
):
    conversations = conversation_rows(4, ONE)
    conversations["conversation_id"] = [f"F{k}-final-clinician" for k in range(4)]
    folder = run_of.model("selected")
    tune_shortly(llava_folder, conversations, figures, folder.parent, folder="selected")
    vote = {"item_id": "F1-draft-none-r1", "left_id": "a", "right_id": "b", "drawn_by": "random"}
    vote |= {"left_accepted": True, "right_accepted": False, "choice": "left"}
    votes = [vote | {"annotator": who} for who in ("Ada", "strict (simulated)")]
    run_of.write("preferences", frame_of("preferences", votes))
    metrics = {"preferences.alpha": 0.61, "preferences.alpha_low": 0.5}
    metrics |= {"preferences.alpha_high": 0.7, "evaluation.open_recall_selected": 0.4}
    run_of.record(metrics, written_by="09_evaluate_model")

    text = write_card(folder, run_of, conversations).read_text()
    assert "| 3 | clinic (simulated) | not stated | not stated |" in text
    assert r'| 1 | PMC | CC BY 4.0 | &lt;img src=x onerror="alert(1)"&gt; $x^2$ &amp;' in text
    assert "<img" not in text and "4 of 4 figures are in the run" in text
    assert "| 4 | clinic (simulated) | 0123456789 | clinician |" in text
    assert "2 annotators, 1 of them simulated" in text and "Krippendorff" in text
    assert r"| 0.610 | \[0.500, 0.700\] |" in text
    assert "## Results" in text and "open recall" in text.lower()

    rows = run_of.read("figures")
    run_of.write("figures", rows.assign(cleared=rows["source"].ne("PMC")))
    text = write_card(folder, run_of, conversations).read_text()
    assert "PMC" not in text and "onerror" not in text  # neither its source nor its credit
    assert "**1 of 4 figures are not cleared to leave the workbench**" in text
    assert "3 of 3 figures are in the run" in text


def test_a_card_without_an_evaluation_says_so(run_of, llava_folder, figures, tmp_path):
    folder = run_of.model("selected")
    tune_shortly(llava_folder, conversation_rows(4), figures, folder.parent, folder="selected")
    text = write_card(folder, run_of, conversation_rows(4)).read_text()
    assert "Not evaluated when this card was written." in text


def test_the_results_of_an_evaluation_replace_those_on_the_card(
    run_of, llava_folder, figures, tmp_path
):
    conversations, folder = conversation_rows(4), run_of.model("selected")
    tune_shortly(llava_folder, conversations, figures, folder.parent, folder="selected")
    run_of.keep_origin("selected", written_by="08_tune_model")
    card, print_ = write_card(folder, run_of, conversations), run_of.fingerprint("models/selected")
    written = card.read_text()
    for percent in (40, 55):
        metrics = {"evaluation.open_recall_selected": percent / 100}
        run_of.record(metrics, written_by="09_evaluate_model", made_from=["models/selected"])
        assert write_results(run_of, "selected") == card
        own, _, results = card.read_text().partition("\n## Results\n")
        assert own == written.partition("\n## Results\n")[0] and "## Data" in own
        assert f"{percent}.0 %" in results and "Not evaluated" not in results
        assert results.count("Open recall") == 1
    assert run_of.fingerprint("models/selected") == print_
    card.unlink()
    assert "55.0 %" in write_results(run_of, "selected").read_text()


def test_a_tuning_that_goes_on_keeps_a_card_with_results(run_of, llava_folder, figures):
    conversations, folder = conversation_rows(4), run_of.model("selected")
    tune_shortly(llava_folder, conversations, figures, folder.parent, folder="selected")
    run_of.record({"evaluation.open_recall_selected": 0.4}, written_by="09_evaluate_model")
    write_results(run_of, "selected")
    weights = run_of.fingerprint("models/selected")
    tune_shortly(llava_folder, conversations, figures, folder.parent, folder="selected")
    assert run_of.fingerprint("models/selected") == weights
    assert "40.0 %" in (folder / "README.md").read_text()


def test_a_model_that_was_not_tuned_has_no_results(run_of):
    with pytest.raises(FileNotFoundError, match="no tuned model in .*08_tune_model"):
        write_results(run_of, "selected")


def test_a_card_has_no_metrics_of_an_earlier_model(run_of, llava_folder, figures, tmp_path):
    folder, name = run_of.model("selected"), "models/selected"
    for rate in (1e-3, 1e-2):
        tune_shortly(
            llava_folder, conversation_rows(4), figures, folder.parent, folder="selected",
            learning_rate=rate,
        )  # fmt: skip
        if rate == 1e-3:
            run_of.keep_origin("selected", written_by="08_tune_model")
            metrics = {"evaluation.open_recall_selected": 0.4}
            run_of.record(metrics, written_by="09_evaluate_model", made_from=[name])
            assert "40.0 %" in write_card(folder, run_of, conversation_rows(4)).read_text()
    text = write_card(folder, run_of, conversation_rows(4)).read_text()
    assert "Not evaluated when this card was written." in text and "40.0 %" not in text


def test_a_card_is_replaced_with_its_model(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    (tmp_path / "adapter" / "README.md").write_text("old")
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, resume=False)
    assert "## Training" in (tmp_path / "adapter" / "README.md").read_text()
