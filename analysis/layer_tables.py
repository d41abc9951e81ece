"""Tables of layer transfer: accuracies, the drop's two parts, and the gain of fine-tuning as table 1 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.clustered import Estimate
from analysis.layer_effects import PARTS, boost, control, curve, drop_parts
from analysis.layer_figures import interval_note
from analysis.layer_runs import LayerRuns
from analysis.tables import Table, TableCell

READINGS: Mapping[str, bool] = {"pooled": False, "paired": True}
READING_NOTE = (
    "Pooled: mean of all runs minus mean of all bases. Paired: every run minus the base of its own target and seed."
)


def estimate_cell(data: LayerRuns, estimate: Estimate, signed: bool = True, flagged: int = 0) -> TableCell:
    """A value with half the width of its interval, "" where there is no value."""
    if not np.isfinite(estimate.value):
        return TableCell("", missing=True, detail=estimate.reason)
    text = data.unit.text(estimate.value, signed)
    if np.isfinite(estimate.low):
        text += f" ± {data.unit.text(estimate.half)}"
        how = f"{estimate.groups} independent groups"
    else:
        how = f"interval not estimable: {estimate.reason}"
    return TableCell(text + ("†" if flagged else ""), detail=f"{estimate.runs} runs; {how}")


def values_table(data: LayerRuns, level: str, title: str) -> Table:
    """Mean of every treatment at every number of copied layers, and its difference from the base in both readings."""
    kinds = [t for t in data.treatments if len(data.of(t, level))]
    rows, records = [], []
    for treatment in kinds:
        points = {p.layers: p for p in curve(data, treatment, level)}
        shown: list[tuple[str, list[TableCell]]] = [(treatment, []), (f"{treatment}, pooled difference", []),
                                                    (f"{treatment}, paired difference", [])]  # fmt: skip
        for n in data.layers:
            point = points.get(n)
            for (_, cells), which in zip(shown, ("value", "pooled", "paired"), strict=True):
                found = getattr(point, which) if point else None
                flagged = point.flagged if point else 0
                cells.append(TableCell("", missing=True) if found is None
                             else estimate_cell(data, found, which != "value", flagged))  # fmt: skip
        rows += [(TableCell(name), *cells) for name, cells in shown]
        ids = {n: data.of(treatment, level, n)["trial_id"] for n in points}
        for n, point in points.items():
            entry = {"treatment": treatment, "level": level, "layers": f"{n:g}", "runs": point.value.runs,
                     "flagged": point.flagged}  # fmt: skip
            for which in ("value", "pooled", "paired"):
                entry |= _record(which, getattr(point, which))
            records.append({**entry, "trial_ids": " ".join(ids[n])})
    notes = [_base_note(data, level), READING_NOTE, interval_note(data, [level])]
    head = (f"{data.metric} \\ copied layers", *(f"{n:g}" for n in data.layers))
    return Table(title, head, tuple(rows), tuple(notes), tuple(records))


def drop_table(data: LayerRuns, level: str, title: str) -> Table | None:
    """The drop of the frozen transfer split in two, in both readings; None where a part has no value at all."""
    found = {n: {name: drop_parts(data, level, n, paired) for name, paired in READINGS.items()} for n in data.layers}
    if not any(np.isfinite(parts["pooled"]["specificity"].value) for parts in found.values()):
        return None
    rows, records = [], []
    for n, parts in found.items():
        rows.append((TableCell(f"{n:g}"), *(estimate_cell(data, parts[r][part]) for r in READINGS for part in PARTS)))
        for reading in READINGS:
            entry: dict[str, object] = {"level": level, "layers": f"{n:g}", "reading": reading}
            for part in PARTS:
                entry |= _record(part, parts[reading][part])
            records.append(entry)
    head = ("copied layers", *(f"{part}, {reading}" for reading in READINGS for part in PARTS))
    notes = [
        "Drop: base − AnB. Co-adaptation: base − BnB, what separating the layers costs. Specificity: BnB − AnB, what "
        f"their having been trained on another task costs. In {_unit(data)}.",
        READING_NOTE, interval_note(data, [level]),
    ]  # fmt: skip
    return Table(title, head, tuple(rows), tuple(notes), tuple(records))


def boost_table(data: LayerRuns, level: str, ranges: Sequence[tuple[int, int]], title: str) -> Table | None:
    """The gain of AnB+ over the base and over BnB+, pooled and paired side by side; None without such runs."""
    rows, records = [], []
    for bounds in ranges:
        both = {name: boost(data, level, bounds, paired) for name, paired in READINGS.items()}
        one = both["pooled"]
        if not one.runs:
            continue
        cells = [estimate_cell(data, e) for b in both.values() for e in (b.over_base, b.over_self)]
        label = f"{one.low}-{one.high}"
        rows.append((TableCell(label), *cells, TableCell(str(one.runs)), TableCell(str(one.self_runs))))
        for reading, found in both.items():
            records.append({"level": level, "layers": label, "reading": reading, "runs AnB+": found.runs,
                            "runs BnB+": found.self_runs, **_record("over base", found.over_base),
                            **_record("over BnB+", found.over_self)})  # fmt: skip
    if not rows:
        return None
    head = ("layers copied", *(f"{what}, {reading}" for reading in READINGS for what in ("over base", "over BnB+")),
            "runs AnB+", "runs BnB+")  # fmt: skip
    notes = (
        f"Mean gain of AnB+ over all runs of a range, in {_unit(data)}.",
        READING_NOTE,
        interval_note(data, [level]),
    )
    return Table(title, head, tuple(rows), notes, tuple(records))


def controls_table(data: LayerRuns, level: str, title: str) -> Table | None:
    """Further baselines, such as training on the target for longer, beside the base; None when there are none."""
    found = {name: point for name in data.controls if (point := control(data, name, level)) is not None}
    if not found:
        return None
    rows = [
        (TableCell(name), estimate_cell(data, p.value, False, p.flagged), estimate_cell(data, p.pooled),
         estimate_cell(data, p.paired), TableCell(str(p.value.runs)))
        for name, p in found.items()
    ]  # fmt: skip
    head = ("baseline", data.metric, "pooled difference", "paired difference", "runs")
    return Table(title, head, tuple(rows), (_base_note(data, level), READING_NOTE, interval_note(data, [level])))


def _record(name: str, estimate: Estimate) -> dict[str, object]:
    texts = [repr(float(v)) if np.isfinite(v) else "" for v in (estimate.value, estimate.low, estimate.high)]
    return dict(zip((name, f"{name} low", f"{name} high"), texts, strict=True))


def _base_note(data: LayerRuns, level: str) -> str:
    base = data.bases(level)["value"]
    value = data.unit.text(float(base.mean())) if len(base) else "not measured"
    unit = f" {data.unit.name}" if data.unit.name else ""
    return f"{data.base_name}: {value}{unit}, mean of {len(base)} runs."


def _unit(data: LayerRuns) -> str:
    return "percentage points" if data.unit.name == "%" else f"units of {data.metric}"
