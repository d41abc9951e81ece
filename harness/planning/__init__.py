"""From a study's trials to the plan: what must run, what is shared, done, stale, excluded, and what it will cost."""

from harness.planning.cost import Estimate, PastRuns
from harness.planning.history import StoreHistory
from harness.planning.plan import KindCounts, NothingRecorded, Plan, StaleGroup, build_plan
from harness.planning.render import plan_json, plan_text
from harness.planning.shards import SHARED, Shards, cut, nodes_of
from harness.planning.trials import PlanError

__all__ = [
    "SHARED",
    "Estimate",
    "KindCounts",
    "NothingRecorded",
    "PastRuns",
    "Plan",
    "PlanError",
    "Shards",
    "StaleGroup",
    "StoreHistory",
    "build_plan",
    "cut",
    "nodes_of",
    "plan_json",
    "plan_text",
]
