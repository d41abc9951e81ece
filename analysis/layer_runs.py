"""The runs of a layer transfer study, each with its treatment, its own base, and the group it is independent in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from analysis.attributes import Attributes
from analysis.baselines import baseline_rows, declared_baselines, relative_to, replaced_axes
from analysis.build import measured_rows
from analysis.columns import NONE_LABEL, SEEDS, axes_of, label, ordered, require_column, restrict, textual, varying
from analysis.treatments import UNTRAINED, in_order, treatments
from analysis.units import Unit, is_fraction, unit_of
from harness.errors import HarnessError

HALVES = ("of", "split", "parting")
"""Attributes in which the halves of one split agree."""
COLUMNS = ("treatment", "layers", "level", "source", "target", "seed", "group", "value", "gain", "flags", "trial_id")
_DECIMALS = 2  # effects of a tenth of a point are what these studies are about
_ITS_OWN = ("frozen", "preserve", "treatment", "source", "source_seed")


@dataclass(frozen=True, eq=False)
class LayerRuns:
    """The runs of a layer transfer study, one metric on one split.

    Attributes:
        runs: a row each, with ``COLUMNS``: ``gain`` is the value minus that of the own target's and seed's base (NaN
            without one), ``level`` that of ``similar_by`` ("" without), ``group`` what the run is independent in.
        base: the same columns of the baseline ``base_name``; ``controls``: of the other baselines, by name.
        counted: for each level what its groups are: "splits" or "seeds", and how many.
    """

    runs: pd.DataFrame
    base: pd.DataFrame
    base_name: str
    controls: Mapping[str, pd.DataFrame]
    counted: Mapping[str, tuple[str, int]]
    metric: str
    split: str | None
    unit: Unit
    x: str
    similar_by: str | None
    title: str
    warnings: tuple[str, ...] = ()

    @cached_property
    def treatments(self) -> tuple[str, ...]:
        """Treatments that have runs, in the order of papers."""
        return in_order(self.runs["treatment"])

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Levels of ``similar_by``, those with most treatments and runs first."""
        found = self.runs.groupby("level").agg(kinds=("treatment", "nunique"), n=("value", "size"))
        order = sorted(found.index, key=lambda v: (-int(found.kinds[v]), -int(found.n[v]), v))
        return tuple(str(v) for v in order)

    @property
    def layers(self) -> list[float]:
        """The numbers of copied layers, ascending."""
        return sorted(float(n) for n in self.runs["layers"].unique())

    def of(self, treatment: str, level: str, low: float | None = None, high: float | None = None) -> pd.DataFrame:
        """Runs of one treatment and level, with ``low`` to ``high`` copied layers."""
        rows = self.runs.loc[(self.runs["treatment"] == treatment) & (self.runs["level"] == level)]
        if low is not None:
            rows = rows.loc[(rows["layers"] >= low) & (rows["layers"] <= (low if high is None else high))]
        return rows

    def bases(self, level: str) -> pd.DataFrame:
        """Runs of the base on targets of a level."""
        return self.base.loc[self.base["level"] == level]

    def where(self, level: str) -> str:
        """The level in words for a title, "" when there is one only."""
        return f"{self.similar_by}: {level}" if self.similar_by and len(self.levels) > 1 else ""


def layer_runs(
    frame: pd.DataFrame,
    value: str = "accuracy",
    *,
    x: str = "layers",
    relative_to: str | None = None,
    similar_by: str | None = None,
    independent: str | None = None,
    attributes: Attributes | None = None,
    filter: Mapping[str, object] | None = None,
    split: str | None = "test",
    flagged: Literal["keep", "drop"] = "keep",
    replaces: Sequence[str] | None = None,
    title: str = "Layer transfer",
) -> LayerRuns:
    """Gather the runs of a layer transfer.

    Args:
        frame: outcomes with columns ``source``, ``target``, ``x`` and either ``frozen`` or ``treatment``.
        relative_to: the baseline that has nothing copied; None: the only baseline, else outcomes with 0 layers.
        similar_by: axis, or attribute of the target, that tells similar from dissimilar splits.
        independent: axis, or attribute of the target, whose values are independent of one another; None: tasks that are
            linked by a transfer, or are halves of one split, count as one.
        flagged: whether runs with flags (``not_trained``) count.
        replaces: axes that the baseline's declaration fixes; inferred when None.

    Raises:
        HarnessError: for unknown columns, metrics or baselines, an ``x`` that is no number, and when some other axis
            varies between runs of one treatment, source, target, number of layers and seed.
    """
    require_column(frame, x, "layer transfer")
    text = textual(frame)
    outcomes = text.loc[text["role"] == "outcome"] if "role" in text.columns else text
    outcomes = outcomes.assign(treatment=treatments(outcomes))
    bare = (outcomes[x] == "0") | (outcomes["treatment"] == NONE_LABEL)
    name = relative_to or _only_baseline(text)
    copied, everything = outcomes.loc[~bare], outcomes.loc[bare] if name is None else baseline_rows(text, name)
    if copied.empty or everything.empty:
        raise HarnessError("Layer transfer needs runs, and a baseline (or runs with 0 layers) to set them against.")
    replaced = {*replaced_axes(outcomes, everything, replaces), x, *_ITS_OWN}

    def of_baseline(rows: pd.DataFrame, called: str | None) -> pd.DataFrame:
        fitting = restrict(rows, {k: v for k, v in (filter or {}).items() if k not in replaced}, strict=False)
        return _once(measured_rows(fitting, frame, value, split)[0], x, called)

    shown, rest = measured_rows(restrict(copied, filter), frame, value, split)
    _refuse_silent_mean(shown, x)
    base = of_baseline(everything, name)
    shown, base = (r.loc[r["flags"] == ""] if flagged == "drop" else r for r in (shown, base))
    shape = _Shape(x, similar_by, independent, attributes or Attributes(), [shown, base], replaced, value)
    runs, own = shape.rows(shown, base, copied=True), shape.rows(base.assign(treatment=name or "base"), None)
    # Another baseline may be another method with other settings: it is paired on target, seed and what the base varies.
    shape.replaced = {a for a in axes_of(base) if a not in ("target", "seed") and base[a].nunique() == 1} | replaced
    others = {
        other: of_baseline(baseline_rows(text, other), other) for other in declared_baselines(text) if other != name
    }
    controls = {n: shape.rows(rows.assign(treatment=n), base) for n, rows in others.items() if len(rows)}
    counted = _settle_groups([runs, own, *controls.values()])
    unit = unit_of(runs["value"].to_numpy(), is_fraction(value, runs["value"].to_numpy()), None)
    unit = replace(unit, decimals=max(unit.decimals, _DECIMALS))
    base_name, warnings = name or "0 layers", _cautions(runs, rest, own)
    return LayerRuns(runs, own, base_name, controls, counted, value, split, unit, x, similar_by, title, warnings)


def _only_baseline(text: pd.DataFrame) -> str | None:
    known = declared_baselines(text)
    if len(known) > 1:
        raise HarnessError(f"Layer transfer must name its base in relative_to: there are {', '.join(known)}.")
    return known[0] if known else None


def _once(base: pd.DataFrame, x: str, name: str | None) -> pd.DataFrame:
    """A baseline that a study crosses with the copied layers, which mean nothing to it, has each of its runs once.

    Raises:
        HarnessError: when its values differ by the number of layers after all.
    """
    unread = [c for c in (x, "frozen", "preserve") if c in base.columns]
    plain = base.assign(**dict.fromkeys(unread, NONE_LABEL))
    axes = axes_of(plain)
    once = plain.drop_duplicates([*axes, "value"])
    if once.duplicated(axes).any():
        raise HarnessError(
            f"The baseline {name!r} has other values for other numbers of {x!r}: it copies layers itself."
        )
    return once


def _refuse_silent_mean(shown: pd.DataFrame, x: str) -> None:
    by = [c for c in ("treatment", x, "source", "target", *SEEDS) if c in shown.columns]
    others = [a for a in axes_of(shown) if a not in by and a not in _ITS_OWN]
    found = varying(shown, by, others)
    if found:
        parts = "; ".join(f"{axis!r} varies ({', '.join(values)})" for axis, values in found.items())
        raise HarnessError(f"Layer transfer would average silently: {parts}. Filter or facet by it.")


@dataclass
class _Shape:
    """Brings outcome rows into the columns of ``LayerRuns``."""

    x: str
    similar_by: str | None
    independent: str | None
    attributes: Attributes
    parts: Sequence[pd.DataFrame]
    replaced: set[str]
    metric: str

    def __post_init__(self) -> None:
        rows = pd.concat([part[["source", "target"]] for part in self.parts])
        self.linked = linked_tasks(zip(rows["source"], rows["target"], strict=True), self.attributes)

    def rows(self, found: pd.DataFrame, base: pd.DataFrame | None, copied: bool = False) -> pd.DataFrame:
        """Outcome rows with ``gain`` over ``base``; ``copied``: whether ``x`` says how many layers were copied."""
        target = found["target"]
        seed = found["seed"] if "seed" in found.columns else pd.Series(NONE_LABEL, index=found.index)
        group = target.map(self.linked) if self.independent is None else self._read(found, self.independent)
        columns = {
            "treatment": found["treatment"],
            "layers": self._layers(found) if copied else 0.0,
            "level": self._read(found, self.similar_by) if self.similar_by else "",
            "source": found["source"],
            "target": target,
            "seed": seed,
            "group": group,
            "value": found["value"].astype(float),
            "gain": np.nan if base is None else self._gain(found, base),
            "flags": found["flags"] if "flags" in found.columns else "",
            "trial_id": found["trial_id"],
        }
        return pd.DataFrame(columns, index=found.index).reset_index(drop=True)

    def _read(self, found: pd.DataFrame, name: str) -> pd.Series:
        if name in found.columns:
            return found[name]
        self.attributes.require(name, "layer transfer")
        return found["target"].map(lambda task: self.attributes.of(task, name))

    def _layers(self, found: pd.DataFrame) -> pd.Series:
        numbers = pd.to_numeric(found[self.x], errors="coerce")
        if numbers.isna().any():
            raise HarnessError(f"{self.x!r} of a layer transfer must be a number, not "
                               f"{found.loc[numbers.isna(), self.x].iloc[0]!r}.")  # fmt: skip
        return numbers

    def _gain(self, found: pd.DataFrame, base: pd.DataFrame) -> pd.Series:
        """Each value minus the mean of its own target's and seed's base; NaN without one."""
        made = relative_to(found, base, self.replaced, "difference", True, self.metric)
        return made.rows["value"].reindex(found.index).astype(float)


def linked_tasks(pairs: Iterable[tuple[str, str]], attributes: Attributes) -> dict[str, str]:
    """A group for every target: tasks that are linked by a transfer or are halves of one split are in one group.

    A source that is nobody's target (a checkpoint, an untrained network) links nothing.
    """
    links = list(pairs)
    targets = {target for _, target in links}
    parent = {task: task for task in targets}

    def root(task: str) -> str:
        while parent[task] != task:
            task = parent[task]
        return task

    for source, target in links:
        if source in targets and source != UNTRAINED:
            parent[root(source)] = root(target)
    first: dict[tuple[str, ...], str] = {}
    for task in sorted(targets):
        key = tuple(attributes.of(task, name) for name in HALVES)
        if key[1] != NONE_LABEL:
            parent[root(task)] = root(first.setdefault(key, task))
    return {task: root(task) for task in targets}


def _settle_groups(parts: Sequence[pd.DataFrame]) -> dict[str, tuple[str, int]]:
    """Groups of a level with one split only become its seeds; give what the groups of each level are."""
    everything = pd.concat(parts, ignore_index=True)
    counted: dict[str, tuple[str, int]] = {}
    for level, rows in everything.groupby("level"):
        splits, seeds = rows["group"].nunique(), rows["seed"].nunique()
        if splits == 1 and seeds > 1:
            for part in parts:
                mine = part["level"] == level
                part.loc[mine, "group"] = part.loc[mine, "seed"]
        counted[str(level)] = ("splits", splits) if splits > 1 or seeds < 2 else ("seeds", seeds)
    return counted


def _cautions(runs: pd.DataFrame, rest: pd.DataFrame, base: pd.DataFrame) -> tuple[str, ...]:
    found = []
    alone = int(runs["gain"].isna().sum())
    if alone:
        found.append(f"{alone} of {len(runs)} runs have no base of their target and seed; paired readings lack them.")
    if len(rest):
        states = [f"{n} {state}" for state, n in rest["state"].value_counts().items()]
        found.append(f"Runs without a value: {', '.join(states)}.")
    marked = runs.loc[runs["flags"] != ""]
    if len(marked):
        kinds = ordered(label(k) for f in marked["flags"].unique() for k in str(f).split(", "))
        names = ", ".join(f"{t} ({n})" for t, n in marked["treatment"].value_counts().items())
        found.append(f"{len(marked)} of {len(runs)} runs are flagged ({', '.join(kinds)}): {names}; marked †.")
    dead = int((base["flags"] != "").sum())
    if dead:
        found.append(f"{dead} of {len(base)} runs of the base are flagged; what is set against them means little.")
    return tuple(found)
