"""Seeds, zips, baselines, estimators and task sets of random studies against nested loops over dictionaries."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.study import Block, Study, StudyError, expand

Make = Callable[..., Study]
Cell = dict[str, Any]

TASKS = ("ape", "bee", "cod", "dill")
DOMAIN = {"ape": "land", "bee": "air", "cod": "water", "dill": "land"}
READS = {"move": True, "probe": True, "afresh": False}
PARAMETERS = {
    "move": ("shots", "steps", "lr", "source_steps", "source_lr"),
    "probe": ("shots", "source_steps"),
    "afresh": ("shots", "steps"),
}
CALM = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def some(values: Any, least: int = 1, most: int | None = None) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=most or len(values), unique=True)


@st.composite
def seed_plans(draw: Any) -> Cell:
    """Seeds as written: a list, tied, crossed, or averaged."""
    kind = draw(st.sampled_from(["list", "tied", "crossed", "average"]))
    target = draw(some((0, 1, 2), most=2))
    if kind == "list":
        return {"kind": kind, "target": target}
    least, most = (len(target), len(target)) if kind == "tied" else (1, 3)
    return {"kind": kind, "target": target, "source": draw(some((0, 1, 7), least=least, most=most))}


def seeds_text(plan: Cell) -> str:
    if plan["kind"] == "list":
        return str(plan["target"])
    more = {"tied": "", "crossed": ", tie: false", "average": ", tie: false, combine: weight_average"}[plan["kind"]]
    return f"{{source: {plan['source']}, target: {plan['target']}{more}}}"


def seed_pairs(plan: Cell) -> list[tuple[int, Any]]:
    """(seed, source seed) of a trained source; the source's is None where no column says it."""
    if plan["kind"] == "list":
        return [(seed, None) for seed in plan["target"]]
    if plan["kind"] == "tied":
        same = plan["source"] == plan["target"]
        return [(t, None if same else s) for t, s in zip(plan["target"], plan["source"], strict=True)]
    if plan["kind"] == "crossed":
        return list(itertools.product(plan["target"], plan["source"]))
    return [(seed, "+".join(map(str, plan["source"]))) for seed in plan["target"]]


def found(study: Study, role: str) -> Counter[Any]:
    """Cells as sorted (column, label) pairs; what stands at None is left out."""
    cells: Counter[Any] = Counter()
    for block in expand(study).blocks:
        if block.role == role:
            cells.update(cell_of(block, row, setting) for row, setting in zip(block.rows, block.setting, strict=True))
    return cells


def cell_of(block: Block, row: Any, setting: int) -> tuple[Any, ...]:
    cell: Cell = {axis.name: axis.labels[i] for axis, i in zip(block.axes, row, strict=True)}
    cell |= dict(block.settings[setting].labels) | {"method": block.method, "baseline": block.baseline}
    return as_key(cell)


def as_key(cell: Cell) -> tuple[Any, ...]:
    given = {name: value for name, value in cell.items() if value is not None and name != "backbone"}
    return tuple(sorted(given.items()))


# --- seeds ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=CALM)
@given(
    plan=seed_plans(),
    sources=some(("ape", "bee", "none", "untrained")),
    methods=some(tuple(READS)),
    source_steps=some((7, 8, 9)),
    baseline=st.sampled_from(["none", "untrained", "dill"]),
)
def test_seeds_and_source_axes_never_multiply_what_has_no_source(
    make: Make, plan: Cell, sources: Any, methods: Any, source_steps: Any, baseline: str
) -> None:
    if not {"move", "probe"} & set(methods):
        source_steps = []
    axes = f"axes: {{source: {{steps: {source_steps}}}}}\n" if source_steps else ""
    text = f"{axes}baselines: {{base: {{source: {baseline}}}}}\n"
    study = make(
        text,
        sources=f"[{', '.join(sources)}]",
        methods=f"[{', '.join(methods)}]",
        seeds=seeds_text(plan),
        targets="[cod]",
    )

    def cells(method: str, source: str, name: str | None) -> Iterator[tuple[Any, ...]]:
        shared = {"method": method, "target": "cod", "baseline": name}
        if not READS[method]:
            yield from (as_key({**shared, "seed": seed}) for seed in plan["target"])
        elif source not in TASKS:
            yield from (as_key({**shared, "source": source, "seed": seed}) for seed in plan["target"])
        else:
            for (seed, of_source), steps in itertools.product(seed_pairs(plan), source_steps or [None]):
                own = {"source": source, "seed": seed, "source_seed": of_source, "source_steps": steps}
                yield as_key({**shared, **own})

    expected = {key for method in methods for source in sources for key in cells(method, source, None)}
    assert found(study, "outcome") == Counter(expected)
    assert found(study, "baseline") == Counter({key for method in methods for key in cells(method, baseline, "base")})


@settings(max_examples=40, deadline=None, suppress_health_check=CALM)
@given(first=seed_plans(), second=seed_plans())
def test_a_trial_is_one_however_its_seeds_are_written(make: Make, first: Cell, second: Cell) -> None:
    """Tied seeds 0 and 1 are the crossed ones in which both stages have the same seed."""
    text = f"grids: [{{seeds: {seeds_text(first)}}}, {{seeds: {seeds_text(second)}}}]\n"
    study = make(text, sources="[ape]", targets="[cod]")
    trials = []
    for block in expand(study).blocks:
        axes = {axis.name: (place, axis.values) for place, axis in enumerate(block.axes)}
        for row in block.rows:
            seed = axes["seed"][1][row[axes["seed"][0]]]
            where = axes.get("source_seed")
            trials.append((seed, seed if where is None else where[1][row[where[0]]]))
    expected = set()
    for plan in (first, second):
        for seed, label in seed_pairs(plan):
            average = plan["kind"] == "average"
            expected.add((seed, tuple(plan["source"]) if average else seed if label is None else label))
    assert Counter(trials) == Counter(expected)


# --- axes that advance together ---------------------------------------------------------------------------------------


@st.composite
def zipped_axes(draw: Any) -> Cell:
    """Axes of both scopes of which some advance together, without a combination that stands twice."""
    size = draw(st.integers(2, 3))
    names = draw(some(("shots", "steps", "source_steps", "lr"), least=2))
    together = names[: draw(st.integers(2, len(names)))]
    numbers = {"shots": (1, 5, 9), "steps": (10, 20, 30), "source_steps": (7, 8, 9), "lr": (0.5, 0.25, 0.125)}
    axes = {name: [draw(st.sampled_from(numbers[name])) for _ in range(size)] for name in together}
    axes[together[0]] = list(numbers[together[0]][:size])
    axes |= {name: list(numbers[name][: draw(st.integers(1, 3))]) for name in names[len(together) :]}
    return {"axes": axes, "zip": together}


@settings(max_examples=60, deadline=None, suppress_health_check=CALM)
@given(chosen=zipped_axes(), sources=some(("ape", "none", "untrained")), methods=some(tuple(READS)))
def test_zipped_axes_are_walked_together_and_nothing_is_there_twice(
    make: Make, chosen: Cell, sources: Any, methods: Any
) -> None:
    axes, zipped = chosen["axes"], chosen["zip"]
    known = {name for method in methods for name in PARAMETERS[method]}
    if not set(axes) <= known:
        methods = ["move", *(method for method in methods if method != "move")]
    of_source = [f"source: {{steps: {axes['source_steps']}}}"] if "source_steps" in axes else []
    written = [f"{name}: {values}" for name, values in axes.items() if name != "source_steps"] + of_source
    names = ", ".join(name.replace("source_", "source.") for name in zipped)
    study = make(
        f"axes: {{{', '.join(written)}}}\nzip: [[{names}]]\n",
        sources=f"[{', '.join(sources)}]",
        methods=f"[{', '.join(methods)}]",
        targets="[cod]",
    )
    expected = set()
    loose = [name for name in axes if name not in zipped]
    for method, source, step in itertools.product(methods, sources, range(len(axes[zipped[0]]))):
        for values in itertools.product(*(axes[name] for name in loose)):
            cell: Cell = {name: axes[name][step] for name in zipped} | dict(zip(loose, values, strict=True))
            cell = {name: value for name, value in cell.items() if name in PARAMETERS[method]}
            if source not in TASKS or not READS[method]:
                cell.pop("source_steps", None)
            of = {"source": source} if READS[method] else {}
            expected.add(as_key({**cell, **of, "method": method, "target": "cod", "seed": 0}))
    # A parameter at its default is the same as one not given, but none of these values is a default.
    assert found(study, "outcome") == Counter(expected)


@settings(max_examples=40, deadline=None, suppress_health_check=CALM)
@given(rates=some((0.5, 0.25, 0.125)), steps=some((3, 4)), sources=some(("ape", "none")), fixed=st.booleans())
def test_an_axis_of_both_stages_is_one_axis(make: Make, rates: Any, steps: Any, sources: Any, fixed: bool) -> None:
    """With its source half fixed by the method, or without a source, only the target's half is left."""
    methods = "[{method: move, source: {lr: 2}, as: move}]" if fixed else "[move]"
    study = make(
        f"axes: {{both: {{lr: {rates}}}, steps: {steps}}}\n",
        methods=methods,
        sources=f"[{', '.join(sources)}]",
        targets="[cod]",
    )
    expected = set()
    for rate, step, source in itertools.product(rates, steps, sources):
        of_source = 2.0 if fixed else rate if source == "ape" else None
        cell = {"lr": rate, "steps": step, "source": source, "source_lr": of_source}
        expected.add(as_key({**cell, "method": "move", "target": "cod", "seed": 0}))
    assert found(study, "outcome") == Counter(expected)


# --- sets of tasks ----------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=CALM)
@given(
    tasks=some(TASKS),
    targets=some(TASKS),
    how=st.sampled_from(["each", "all", "all_but_target"]),
    pairs=st.sampled_from(["all", "off_diagonal", "same", "{same: [domain]}", "{differ: [domain]}"]),
)
def test_pairs_of_sets_by_what_is_trained_on(make: Make, tasks: Any, targets: Any, how: str, pairs: str) -> None:
    """A rule speaks about the tasks that are left to train on, never about a target that was taken out."""

    def admitted(members: list[str], target: str) -> bool:
        if pairs == "off_diagonal":
            return target not in members
        if pairs == "same":
            return members == [target]
        if pairs == "all":
            return True
        return all((DOMAIN[one] == DOMAIN[target]) == ("same" in pairs) for one in members)

    groups = [[one] for one in tasks] if how == "each" else [list(tasks)]
    expected = set()
    for members, target in itertools.product(groups, targets):
        left = [one for one in members if one != target] if how == "all_but_target" else members
        if pairs == "same" and how == "all_but_target":
            continue
        if left and admitted(left, target):
            expected.add((" + ".join(left), target))
    if pairs == "same" and how == "all_but_target":
        return
    try:
        study = make(f"pairs: {pairs}\n", sources=f"[{{tasks: [{', '.join(tasks)}], as: {how}}}]", targets=f"{targets}")
    except StudyError as error:
        assert not expected and "the study has no trial" in str(error)
        return
    trained = [
        (str(block.axes[0].values[source]), block.axes[1].labels[target])
        for block in expand(study).blocks
        for source, target in block.rows[:, :2]
    ]
    assert Counter(trained) == Counter(expected)


# --- estimators -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=CALM)
@given(
    sources=some(("ape", "bee", "none", "untrained")),
    targets=some(TASKS),
    plan=seed_plans(),
    pairs=st.sampled_from(["all", "off_diagonal", "{differ: [domain]}"]),
    ks=some((1, 2, 3)),
)
def test_a_score_is_crossed_with_what_it_reads_and_no_seed(
    make: Make, sources: Any, targets: Any, plan: Cell, pairs: str, ks: Any
) -> None:
    text = f"pairs: {pairs}\naxes: {{k: {ks}, shots: [1, 5]}}\nestimators: [closeness, ease]\n"

    def admitted(source: str, target: str) -> bool:
        if source not in TASKS or pairs == "all":
            return True
        return source != target if pairs == "off_diagonal" else DOMAIN[source] != DOMAIN[target]

    cells = [cell for cell in itertools.product(sources, targets) if admitted(*cell)]
    if not cells:
        return
    study = make(text, sources=f"[{', '.join(sources)}]", targets=f"[{', '.join(targets)}]", seeds=seeds_text(plan))
    expected = {
        as_key({"source": source, "target": target, "k": k, "method": "closeness"})
        for source, target in cells
        for k in ks
        if source != "none"
    } | {as_key({"target": target, "method": "ease"}) for _, target in cells}
    assert found(study, "estimator") == Counter(expected)
