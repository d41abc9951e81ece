"""Suggested groups as a file: what a second study takes as its sets of tasks (``sources: [{groups: file}]``)."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.grouping import Grouping
from harness.task_groups import groups_digest


def groups_yaml(found: Grouping, made_from: Mapping[str, object]) -> str:
    """The file's text. ``made_from``: the study, the analysis and the readings that the groups come from."""
    import yaml

    known: dict[str, object] = {
        **made_from,
        "linkage": found.linkage,
        "number_of_groups_by": found.chosen_by,
        "silhouette": round(found.silhouette, 4),
        "silhouette_by_chance_p": None if not found.null.size else round(found.p_value, 4),
    }
    held = {
        "groups": [list(group) for group in found.groups],
        "digest": groups_digest(found.groups),
        "made_from": known,
    }
    head = "# Groups of tasks that an analysis suggests. A study takes them with sources: [{groups: <this file>}].\n"
    return head + str(yaml.safe_dump(held, sort_keys=False, allow_unicode=True, width=120))
