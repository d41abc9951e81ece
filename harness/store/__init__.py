"""Outcomes (Delta Lake tables), artifacts (safetensors files) and provenance, shared by all studies.

Importing this package costs nothing: pyarrow, deltalake and torch are imported by the functions that use them.
"""

from __future__ import annotations

from harness.store.artifacts import ArtifactStore
from harness.store.cache import CacheStore, cache_root, node_root, scratch_root
from harness.store.errors import ArtifactDamaged, NewerStoreError, NoStoreError, StoreError, StoreWriteError
from harness.store.long_table import export, outcomes, trial_states
from harness.store.places import Place, fetch_study_files, local_folder, place_of, publish_study_files
from harness.store.records import Records
from harness.store.rows import (
    ArtifactRef,
    AttemptRow,
    CommitResult,
    Compaction,
    CurveRow,
    Duplicate,
    Finding,
    Group,
    MeasurementRow,
    Pruning,
    StageRecord,
    new_id,
    utc_now,
)
from harness.store.store import Store

__all__ = [
    "ArtifactDamaged",
    "ArtifactRef",
    "ArtifactStore",
    "AttemptRow",
    "CacheStore",
    "CommitResult",
    "Compaction",
    "CurveRow",
    "Duplicate",
    "Finding",
    "Group",
    "MeasurementRow",
    "NewerStoreError",
    "NoStoreError",
    "Place",
    "Pruning",
    "Records",
    "StageRecord",
    "Store",
    "StoreError",
    "StoreWriteError",
    "cache_root",
    "export",
    "fetch_study_files",
    "local_folder",
    "new_id",
    "node_root",
    "outcomes",
    "place_of",
    "publish_study_files",
    "scratch_root",
    "trial_states",
    "utc_now",
]
