"""Outcomes (Delta Lake tables), artifacts (safetensors files) and provenance, shared by all studies.

Importing this package costs nothing: pyarrow, deltalake and torch are imported by the functions that use them.
"""

from __future__ import annotations

from harness.store.artifacts import ArtifactStore
from harness.store.cache import CacheStore, cache_root
from harness.store.errors import ArtifactDamaged, NewerStoreError, NoStoreError, StoreError, StoreWriteError
from harness.store.long_table import export, outcomes, trial_states
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
    "Pruning",
    "Records",
    "StageRecord",
    "Store",
    "StoreError",
    "StoreWriteError",
    "cache_root",
    "export",
    "new_id",
    "outcomes",
    "trial_states",
    "utc_now",
]
