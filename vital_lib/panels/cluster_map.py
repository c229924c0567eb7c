"""Select demonstrations on a map of figures: draw a region and pick from its conversations.

jupyter-scatter draws the map. The region's conversations are listed next to it, and a preview of
the prompt with the picks can be shown below. This panel encodes nothing, reads no file and calls no
model: the caller passes features, images, prompts and token counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd

from vital_lib.modalities import MODALITY_LABELS, modality_of
from vital_lib.panels._panel import Paged, heard_where_addressed, plain, script_beside
from vital_lib.panels._static import Form, StaticBox, joined, paragraph, plot, side_by_side, table
from vital_lib.panels.prompt_viewer import PromptViewer
from vital_lib.plots import MODALITY_COLOURS, conversation_map, pca_2d
from vital_lib.prompts import Prompt
from vital_lib.tables import refuse_twice

LISTS = ("region", "elsewhere", "picked")
"""The lists next to the map: conversations in the region, those not on the map, and the picks."""

_PAGE = 6  # conversations shown at once
_SAVED = 3  # conversations in the static form
_HEIGHT = 620  # pixels of the map
_MARGIN = 0.27  # of the map's width, added on each side because the map is taller than wide
_DOTS = {"figure": 4, "conversation": 10, "picked": 18}  # sizes in pixels


class ClusterMap:
    """A map of figures, the conversations of the selected region, and the picks.

    Args:
        features: (n figures, d), rows as in `figures` (`figures.joined_features`); drawn on
            their first two principal components like `plots.cluster_map`, or unchanged if d is 2.
        figures: columns figure_id, modalities.
        demonstrations: table `demonstrations`, the pool to pick from: accepted and imported
            conversations; those without a figure on the map are listed separately.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        prompts_of: frame of picks -> the prompts that would be sent with them; the first is shown
            (`generation.generation_prompts` with all arguments bound except the second).
        estimate: prompts -> {tokens_in: ...} (`ChatClient.estimate`).
        picks: demonstration_ids picked at the start.

    Raises:
        ValueError: `features` and `figures` differ in length, there is no figure, an id is
            duplicated, or a pick is not in the pool.
    """

    def __init__(
        self,
        features: np.ndarray,
        figures: pd.DataFrame,
        demonstrations: pd.DataFrame,
        image_of: Callable[[str], Any],
        *,
        prompts_of: Callable[[pd.DataFrame], Iterable[Prompt]] | None = None,
        estimate: Callable[[list[Prompt]], Mapping[str, Any]] | None = None,
        picks: Iterable[str] = (),
    ) -> None:
        if len(features) != len(figures):
            raise ValueError(f"{len(features)} rows of features for {len(figures)} figures")
        if not len(figures):
            raise ValueError("a map of 0 figures: give at least one figure")
        refuse_twice(demonstrations["demonstration_id"], "demonstrations")
        refuse_twice(figures["figure_id"], "figures")
        self._pool = demonstrations.reset_index(drop=True)
        self._ids = list(self._pool["demonstration_id"])
        self._figure_of = [plain(name) for name in self._pool["figure_id"]]
        self._flags = [_flags(names) for names in self._pool["modalities"]]
        self._prompts_of, self._estimate = prompts_of, estimate
        self._picks: set[str] = set()
        self._region: set[str] | None = None  # figure_ids; None for the whole map
        self._listed, self._prompt, self._tokens, self._shown = "region", None, None, False
        self._dots = self._on_map(np.asarray(features, dtype=float), figures)
        self._places = {name: place for place, name in enumerate(self._dots["figure_id"])}
        self._scatter = self._drawn()
        heard_where_addressed(self._scatter.widget)
        self.conversations = _Conversations(self, image_of)
        self._lock = self.conversations._lock  # widget messages may arrive on another thread
        self._preview = ipywidgets.VBox()
        self.widget = self._laid_out()
        self._scatter.widget.observe(self._lassoed, "selection")
        self._change(set(self._known(picks)))

    def picked(self) -> pd.DataFrame:
        """Return the picks in pool order, with the columns of table `demonstrations`."""
        return self._pool[self._pool["demonstration_id"].isin(self._picks)].reset_index(drop=True)

    def listed(self) -> list[str]:
        """Return the demonstration_ids listed next to the map, over all pages."""
        return [name for row, name in enumerate(self._ids) if self._is_listed(row)]

    def select(self, figure_ids: Iterable[str]) -> None:
        """Make these figures the region and list their conversations; no figure: the whole map.

        Raises:
            ValueError: a figure is not on the map.
        """
        wanted = set(figure_ids)
        if unknown := sorted(wanted - self._places.keys()):
            raise ValueError(f"{len(unknown)} figures are not on the map, such as {unknown[0]!r}")
        with self._lock:
            self._scatter.selection(sorted(self._places[name] for name in wanted))
            self._take_region(wanted)

    def select_modality(self, modality: str | None) -> None:
        """Make the figures of `modality` the region ("not_stated": unflagged; None: whole map).

        Raises:
            ValueError: an unknown modality.
        """
        if modality not in (None, *MODALITY_LABELS):
            raise ValueError(f"modality {modality!r}: give one of {', '.join(MODALITY_LABELS)}")
        kept = self._dots["flags"].map(lambda flags: modality in flags)
        self.select(self._dots["figure_id"][kept] if modality else ())

    def show_list(self, which: str) -> None:
        """List the conversations of `which`, a name in `LISTS`.

        Raises:
            ValueError: `which` is not in `LISTS`.
        """
        if which not in LISTS:
            raise ValueError(f"{which!r} cannot be listed: give one of {', '.join(LISTS)}")
        with self._lock:
            self._listed = which
            self.conversations.show(self._pages(), 1)

    def pick(self, demonstration_id: str) -> None:
        """Add a conversation to the picks; raise ValueError if it is not in the pool."""
        self._change(self._picks | set(self._known([demonstration_id])))

    def unpick(self, demonstration_id: str) -> None:
        """Remove a conversation from the picks; raise ValueError if it is not in the pool."""
        self._change(self._picks - set(self._known([demonstration_id])))

    def pick_region(self) -> None:
        """Pick every listed conversation, on all pages."""
        self._change(self._picks | set(self.listed()))

    def unpick_region(self) -> None:
        """Unpick every listed conversation, on all pages."""
        self._change(self._picks - set(self.listed()))

    def clear(self) -> None:
        """Remove every pick."""
        self._change(set())

    def preview(self, shown: bool = True) -> None:
        """Show the prompt with the picks below the map and keep it up to date, or hide it."""
        with self._lock:
            self._shown = bool(shown)
            self._show_prompt()
            self.conversations._show()

    def _known(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        if unknown := [name for name in names if name not in self._ids]:
            raise ValueError(f"no demonstration {unknown[0]!r} among {len(self._ids)} in the pool")
        return names

    def _change(self, picks: set[str]) -> None:
        with self._lock:
            self._picks, self._prompt, self._tokens = picks, None, None
            self._dots["state"] = self._states()
            self._scatter.data(self._dots).size(by="state", map=self._used("state", _DOTS))
            if self._prompts_of is not None:
                self._prompt = next(iter(self._prompts_of(self.picked())), None)
                if self._estimate is not None and self._prompt is not None:
                    self._tokens = int(self._estimate([self._prompt])["tokens_in"])
            self._show_prompt()
            self.conversations.show(self._pages())

    def _show_prompt(self) -> None:
        before = self._preview.children
        viewers = []
        if self._shown and self._prompt:
            viewers = [PromptViewer(self._prompt, tokens=self._tokens)]
        self._preview.children = [viewer.widget for viewer in viewers]
        for widget in before:
            widget.close()

    def _lassoed(self, change: Mapping[str, Any]) -> None:
        names = self._dots["figure_id"]
        with self._lock:
            self._take_region({names[place] for place in self._scatter.selection()})

    def _take_region(self, figure_ids: set[str]) -> None:
        self._region, self._listed = figure_ids or None, "region"
        self.conversations.show(self._pages(), 1)

    def _is_listed(self, row: int) -> bool:
        if self._listed == "picked":
            return self._ids[row] in self._picks
        figure_id = self._figure_of[row]
        if self._listed == "elsewhere":
            return figure_id not in self._places
        return figure_id in (self._places if self._region is None else self._region)

    def _pages(self) -> list[list[int]]:
        rows = [row for row in range(len(self._ids)) if self._is_listed(row)]
        return [rows[start : start + _PAGE] for start in range(0, len(rows), _PAGE)]

    def _on_map(self, features: np.ndarray, figures: pd.DataFrame) -> pd.DataFrame:
        """Return the dots, those with a conversation last so that they are drawn on top."""
        points, _ = pca_2d(features)
        points = points[:, :2] / max(float(np.abs(points).max(initial=0)), 1e-12)
        dots = pd.DataFrame(points.round(6), columns=["x", "y"])  # noise rounds to 0
        dots["figure_id"] = figures["figure_id"].to_numpy()
        dots["flags"] = [_flags(names) for names in figures["modalities"]]
        modality = [modality_of(names) for names in figures["modalities"]]
        dots["modality"] = pd.Categorical(modality, list(MODALITY_LABELS))
        last = np.argsort(dots["figure_id"].isin(self._figure_of), kind="stable")
        dots = dots.iloc[last].reset_index(drop=True)
        return dots.assign(state=pd.Categorical(["figure"] * len(dots), list(_DOTS)))

    def _states(self) -> pd.Categorical:
        """Return the state of each dot, a key of _DOTS."""
        state = dict.fromkeys(self._places, "figure")
        for name, figure_id in zip(self._ids, self._figure_of, strict=True):
            if figure_id in state and state[figure_id] != "picked":
                state[figure_id] = "picked" if name in self._picks else "conversation"
        return pd.Categorical(list(state.values()), list(_DOTS))

    def _used(self, column: str, looks: Mapping[str, Any]) -> list[Any]:
        """Return the colours or sizes of the categories present, as jupyter-scatter expects."""
        found = set(self._dots[column])
        return [look for name, look in looks.items() if name in found]

    def _drawn(self) -> Any:
        import jscatter  # imports pyplot, so import it only when a map is drawn

        low, high = self._dots["x"].agg(["min", "max"])
        margin = _MARGIN * max(high - low, 1e-6)
        scatter = jscatter.Scatter(
            *("x", "y", self._dots),
            x_scale=[low - margin, high + margin],
            color_by="modality",
            color_map=self._used("modality", MODALITY_COLOURS),
            size_by="state",
            size_map=self._used("state", _DOTS),
            opacity=1,  # or the colours pale on a light ground
            axes=False,
            camera_distance=1.05,
            mouse_mode="lasso",
            height=_HEIGHT,
        )
        scatter.background("#00000000")  # transparent, to fit both themes
        scatter.widget.toolbar_buttons = ["pan_zoom", "lasso", "reset"]
        return scatter

    def _form(self) -> Form:
        """Return the static form: the map as a picture, picks by modality, some conversations."""
        with self._lock:
            state, listed = self._summary(), self.listed()
            rows = [self._conversation(self._ids.index(name)) for name in listed[:_SAVED]]
        picks = f"{state['picks']:,} of {len(self._ids):,} conversations are picked"
        summary = f"Map of {len(self._places):,} figures, to pick demonstrations on: {picks}"
        counts = [(own["name"], f"{own['picked']} of {own['of']}") for own in state["modalities"]]
        drawn = plot(conversation_map(self._dots), "figures on two components, by modality")
        parts = [side_by_side(drawn, table(["modality", "picked"], counts))]
        for row in rows:
            turns = [paragraph(f"{question} ", answer) for question, answer in row["turns"]]
            parts.append(side_by_side(self.conversations._thumbnail(row["figure"]), joined(*turns)))
        return Form(summary, parts)

    def _laid_out(self) -> ipywidgets.VBox:
        scatter, conversations = self._scatter.widget, self.conversations.widget
        scatter.layout = ipywidgets.Layout(flex="0 0 42%", min_width="0")
        conversations.layout = ipywidgets.Layout(flex="1 1 0", min_width="0")
        return StaticBox([ipywidgets.HBox([scatter, conversations]), self._preview], self._form)

    def _summary(self) -> dict[str, Any]:
        """Return the state of the part next to the map, without the conversations."""
        listed = self.listed()
        return {
            "listed": self._listed,
            "conversations": len(listed),
            "unpicked": len(set(listed) - self._picks),
            "figures": len(self._places) if self._region is None else len(self._region),
            "whole": self._region is None,
            "elsewhere": sum(name not in self._places for name in self._figure_of),
            "picks": len(self._picks),
            "modalities": self._counts(),
            "tokens": self._tokens,
            "prompt": self._prompt is not None,
            "previewed": self._shown,
        }

    def _counts(self) -> list[dict[str, Any]]:
        """Return picked and pooled conversations per modality, each counted under all its flags."""
        pairs = list(zip(self._ids, self._flags, strict=True))
        pooled = Counter(flag for _, flags in pairs for flag in flags)
        picked = Counter(flag for name, flags in pairs if name in self._picks for flag in flags)
        return [
            {**_modality(name), "id": name, "picked": picked[name], "of": pooled[name]}
            for name in MODALITY_LABELS
            if pooled[name]
        ]

    def _conversation(self, row: int) -> dict[str, Any]:
        turns, origin = self._pool.loc[row, ["turns", "origin"]]
        return {
            "id": self._ids[row],
            "figure": self._figure_of[row],
            "modalities": [_modality(name) for name in self._flags[row]],
            "turns": [[plain(turn["instruction"]), plain(turn["response"])] for turn in turns],
            "origin": plain(origin),
            "picked": self._ids[row] in self._picks,
        }


class _Conversations(Paged):
    """The part next to the map; its buttons call the map's methods of the same names."""

    _script = script_beside(__file__)
    _buttons = (
        *("select_modality", "show_list", "pick", "unpick", "pick_region", "unpick_region"),
        *("clear", "preview"),
    )
    _actions = (*Paged._actions, *_buttons)

    def __init__(self, chooser: ClusterMap, image_of: Callable[[str], Any]) -> None:
        super().__init__(image_of)
        self._chooser = chooser
        for name in self._buttons:
            setattr(self, name, getattr(chooser, name))

    def show(self, pages: list[list[int]], number: int | None = None) -> None:
        """Show page `number` of `pages`; by default, keep the current page number."""
        self._items = pages
        self.jump(self._place + 1 if number is None else number)

    def _static(self, state: dict[str, Any]) -> Form:
        return self._chooser._form()

    def _state(self) -> dict[str, Any]:
        rows = self._items[self._place] if self._items else []
        shown = [self._chooser._conversation(row) for row in rows]
        return {**self._pages(), **self._chooser._summary(), "shown": shown}


def _flags(names: Iterable[str]) -> list[str]:
    return list(names) or ["not_stated"]


def _modality(name: str) -> dict[str, str]:
    return {"name": MODALITY_LABELS.get(name, name), "colour": MODALITY_COLOURS.get(name, "grey")}
