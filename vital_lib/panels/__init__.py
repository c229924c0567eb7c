"""The workbench's panels: one browser widget per file, its JavaScript beside it.

A panel takes rows and callbacks, and gives rows back; ``.widget`` shows it in a notebook. Every
button calls a public method of the same name, so that all but the keys can be used and tested
without a browser. Panels read no file but their own scripts and style sheet, train nothing and
keep no label: what a person says goes to the callback given. Text that came from a model or a file
reaches the page as text nodes only.
"""

from vital_lib.panels.candidate_viewer import CandidateViewer
from vital_lib.panels.cluster_map import ClusterMap
from vital_lib.panels.cut_panel import CutPanel
from vital_lib.panels.figure_browser import FigureBrowser
from vital_lib.panels.judge_panel import JudgePanel
from vital_lib.panels.model_chat import ModelChat
from vital_lib.panels.preference_card import PreferenceCard
from vital_lib.panels.progress_view import ProgressView
from vital_lib.panels.prompt_viewer import PromptViewer
from vital_lib.panels.run_monitor import RunMonitor

__all__ = [
    "CandidateViewer",
    "ClusterMap",
    "CutPanel",
    "FigureBrowser",
    "JudgePanel",
    "ModelChat",
    "PreferenceCard",
    "ProgressView",
    "PromptViewer",
    "RunMonitor",
]
