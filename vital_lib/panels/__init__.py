"""Notebook panels: each is one browser widget, a Python file with its JavaScript next to it.

A panel takes rows and callbacks and returns rows; ``.widget`` shows it in a notebook. Every button
calls a public method of the same name, so everything except the keyboard shortcuts can be used and
tested without a browser. Panels read only their own scripts and style sheet. They train nothing and
store no labels: they pass each judgement to the log or callback given. Text from a model or a file
reaches the page as text nodes only. A panel's output has a static form beside the widget, for pages
without a kernel.
"""

from vital_lib.panels.arena import Arena
from vital_lib.panels.candidate_explorer import CandidateExplorer
from vital_lib.panels.clearance_panel import ClearancePanel
from vital_lib.panels.cluster_map import ClusterMap
from vital_lib.panels.figure_browser import FigureBrowser
from vital_lib.panels.judge_panel import JudgePanel
from vital_lib.panels.model_chat import ModelChat
from vital_lib.panels.preference_card import PreferenceCard
from vital_lib.panels.prompt_viewer import PromptViewer
from vital_lib.panels.reward_panel import RewardPanel
from vital_lib.panels.run_list import RunList
from vital_lib.panels.run_monitor import RunMonitor
from vital_lib.panels.score_explorer import ScoreExplorer
from vital_lib.panels.tuning_monitor import TuningMonitor
