"""The section of a report on layer transfer: figures, tables, cautions, with flagged runs and without."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from analysis.attributes import attributes_of
from analysis.columns import ordered
from analysis.declared import fixed_by_baseline, main_metric, main_split
from analysis.layer_effects import TUNED_SELF, TUNED_TRANSFER, standard_ranges, unbalanced
from analysis.layer_figures import draw_drop_parts, draw_similar, draw_transfer
from analysis.layer_runs import LayerRuns, layer_runs
from analysis.layer_tables import boost_table, controls_table, drop_table, values_table
from analysis.section_parts import Parts, slug
from analysis.treatments import RANDOM, SELF, TRANSFER

WITHOUT_FLAGGED = ", without flagged runs"


def add_layer_transfer(
    made: Parts, frame: Any, study: Mapping[str, Any], analysis: Mapping[str, Any], filters: Mapping[str, object],
    title: str, name: str,
) -> None:  # fmt: skip
    """Add everything on one layer transfer; what flagged runs change, a second time without them.

    Args:
        frame: outcomes. filters: those of the analysis, with that of its facet.
        title: of the figures and tables. name: that their files begin with.
    """
    data = _runs(frame, study, analysis, filters, title, "keep")
    _add(made, data, analysis, name, dict.fromkeys(data.levels))
    changed = _flagged(data)
    if changed:
        clean = _runs(frame, study, analysis, filters, title + WITHOUT_FLAGGED, "drop")
        _add(made, clean, analysis, f"{name}-without-flagged", {v: c for v, c in changed.items() if v in clean.levels})


def _flagged(data: LayerRuns) -> dict[str, set[str]]:
    """The treatments of each level that hold flagged runs; all of them where the base does."""
    found: dict[str, set[str]] = {}
    for level in data.levels:
        rows = data.runs.loc[data.runs["level"] == level]
        of_base = (data.bases(level)["flags"] != "").any()
        kinds = set(rows["treatment"] if of_base else rows.loc[rows["flags"] != "", "treatment"])
        if kinds:
            found[level] = kinds
    return found


def _runs(
    frame: Any, study: Mapping[str, Any], analysis: Mapping[str, Any], filters: Mapping[str, object], title: str,
    flagged: Any,
) -> LayerRuns:  # fmt: skip
    metric = str(analysis.get("value") or main_metric(frame))
    return layer_runs(
        frame,
        metric,
        x=str(analysis.get("x") or "layers"),
        relative_to=analysis.get("relative_to"),
        similar_by=analysis.get("similar_by"),
        independent=analysis.get("independent"),
        attributes=attributes_of(study, analysis),
        filter=filters,
        split=main_split(frame, metric),
        flagged=flagged,
        replaces=fixed_by_baseline(study, analysis.get("relative_to")),
        title=title,
    )


def _add(
    made: Parts, data: LayerRuns, analysis: Mapping[str, Any], name: str, changed: Mapping[str, set[str] | None]
) -> None:
    """Add what shows one of the treatments that ``changed`` names for a level (None: everything)."""
    paired = (analysis.get("pairing") or "paired") != "pooled"
    made.notes += [n for n in (_reading(data, paired),) if n not in made.notes]
    made.warnings += [w for w in data.warnings if w not in made.warnings]
    for level, kinds in changed.items():
        where = data.where(level)
        title = f"{data.title} ({where})" if where else data.title
        stem = f"{name}-{slug(level)}" if where else name
        _add_level(made, data, level, paired, title, stem, analysis, kinds)
    frozen = {TRANSFER, RANDOM} & set(data.treatments)
    if frozen and (RANDOM in frozen or len(data.levels) > 1) and any(_shows(k, *frozen) for k in changed.values()):
        title = f"{data.title}: frozen layers" + (f" by {data.similar_by}" if len(data.levels) > 1 else "")
        made.draw(f"{name}-similar", "Lines: difference of frozen layers from the base by copied layers",
                  partial(draw_similar, data, paired, title))  # fmt: skip


def _shows(kinds: set[str] | None, *treatments: str) -> bool:
    """Whether something on these treatments is to be shown."""
    return kinds is None or bool(kinds & set(treatments))


def _add_level(
    made: Parts, data: LayerRuns, level: str, paired: bool, title: str, stem: str, analysis: Mapping[str, Any],
    kinds: set[str] | None,
) -> None:  # fmt: skip
    made.draw(stem, f"Lines: {data.metric} and difference from the base by copied layers, one line a treatment",
              partial(draw_transfer, data, level, paired, title))  # fmt: skip
    made.tables.append((stem, values_table(data, level, title)))
    where = ", ".join(part for part in (data.where(level), "without flagged runs" if kinds else "") if part)
    made.warnings += [f"{where}: {w}" if where else w for w in unbalanced(data, level)]
    drop = drop_table(data, level, f"What the drop is made of: {title}")
    if drop is not None and _shows(kinds, SELF, TRANSFER):
        made.draw(f"{stem}-drop", "Bars: lost co-adaptation and specificity by copied layers, pooled and paired",
                  partial(draw_drop_parts, data, level, f"What the drop is made of: {title}"))  # fmt: skip
        made.tables.append((f"{stem}-drop", drop))
    ranges = [(int(a), int(b)) for a, b in analysis.get("ranges") or standard_ranges(data.layers)]
    gain = boost_table(data, level, ranges, f"Gain of AnB+ by range of copied layers: {title}")
    if gain is not None and _shows(kinds, TUNED_SELF, TUNED_TRANSFER):
        made.tables.append((f"{stem}-boost", gain))
    others = controls_table(data, level, f"Other baselines: {title}")
    if others is not None and kinds is None:
        made.tables.append((f"{stem}-controls", others))


def _reading(data: LayerRuns, paired: bool) -> str:
    how = "paired: its own target's and seed's" if paired else "pooled: the mean of all"
    kinds = ", ".join(ordered(data.runs["treatment"], data.treatments))
    return (
        f"Treatments ({kinds}): B is the target, A another task; + means that the copied layers are trained further. "
        f"Differences in figures are from {data.base_name!r}, {how}; tables have both readings."
    )
