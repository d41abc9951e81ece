"""A plan as text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.planning.gpu_time import gpu_lines
from harness.planning.leakage import LeakageSummary
from harness.planning.plan import KindCounts, Plan

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def plan_json(plan: Plan, leakage: LeakageSummary | None = None) -> dict[str, Any]:
    """Return the contract of ``harness plan --json``."""
    cost = plan.cost
    return {
        "study": plan.study.name,
        "trials": plan.trials,
        "trials_done": plan.trials_done,
        "candidates": plan.candidates,
        "stages_needed": plan.stages_needed,
        "stages_done": plan.stages_done,
        "stages_blocked": len(plan.blocked),
        "stages": {count.kind: _count_json(count) for count in plan.counts},
        "excluded": plan.excluded,
        "stale": [{"kind": item.kind, "count": item.count, "changed": list(item.changed)} for item in plan.stale],
        "bytes": {"stored": plan.bytes_done, "needed": plan.bytes_needed},
        "cost": {"seconds": cost.seconds, "low": cost.low, "high": cost.high, "unknown": list(cost.unknown)},
        **({"gpu": plan.gpu_time.to_json()} if plan.gpu_time.worth_telling else {}),
        **({} if leakage is None else {"leakage": _leakage_json(leakage)}),
    }


def _leakage_json(leakage: LeakageSummary) -> dict[str, Any]:
    worst = leakage.worst()
    return {
        "pairs": leakage.pairs,
        "compared": len(leakage.found),
        "exact": leakage.exact,
        "near": leakage.near,
        "worst": None if worst is None else dataclasses.asdict(worst),
    }


def _count_json(count: KindCounts) -> dict[str, int]:
    return {
        "needed": count.needed,
        "done": count.done,
        "blocked": count.blocked,
        "chosen_later": count.chosen_later,
        "alone": count.alone,
        "saved": count.saved,
    }


def plan_text(plan: Plan, leakage: LeakageSummary | None = None) -> str:
    """Return what ``harness plan`` prints."""
    lines = [f"study {plan.study.name}: {_trials(plan)}", ""]
    lines += _stage_table(plan)
    lines += ["", f"artifacts: {_bytes(plan.bytes_done)} stored, {_bytes(plan.bytes_needed)} to come"]
    lines.append(f"work left: {_cost(plan)}")
    lines += gpu_lines(plan.gpu_time)
    if plan.excluded:
        lines += ["", "excluded:"]
        lines += [f"  {count:>9,}  {reason}" for reason, count in plan.excluded.items()]
    if plan.blocked:
        lines += ["", "cannot run:"]
        lines += [f"  {count:>9,}  {reason}" for reason, count in _tally(plan.blocked.values()).items()]
    if plan.stale:
        lines += ["", "stale (made by other code than today's):"]
        lines += [f"  {item.count:>9,}  {item.kind}: {_changed(item.changed)}" for item in plan.stale]
    if leakage is not None and leakage.pairs:
        lines += ["", *leakage_lines(leakage)]
    return "\n".join(lines)


def leakage_lines(leakage: LeakageSummary) -> list[str]:
    """Say how many pairs of tasks share examples between training and test, which most, and what was not looked at."""
    again = f"run `harness data leakage {leakage.study}`"
    if not leakage.found:
        return [f"shared examples: {_plural(leakage.pairs, 'pair')} of tasks not checked: {again}"]
    lines = [
        f"shared examples: of {_plural(len(leakage.found), 'pair')} of tasks (training, test), "
        f"{leakage.exact:,} share equal ones, {leakage.near:,} only similar ones"
    ]
    worst = leakage.worst()
    if worst is not None:
        lines.append(
            f"  most: {worst.source} (training) and {worst.target} (test): {worst.exact:,} equal, {worst.near:,} "
            f"similar of {worst.of:,} test examples; to look at them: `harness data leakage {leakage.study} --show`"
        )
    if leakage.missing:
        lines.append(f"  {_plural(leakage.missing, 'pair')} not checked: {again}")
    return lines


def _trials(plan: Plan) -> str:
    parts = [_plural(plan.trials, "trial"), f"{plan.trials_done:,} done"]
    if plan.candidates:
        parts.append(_plural(plan.candidates, "candidate"))
    if plan.excluded:
        parts.append(f"{_plural(sum(plan.excluded.values()), 'cell')} excluded")
    return ", ".join(parts)


def _stage_table(plan: Plan) -> list[str]:
    head = ("stage", "needed", "done", "blocked", "alone", "saved by sharing")
    rows = [
        (
            count.kind,
            f"{count.needed:,}" + (f" ({count.chosen_later:,} chosen later)" if count.chosen_later else ""),
            f"{count.done:,}",
            f"{count.blocked:,}",
            f"{count.alone:,}",
            f"{count.saved:,}",
        )
        for count in plan.counts
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(pairs)).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in [head, *rows])
    ]


def _cost(plan: Plan) -> str:
    if plan.stages_needed == 0:
        return "nothing"
    cost, stages = plan.cost, _plural(plan.stages_needed, "stage")
    if cost.seconds is None:
        return f"{stages}, time unknown (no past runs of {', '.join(cost.unknown)})"
    interval = "" if cost.low is None or cost.high is None else f" ({_seconds(cost.low)} to {_seconds(cost.high)})"
    return f"{stages}, {_seconds(cost.seconds)} on one worker{interval}, by past runs"


def _seconds(value: float) -> str:
    if value < 120:
        return f"{_number(value)} s"
    return f"{_number(value / 60)} min" if value < 7200 else f"{_number(value / 3600)} h"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _bytes(count: int | None) -> str:
    if count is None:
        return "unknown"
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{_number(value)} {_UNITS[unit]}"


def _tally(reasons: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in reasons:
        found[reason] = found.get(reason, 0) + 1
    return found


def _changed(modules: tuple[str, ...]) -> str:
    return ", ".join(modules) + " changed" if modules else "which code changed is not known"
