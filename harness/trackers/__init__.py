"""Showing stored curves and outcomes in TensorBoard, MLflow or Weights & Biases: from the store, beside the work.

Nothing here is called by a stage or waited for by a driver. Each run of a tracker is written whole, and under an
identifier that depends only on what it shows, so that exporting again, after a crash too, adds what is missing.
"""

from __future__ import annotations

from harness.trackers.base import TRACKERS, Tracker, open_tracker, require
from harness.trackers.exporting import export, follow
from harness.trackers.runs import Point, Run

__all__ = ["TRACKERS", "Point", "Run", "Tracker", "export", "follow", "open_tracker", "require"]
