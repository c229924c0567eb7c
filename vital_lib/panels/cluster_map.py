"""Choose demonstrations on a map of the figures: draw round a region, pick from its conversations.

The map is jupyter-scatter's; beside it stand the conversations of the region, and under both, where
wanted, the prompt that the picks would make. This panel encodes nothing, reads no file and asks no
model: features, images, prompts and token counts are handed in.
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
from vital_lib.panels.prompt_viewer import PromptViewer
from vital_lib.plots import MODALITY_COLOURS, pca_2d
from vital_lib.prompts import Prompt

LISTS = ("region", "elsewhere", "picked")
"""What can be listed beside the map: the region's conversations, those off the map, the picks."""

_PAGE = 6  # conversations shown at once
_HEIGHT = 620  # pixels of the map
_MARGIN = 0.27  # of the map's width on either side, since it is taller than wide
_DOTS = {"figure": 4, "conversation": 10, "picked": 18}  # sizes in pixels


class ClusterMap:
    """A map of figures, the conversations of its region, and those picked.

    Args:
        features: (n figures, d), rows as in `figures` (`demonstrations.joined_features`); drawn on
            their two principal components as `plots.cluster_map` does, or as they are when d is 2.
        figures: columns figure_id, modalities.
        demonstrations: table `demonstrations`, the pool to pick from: accepted conversations and
            imported ones; those without a figure on the map are listed apart.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        prompts_of: a frame of picks -> the prompts that would be sent with them, of which the
            first is shown (`generation.generation_prompts` but for its second argument).
        estimate: prompts -> {tokens_in: ...} (`ChatClient.estimate`).
        picks: demonstration_ids picked to start with.

    Raises:
        ValueError: features of other figures, an id that stands twice, or a pick that is unknown.
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
        for rows, name in ((demonstrations, "demonstration_id"), (figures, "figure_id")):
            if len(twice := rows[name][rows[name].duplicated()]):
                raise ValueError(f"{name} {twice.iloc[0]!r} stands twice")
        self._pool = demonstrations.reset_index(drop=True)
        self._ids = list(self._pool["demonstration_id"])
        self._figure_of = [plain(name) for name in self._pool["figure_id"]]
        self._flags = [_flags(names) for names in self._pool["modalities"]]
        self._prompts_of, self._estimate = prompts_of, estimate
        self._picks: set[str] = set()
        self._region: set[str] | None = None  # figure_ids; None is the whole map
        self._listed, self._prompt, self._tokens, self._shown = "region", None, None, False
        self._dots = self._on_map(np.asarray(features, dtype=float), figures)
        self._places = {name: place for place, name in enumerate(self._dots["figure_id"])}
        self._scatter = self._drawn()
        heard_where_addressed(self._scatter.widget)
        self.conversations = _Conversations(self, image_of)
        self._lock = self.conversations._lock  # widget messages may come on another thread
        self._preview = ipywidgets.VBox()
        self.widget = self._laid_out()
        self._scatter.widget.observe(self._lassoed, "selection")
        self._change(set(self._known(picks)))

    def picked(self) -> pd.DataFrame:
        """The picks, in the pool's order and the columns of table `demonstrations`."""
        return self._pool[self._pool["demonstration_id"].isin(self._picks)].reset_index(drop=True)

    def listed(self) -> list[str]:
        """The demonstration_ids listed beside the map, on all pages."""
        return [name for row, name in enumerate(self._ids) if self._is_listed(row)]

    def select(self, figure_ids: Iterable[str]) -> None:
        """Make these figures the region and list their conversations; none is the whole map.

        Raises:
            ValueError: a figure that is not on the map.
        """
        wanted = set(figure_ids)
        if unknown := sorted(wanted - self._places.keys()):
            raise ValueError(f"{len(unknown)} figures are not on the map, as {unknown[0]!r}")
        with self._lock:
            self._scatter.selection(sorted(self._places[name] for name in wanted))
            self._take_region(wanted)

    def select_modality(self, modality: str | None) -> None:
        """Make the figures flagged with `modality` the region ("not_stated": without a flag)."""
        if modality not in (None, *MODALITY_LABELS):
            raise ValueError(f"modality {modality!r} is none of {', '.join(MODALITY_LABELS)}")
        kept = self._dots["flags"].map(lambda flags: modality in flags)
        self.select(self._dots["figure_id"][kept] if modality else ())

    def show_list(self, which: str) -> None:
        """List the conversations of one of `LISTS`.

        Raises:
            ValueError: another name.
        """
        if which not in LISTS:
            raise ValueError(f"{which!r} cannot be listed: give one of {', '.join(LISTS)}")
        with self._lock:
            self._listed = which
            self.conversations.show(self._pages(), 1)

    def pick(self, demonstration_id: str) -> None:
        """Add one conversation to the picks; ValueError if it is not in the pool."""
        self._change(self._picks | set(self._known([demonstration_id])))

    def unpick(self, demonstration_id: str) -> None:
        """Take one conversation out of the picks; ValueError if it is not in the pool."""
        self._change(self._picks - set(self._known([demonstration_id])))

    def pick_region(self) -> None:
        """Pick all that is listed, on all pages."""
        self._change(self._picks | set(self.listed()))

    def unpick_region(self) -> None:
        """Unpick all that is listed, on all pages."""
        self._change(self._picks - set(self.listed()))

    def clear(self) -> None:
        """Take back every pick."""
        self._change(set())

    def preview(self, shown: bool = True) -> None:
        """Show the prompt that the picks make, under the map, and keep it current; or hide it."""
        with self._lock:
            self._shown = bool(shown)
            self._show_prompt()
            self.conversations._show()

    def _known(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        if unknown := [name for name in names if name not in self._ids]:
            raise ValueError(f"no demonstration {unknown[0]!r} among the {len(self._ids)} here")
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
        viewers = [_Counted(self._prompt, self._tokens)] if self._shown and self._prompt else []
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
        """The dots, those with a conversation last, so that they lie on top."""
        points, _ = pca_2d(features)
        points = points[:, :2] / max(float(np.abs(points).max(initial=0)), 1e-12)
        dots = pd.DataFrame(points.round(6), columns=["x", "y"])  # an axis of mere noise is flat
        dots["figure_id"] = figures["figure_id"].to_numpy()
        dots["flags"] = [_flags(names) for names in figures["modalities"]]
        modality = [modality_of(names) for names in figures["modalities"]]
        dots["modality"] = pd.Categorical(modality, list(MODALITY_LABELS))
        last = np.argsort(dots["figure_id"].isin(self._figure_of), kind="stable")
        dots = dots.iloc[last].reset_index(drop=True)
        return dots.assign(state=pd.Categorical(["figure"] * len(dots), list(_DOTS)))

    def _states(self) -> pd.Categorical:
        """Each dot's state: a key of _DOTS."""
        state = dict.fromkeys(self._places, "figure") | dict.fromkeys(
            (name for name in self._figure_of if name in self._places), "conversation"
        )
        for name, figure_id in zip(self._ids, self._figure_of, strict=True):
            if name in self._picks and figure_id in state:
                state[figure_id] = "picked"
        return pd.Categorical(list(state.values()), list(_DOTS))

    def _used(self, column: str, looks: Mapping[str, Any]) -> list[Any]:
        """The looks of the categories that occur: jupyter-scatter counts no others."""
        found = set(self._dots[column])
        return [look for name, look in looks.items() if name in found]

    def _drawn(self) -> Any:
        import jscatter  # it imports pyplot: not before a map is wanted

        low, high = self._dots["x"].agg(["min", "max"])
        margin = _MARGIN * max(high - low, 1e-6)
        scatter = jscatter.Scatter(
            *("x", "y", self._dots),
            x_scale=[low - margin, high + margin],
            color_by="modality",
            color_map=self._used("modality", MODALITY_COLOURS),
            size_by="state",
            size_map=self._used("state", _DOTS),
            opacity=0.8,
            axes=False,
            camera_distance=1.05,
            mouse_mode="lasso",
            height=_HEIGHT,
        )
        scatter.background("#00000000")  # the notebook's own, in both themes
        scatter.widget.toolbar_buttons = ["pan_zoom", "lasso", "reset"]
        return scatter

    def _laid_out(self) -> ipywidgets.VBox:
        scatter, beside = self._scatter.widget, self.conversations.widget
        scatter.layout = ipywidgets.Layout(flex="0 0 42%", min_width="0")
        beside.layout = ipywidgets.Layout(flex="1 1 0", min_width="0")
        return ipywidgets.VBox([ipywidgets.HBox([scatter, beside]), self._preview])

    def _summary(self) -> dict[str, Any]:
        """What the part beside the map says besides the conversations."""
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
        """By modality: conversations picked, and in the pool; under each flag that one has."""
        pairs = list(zip(self._ids, self._flags, strict=True))
        there = Counter(flag for _, flags in pairs for flag in flags)
        picked = Counter(flag for name, flags in pairs if name in self._picks for flag in flags)
        return [
            {**_modality(name), "id": name, "picked": picked[name], "of": there[name]}
            for name in MODALITY_LABELS
            if there[name]
        ]

    def _conversation(self, row: int) -> dict[str, Any]:
        turns, origin = self._pool.loc[row, ["turns", "origin"]]
        return {
            "id": self._ids[row],
            "figure": self._figure_of[row],
            "modalities": [_modality(name) for name in self._flags[row]],
            "turns": [[plain(one["instruction"]), plain(one["response"])] for one in turns],
            "origin": plain(origin),
            "picked": self._ids[row] in self._picks,
        }


class _Conversations(Paged):
    """What stands beside the map; its buttons call the map's methods of the same names."""

    _draw = script_beside(__file__)
    _buttons = ("select_modality", "show_list", "pick", "unpick", "pick_region", "unpick_region")
    _actions = (*Paged._actions, *_buttons, "clear", "preview")

    def __init__(self, chooser: ClusterMap, image_of: Callable[[str], Any]) -> None:
        super().__init__(image_of)
        self._chooser = chooser
        for name in (*self._buttons, "clear", "preview"):
            setattr(self, name, getattr(chooser, name))

    def show(self, pages: list[list[int]], number: int | None = None) -> None:
        """Show one of these pages; the same number as before where none is given."""
        self._items = pages
        self.jump(self._place + 1 if number is None else number)

    def _state(self) -> dict[str, Any]:
        rows = self._items[self._place] if self._items else []
        shown = [self._chooser._conversation(row) for row in rows]
        return {**self._pages(), **self._chooser._summary(), "shown": shown}


class _Counted(PromptViewer):
    """A prompt with the tokens that its model's own estimate counts, where there is one."""

    def __init__(self, prompt: Prompt, tokens: int | None) -> None:
        self._counted = tokens
        super().__init__(prompt)

    @property
    def tokens(self) -> int:
        return super().tokens if self._counted is None else self._counted


def _flags(names: Iterable[str]) -> list[str]:
    return list(names) or ["not_stated"]


def _modality(name: str) -> dict[str, str]:
    return {"name": MODALITY_LABELS.get(name, name), "colour": MODALITY_COLOURS.get(name, "grey")}
