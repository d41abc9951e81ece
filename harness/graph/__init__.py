"""Stages described before they run: what they are called with, what key that gives, and what they return.

Imports nothing of ours but :mod:`harness.errors`, and no torch.
"""

from harness.graph.canonical import Identified
from harness.graph.context import BatchContext, StageContext, World
from harness.graph.results import (
    Artifact,
    Diverged,
    Features,
    Measurement,
    Measurements,
    Predictions,
    Stopped,
    Value,
    Weights,
)
from harness.graph.seeds import derive_seed
from harness.graph.stage import KINDS, BatchRule, Choice, Node, Resources, Stage, StageKind, find_kind, stage

__all__ = [
    "KINDS",
    "Artifact",
    "BatchContext",
    "BatchRule",
    "Choice",
    "Diverged",
    "Features",
    "Identified",
    "Measurement",
    "Measurements",
    "Node",
    "Predictions",
    "Resources",
    "Stage",
    "StageContext",
    "StageKind",
    "Stopped",
    "Value",
    "Weights",
    "World",
    "derive_seed",
    "find_kind",
    "stage",
]
