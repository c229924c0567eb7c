"""The map of demonstrations by its methods, without a browser: regions, picks, the prompt."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from vital_lib.client import ChatClient
from vital_lib.demonstrations import import_demonstrations
from vital_lib.generation import generation_prompts
from vital_lib.panels.cluster_map import ClusterMap
from vital_lib.plots import MODALITY_COLOURS
from vital_lib.tables import TABLES, Workspace

HOSTILE = '<img src=x onerror="alert(1)"> $x^2$'
MODALITIES = (["mri"], ["ct_scan"], ["mri", "ct_scan"], [])


def make_figures(n: int = 12) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "figure_id": [f"f{i}" for i in range(n)],
            "image": [f"f{i}.png" for i in range(n)],
            "caption": [f"caption {i}" for i in range(n)],
            "mentions": [[] for _ in range(n)],
            "modalities": [MODALITIES[i % 4] for i in range(n)],
            "split": "train",
        }
    )


def make_pool(figure_ids, figures: pd.DataFrame, origin: str = "this run") -> pd.DataFrame:
    known = figures.set_index("figure_id")
    rows = [
        {
            "demonstration_id": f"{name}-accepted",
            "figure_id": name,
            **known.loc[name, ["caption", "mentions", "modalities"]].to_dict(),
            "turns": [{"instruction": f"What is {name}?", "response": f"{name} {HOSTILE}"}],
            "annotators": ["ann"],
            "origin": origin,
        }
        for name in figure_ids
    ]
    return pd.DataFrame(rows, columns=TABLES["demonstrations"].columns)


@pytest.fixture
def figures() -> pd.DataFrame:
    return make_figures()


@pytest.fixture
def pool(figures, tmp_path) -> pd.DataFrame:
    """Eight conversations on the map, and a published one that has no place on it."""
    record = {
        "pair_id": "elsewhere_F1",
        "fig_caption": "A caption.",
        "in_text_mention": [],
        "domain": {"gross": True},
        "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}],
    }
    (tmp_path / "published.jsonl").write_text(json.dumps(record))
    published = import_demonstrations(tmp_path / "published.jsonl", figures)
    own = make_pool([f"f{i}" for i in range(8)], figures)
    return pd.concat([own, published], ignore_index=True)


def make_map(figures, pool, **more) -> ClusterMap:
    features = np.random.default_rng(0).normal(size=(len(figures), 5))
    return ClusterMap(features, figures, pool, lambda name: b"", **more)


@pytest.fixture
def chooser(figures, pool) -> ClusterMap:
    return make_map(figures, pool)


def ids(*numbers: int) -> list[str]:
    return [f"f{i}-accepted" for i in numbers]


def shown(chooser: ClusterMap) -> dict:
    return chooser.conversations.widget.state


def press(chooser: ClusterMap, name: str, *args) -> None:
    """What the browser sends for a button pressed."""
    part = chooser.conversations
    part._heard(part.widget, {"call": name, "args": list(args), "item": None}, [])


def lasso(chooser: ClusterMap, *figure_ids: str) -> None:
    """What the browser's map sends once a region is drawn: the dots' places."""
    places = [chooser._places[name] for name in figure_ids]
    chooser._scatter.widget.selection = np.array(places, dtype="uint32")


# Regions


def test_at_first_the_whole_map_is_listed_and_nothing_picked(chooser):
    assert chooser.listed() == ids(*range(8))
    assert chooser.picked().empty
    assert list(chooser.picked()) == list(TABLES["demonstrations"].columns)


def test_a_lasso_lists_the_conversations_of_its_figures(chooser):
    lasso(chooser, "f2", "f9", "f1")
    assert chooser.listed() == ids(1, 2)
    assert (shown(chooser)["figures"], shown(chooser)["conversations"]) == (3, 2)
    assert [row["figure"] for row in shown(chooser)["shown"]] == ["f1", "f2"]


def test_a_lasso_round_nothing_gives_back_the_whole_map(chooser):
    lasso(chooser, "f2")
    lasso(chooser)
    assert chooser.listed() == ids(*range(8))


def test_a_selection_by_name_is_marked_on_the_map(chooser):
    chooser.select(["f3", "f10"])
    marked = chooser._dots["figure_id"][chooser._scatter.widget.selection]
    assert sorted(marked) == ["f10", "f3"]
    assert chooser.listed() == ids(3)


def test_a_figure_that_is_not_on_the_map_is_named(chooser):
    with pytest.raises(ValueError, match="1 figures are not on the map, such as 'f99'"):
        chooser.select(["f1", "f99"])


def test_a_modality_makes_its_figures_the_region(chooser):
    press(chooser, "select_modality", "mri")
    assert chooser.listed() == ids(0, 2, 4, 6)
    press(chooser, "select_modality", "not_stated")
    assert chooser.listed() == ids(3, 7)
    press(chooser, "select_modality", None)
    assert chooser.listed() == ids(*range(8))
    with pytest.raises(ValueError, match="'ultrasound'"):
        chooser.select_modality("ultrasound")


def test_an_imported_demonstration_is_listed_as_not_on_the_map_and_can_be_picked(chooser):
    press(chooser, "show_list", "elsewhere")
    assert chooser.listed() == ["elsewhere_F1-published"]
    assert shown(chooser)["shown"][0]["figure"] == ""
    press(chooser, "pick", "elsewhere_F1-published")
    assert chooser.picked()["origin"].tolist() == ["published.jsonl"]
    assert chooser.picked()["figure_id"].isna().all()


def test_a_figure_outside_the_map_counts_as_not_on_it(figures, pool):
    chooser = make_map(figures.tail(6), pool)
    assert chooser.listed() == ids(6, 7)
    assert shown(chooser)["elsewhere"] == 7


def test_an_unknown_list_shows_the_lists(chooser):
    with pytest.raises(ValueError, match="'all'.*region, elsewhere, picked"):
        chooser.show_list("all")


def test_a_long_region_is_shown_in_pages(chooser):
    assert (shown(chooser)["of"], len(shown(chooser)["shown"])) == (2, 6)
    press(chooser, "next")
    assert [row["id"] for row in shown(chooser)["shown"]] == ids(6, 7)
    press(chooser, "pick", ids(7)[0])
    assert shown(chooser)["n"] == 2  # a pick turns no page
    lasso(chooser, "f1")
    assert (shown(chooser)["n"], shown(chooser)["of"]) == (1, 1)


# Picks


def test_picks_come_back_in_the_pools_order_and_can_be_saved(chooser, pool, tmp_path):
    for name in (*ids(5, 1), "elsewhere_F1-published"):
        press(chooser, "pick", name)
    picked = chooser.picked()
    expected = pool.iloc[[1, 5, 8]].reset_index(drop=True)
    pd.testing.assert_frame_equal(picked, expected)
    assert Workspace(tmp_path / "run").write("demonstrations", picked) == 3


def test_a_pick_pressed_twice_counts_once_and_is_taken_back_at_once(chooser):
    chooser.pick(ids(2)[0])
    chooser.pick(ids(2)[0])
    assert len(chooser.picked()) == 1
    chooser.unpick(ids(2)[0])
    chooser.unpick(ids(2)[0])
    assert chooser.picked().empty


def test_a_whole_region_is_picked_and_unpicked_on_all_its_pages(chooser):
    chooser.pick(ids(0)[0])
    chooser.select([f"f{i}" for i in range(1, 8)])
    press(chooser, "pick_region")
    assert len(chooser.picked()) == 8
    press(chooser, "unpick_region")
    assert chooser.picked()["demonstration_id"].tolist() == ids(0)


def test_clear_takes_back_every_pick_also_those_that_are_not_listed(chooser):
    chooser.pick_region()
    chooser.select(["f1"])
    press(chooser, "clear")
    assert chooser.picked().empty


def test_the_list_of_picks_shrinks_as_they_are_taken_back(chooser):
    chooser.select(["f1", "f2"])
    chooser.pick_region()
    press(chooser, "show_list", "picked")
    press(chooser, "unpick", ids(1)[0])
    assert [row["id"] for row in shown(chooser)["shown"]] == ids(2)


def test_an_unknown_demonstration_is_named_and_changes_nothing(chooser):
    with pytest.raises(ValueError, match="'f9-accepted' among 9 in the pool"):
        chooser.pick("f9-accepted")
    assert chooser.picked().empty


def test_a_starting_pool_is_picked_from_the_beginning(figures, pool):
    chooser = make_map(figures, pool, picks=["elsewhere_F1-published"])
    assert chooser.picked()["demonstration_id"].tolist() == ["elsewhere_F1-published"]
    with pytest.raises(ValueError, match="'nobody'"):
        make_map(figures, pool, picks=["nobody"])


def test_picks_are_counted_under_each_of_their_modalities(chooser):
    chooser.pick(ids(2)[0])  # an MRI and a CT in one
    chooser.pick("elsewhere_F1-published")
    counts = {one["id"]: (one["picked"], one["of"]) for one in shown(chooser)["modalities"]}
    assert counts == {"ct_scan": (1, 4), "mri": (1, 4), "gross": (1, 1), "not_stated": (0, 2)}


def test_a_pick_is_marked_on_the_map_and_its_dot_stays_where_it_was(chooser):
    points = chooser._scatter.widget.points
    chooser.pick(ids(3)[0])
    moved = chooser._scatter.widget.points
    [place] = np.flatnonzero((points != moved).any(axis=1))
    assert chooser._dots["figure_id"][place] == "f3"
    assert (points[:, :2] == moved[:, :2]).all()


def test_dots_wear_their_modalitys_colour_and_their_states_size_whatever_else_there_is():
    figures = make_figures(4)
    chooser = make_map(figures.iloc[[0, 1]], make_pool(["f0"], figures))

    def looks() -> list[tuple[str, float]]:
        widget, dots = chooser._scatter.widget, chooser._dots.set_index("figure_id").index
        codes = widget.points[[dots.get_loc("f0"), dots.get_loc("f1")], 2:].astype(int)
        return [(to_hex(widget.color[colour]), widget.size[size]) for colour, size in codes]

    mri, ct = (MODALITY_COLOURS[name].lower() for name in ("mri", "ct_scan"))
    assert looks() == [(mri, 10), (ct, 4)]
    chooser.pick("f0-accepted")
    assert looks() == [(mri, 18), (ct, 4)]
    chooser.clear()
    assert looks() == [(mri, 10), (ct, 4)]


# The prompt


@pytest.fixture
def asked(figures, pool, tmp_path) -> ClusterMap:
    """A map whose prompts are those that generation would send about the last figure."""
    figures = figures.assign(image=[str(tmp_path / name) for name in figures["image"]])
    for name in figures["image"]:
        Image.new("RGB", (30, 20), "grey").save(name)
    prompts_of = partial(
        generation_prompts,
        figures.tail(1),
        image_of=figures.set_index("figure_id")["image"].to_dict(),
    )
    estimate = ChatClient("clinic", ledger=tmp_path / "ledger.sqlite").estimate
    return make_map(figures, pool, prompts_of=prompts_of, estimate=estimate)


def test_the_prompt_shown_is_the_one_that_generation_sends_with_the_picks(asked):
    assert len(asked._prompt.messages) == 2  # the policy, and the figure asked about
    asked.pick(ids(0)[0])
    asked.pick(ids(1)[0])
    [expected] = asked._prompts_of(asked.picked())
    assert len(expected.messages) == 6  # two demonstrations more
    assert [m["role"] for m in asked._prompt.messages] == [m["role"] for m in expected.messages]
    assert asked._prompt.messages[2]["content"] == expected.messages[2]["content"]


def test_tokens_are_those_of_the_models_own_estimate_and_follow_the_picks(asked):
    before = shown(asked)["tokens"]
    asked.pick(ids(0)[0])
    after = shown(asked)["tokens"]
    assert after == asked._estimate([asked._prompt])["tokens_in"] > before + 85


def test_the_preview_follows_the_picks_and_leaves_no_widget_behind(asked):
    assert asked._preview.children == ()
    press(asked, "preview", True)
    [first] = asked._preview.children
    assert first.state["tokens"] == shown(asked)["tokens"]
    press(asked, "pick", ids(0)[0])
    [second] = asked._preview.children
    assert second.state["images"] == first.state["images"] + 1
    assert first.comm is None and second.comm is not None
    press(asked, "preview", False)
    assert asked._preview.children == () and second.comm is None


def test_without_prompts_nothing_is_previewed_or_counted(chooser):
    chooser.preview()
    assert chooser._preview.children == ()
    assert (shown(chooser)["tokens"], shown(chooser)["prompt"]) == (None, False)


def test_a_prompt_that_cannot_be_made_loses_no_pick(figures, pool):
    def prompts_of(picks):
        if len(picks):
            raise OSError("the disk is gone")
        return []

    chooser = make_map(figures, pool, prompts_of=prompts_of)
    with pytest.raises(OSError, match="the disk is gone"):
        press(chooser, "pick", ids(1)[0])
    assert chooser.picked()["demonstration_id"].tolist() == ids(1)
    assert shown(chooser)["picks"] == 1


# The panel


def test_features_of_other_figures_and_a_doubled_demonstration_are_refused(figures, pool):
    with pytest.raises(ValueError, match="3 rows of features for 12 figures"):
        ClusterMap(np.zeros((3, 2)), figures, pool, lambda name: b"")
    with pytest.raises(ValueError, match="1 of 10 demonstrations .* twice, .*'f0-accepted'"):
        make_map(figures, pd.concat([pool, pool.head(1)]))
    twice = figures.assign(figure_id="f0")
    with pytest.raises(ValueError, match="1 of .* figures occur twice, first figure_id 'f0'"):
        ClusterMap(np.zeros((12, 3)), twice, pool, lambda name: b"")


def test_a_map_without_figures_is_refused_in_words(figures, pool):
    for features in (np.zeros((0, 2)), np.zeros((0, 5)), []):
        with pytest.raises(ValueError, match="a map of 0 figures: give at least one figure"):
            ClusterMap(features, figures.iloc[:0], pool, lambda name: None)


def test_text_is_sent_as_it_is_in_plain_json_and_never_made_into_markup(chooser):
    state = shown(chooser)
    assert state["shown"][0]["turns"] == [["What is f0?", f"f0 {HOSTILE}"]]
    assert len(json.dumps(state, allow_nan=False)) < 10_000
    script = str(chooser.conversations.widget._esm)
    assert not [way for way in ("innerHTML", "outerHTML", "insertAdjacent") if way in script]


def test_every_button_calls_a_public_method_of_the_map(chooser):
    own = set(chooser.conversations._actions) - {"next", "previous", "jump"}
    assert {"pick", "show_list"} <= own
    for name in own:
        assert getattr(chooser.conversations, name) == getattr(chooser, name)


def test_an_empty_pool_and_a_single_figure_can_be_shown(figures, pool):
    assert make_map(figures, pool.head(0)).listed() == []
    one = ClusterMap(np.ones((1, 2)), figures.head(1), pool.head(1), lambda name: b"")
    assert len(one._scatter.widget.points) == 1
    assert np.isfinite(one._scatter.widget.points).all()
    assert one.listed() == ids(0)


def test_importing_the_panel_draws_in_no_plotting():
    found = "[m for m in ('jscatter', 'matplotlib.pyplot', 'torch') if m in sys.modules]"
    code = f"import sys, vital_lib.panels.cluster_map; assert not {found}, {found}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
