"""Expansion of random studies against a slow one: nested loops over dictionaries, written from the rules alone."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.study import StudyError, expand, load_study

PLUGIN = Path(__file__).resolve().parent / "samples" / "sample_plugin.py"
TASKS = ("ape", "bee", "cod", "dill")
DOMAIN = {"ape": "land", "bee": "air", "cod": "water", "dill": "land"}
PARAMETERS = {
    "move": ("shots", "steps", "lr", "source_steps", "source_lr"),
    "probe": ("shots", "source_steps"),
    "afresh": ("shots", "steps"),
}
VALUES = {"shots": (1, 5, "all"), "steps": (10, 20, 30), "lr": (0.5, 0.25), "source_steps": (7, 8)}


def some(values, least=1):
    return st.lists(st.sampled_from(values), min_size=least, max_size=len(values), unique=True)


conditions = st.fixed_dictionaries(
    {},
    optional={
        "source": some(TASKS),
        "target": some(TASKS),
        "method": some(tuple(PARAMETERS)),
        "seed": some((0, 1)),
        **{name: some(values) for name, values in VALUES.items()},
    },
).filter(bool)

grids = st.fixed_dictionaries(
    {
        "sources": some((*TASKS, "none", "untrained")),
        "targets": some(TASKS),
        "methods": some(tuple(PARAMETERS)),
        "seeds": st.sampled_from([[0], [0, 1], {"source": [3, 4], "target": [0, 1], "tie": False}]),
        "axes": st.fixed_dictionaries({}, optional={name: some(values) for name, values in VALUES.items()}),
        "pairs": st.sampled_from(["all", "off_diagonal", "same", {"same": ["domain"]}, {"differ": ["domain"]}]),
        "include": st.lists(conditions, max_size=2),
        "exclude": st.lists(conditions, max_size=2),
        "overrides": st.lists(st.tuples(conditions, st.integers(40, 43)), max_size=2),
    }
)


# --- the slow way -----------------------------------------------------------------------------------------------------


def allowed(pairs: Any, source: str, target: str) -> bool:
    if source not in TASKS or pairs == "all":
        return True
    if pairs == "off_diagonal":
        return source != target
    if pairs == "same":
        return source == target
    return (DOMAIN[source] == DOMAIN[target]) == ("same" in pairs)


def matches(condition: dict[str, list[Any]], cell: dict[str, Any], lenient: bool) -> bool:
    """Strict: every axis named must be in the cell. Lenient: an axis that the cell's method lacks says nothing."""
    for axis, values in condition.items():
        if axis not in cell:
            if lenient:
                continue
            return False
        if cell[axis] is None or cell[axis] not in values:
            return False
    return True


def slow(grid: dict[str, Any]) -> tuple[Counter[Any], Counter[Any]]:
    """Return (trials, excluded cells) as sorted item tuples."""
    trials: set[Any] = set()
    excluded: set[Any] = set()
    steps_axis = "steps" in grid["axes"]
    for method, source, target in itertools.product(grid["methods"], grid["sources"], grid["targets"]):
        if not allowed(grid["pairs"], source, target):
            continue
        names = [name for name in grid["axes"] if name in PARAMETERS[method]]
        for values in itertools.product(*(grid["axes"][name] for name in names)):
            for seed, source_seed in seeds_of(grid["seeds"]):
                cell = {"method": method, "target": target, "seed": seed, **dict(zip(names, values, strict=True))}
                if method != "afresh":
                    trained = source in TASKS
                    cell["source"] = source
                    if source_seed is not None:
                        cell["source_seed"] = source_seed if trained else None
                    if "source_steps" in cell and not trained:
                        cell["source_steps"] = None
                if grid["include"] and not any(matches(one, cell, lenient=True) for one in grid["include"]):
                    continue
                out = any(matches(one, cell, lenient=False) for one in grid["exclude"])
                if not steps_axis and "steps" in PARAMETERS[method]:
                    for condition, steps in grid["overrides"]:
                        if matches(condition, cell, lenient=False):
                            cell["steps"] = steps
                (excluded if out else trials).add(tuple(sorted(cell.items(), key=str)))
    return Counter(trials), Counter(excluded)


def seeds_of(seeds: Any) -> list[tuple[int, int | None]]:
    if isinstance(seeds, list):
        return [(seed, None) for seed in seeds]
    return list(itertools.product(seeds["target"], seeds["source"]))


# --- the study --------------------------------------------------------------------------------------------------------


def written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(written, value)) + "]"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def as_yaml(grid: dict[str, Any]) -> str:
    axes: dict[str, Any] = {name: values for name, values in grid["axes"].items() if name != "source_steps"}
    if "source_steps" in grid["axes"]:
        axes["source"] = {"steps": grid["axes"]["source_steps"]}
    data = {
        "study": "random",
        "plugins": [str(PLUGIN)],
        "backbones": ["mlp"],
        **{key: grid[key] for key in ("sources", "targets", "methods", "seeds", "pairs")},
        "axes": axes,
        "include": [{"match": one} for one in grid["include"]],
        "exclude": [{"match": one, "reason": "no"} for one in grid["exclude"]],
    }
    if "steps" not in grid["axes"]:
        data["overrides"] = [{"match": one, "set": {"steps": steps}} for one, steps in grid["overrides"]]
    return "".join(f"{key}: {written(value)}\n" for key, value in data.items())


def fast(text: str) -> tuple[Counter[Any], Counter[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "random.yaml")
        path.write_text(text)
        blocks = expand(load_study(path)).blocks
    trials: Counter[Any] = Counter()
    excluded: Counter[Any] = Counter()
    for block in blocks:
        groups = [(trials, block.rows, block.setting), *((excluded, g.rows, g.setting) for g in block.excluded)]
        for found, rows, setting in groups:
            for row, which in zip(rows.tolist(), setting.tolist(), strict=True):
                cell = {axis.name: axis.labels[i] for axis, i in zip(block.axes, row, strict=True)}
                del cell["backbone"]
                cell.update(block.settings[which].labels)
                cell["method"] = block.method
                found[tuple(sorted(cell.items(), key=str))] += 1
    return trials, excluded


def clean(grid: dict[str, Any]) -> dict[str, Any]:
    """Leave out conditions that the grid would refuse: on axes or values that it has not."""
    known = {
        "source": grid["sources"],
        "target": grid["targets"],
        "method": grid["methods"],
        "seed": grid["seeds"] if isinstance(grid["seeds"], list) else grid["seeds"]["target"],
        **grid["axes"],
    }

    def restricted(condition: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found = {axis: [v for v in values if v in known.get(axis, ())] for axis, values in condition.items()}
        return {axis: values for axis, values in found.items() if values}

    def declared(name: str) -> bool:
        return any(name in PARAMETERS[method] for method in grid["methods"])

    axes = {name: values for name, values in grid["axes"].items() if declared(name)}
    known = {axis: values for axis, values in known.items() if axis not in VALUES or axis in axes}
    return {
        **grid,
        "axes": axes,
        "include": [one for one in map(restricted, grid["include"]) if one],
        "exclude": [one for one in map(restricted, grid["exclude"]) if one],
        "overrides": [(one, steps) for one, steps in ((restricted(c), s) for c, s in grid["overrides"]) if one],
    }


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grids)
def test_random_studies(grid):
    grid = clean(grid)
    expected = slow(grid)
    try:
        found = fast(as_yaml(grid))
    except StudyError as error:
        # Refused only for rules that match or change nothing, or because no cell is left.
        allowed_sentences = ("matches no cell", "changes nothing", "the study has no trial", "has a parameter 'steps'")
        assert all(any(part in problem.message for part in allowed_sentences) for problem in error.problems)
        return
    assert found == expected
