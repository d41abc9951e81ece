"""Expansion against the same studies counted by hand or crossed by itertools."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from harness.backbones.base import Untrained
from harness.study import expand
from harness.tasks.base import Task

SEEDS = (0, 1)


def product(method, *values):
    return Counter((method, *row) for row in itertools.product(*values))


def test_all_axes_are_crossed(make, cells):
    study = make("axes: {shots: [1, 5], lr: [0.1, 0.2]}\n", seeds="[0, 1]")
    found = cells(study, "source", "target", "backbone", "seed", "shots", "lr")
    assert found == product("move", ("ape", "bee"), ("bee", "cod"), ("mlp",), SEEDS, (1, 5), (0.1, 0.2))


def test_rows_index_resolved_values(make):
    (block,) = expand(make("axes: {lr: [1, 2]}\n", sources="[ape, untrained, none]")).blocks
    axes = {axis.name: axis for axis in block.axes}
    assert [axis.name for axis in block.axes] == ["source", "target", "backbone", "seed", "lr"]
    ape, untrained, none = axes["source"].values
    assert isinstance(ape, Task) and ape.name == "ape" and untrained == Untrained() and none is None
    assert axes["source"].labels == ("ape", "untrained", "none")
    assert axes["lr"].values == (1.0, 2.0) and all(type(value) is float for value in axes["lr"].values)
    assert block.rows.dtype == np.int32 and block.rows.shape == (3 * 2 * 2, 5)
    assert block.setting.dtype == np.int32 and set(block.setting) == {0} and len(block.settings) == 1
    assert all(block.rows[:, i].max() < len(axis.values) for i, axis in enumerate(block.axes))


def test_an_axis_is_crossed_only_with_methods_that_have_it(make, cells):
    study = make("axes: {shots: [1, 5], lr: [0.1, 0.2, 0.3]}\n", methods="[move, probe]")
    found = cells(study, "source", "target", "shots", "lr")
    pairs = (("ape", "bee"), ("bee", "cod"))
    assert found == product("move", *pairs, (1, 5), (0.1, 0.2, 0.3)) + product("probe", *pairs, (1, 5), (None,))


def test_a_method_that_reads_no_source_is_not_multiplied_by_it(make, cells):
    study = make("axes: {shots: [1, 5]}\n", methods="[afresh]", seeds="[0, 1]")
    assert cells(study, "target", "seed", "shots") == product("afresh", ("bee", "cod"), SEEDS, (1, 5))
    assert [axis.name for axis in expand(study).blocks[0].axes] == ["target", "backbone", "seed", "shots"]


def test_source_axes_do_not_multiply_what_has_no_source_training(make, cells):
    study = make("axes: {source: {steps: [10, 20]}, shots: [1, 5]}\n", sources="[ape, none, untrained]")
    found = cells(study, "source", "target", "source_steps", "shots")
    trained = product("move", ("ape",), ("bee", "cod"), (10, 20), (1, 5))
    assert found == trained + product("move", ("none", "untrained"), ("bee", "cod"), (None,), (1, 5))
    (block,) = expand(study).blocks
    axis = next(axis for axis in block.axes if axis.name == "source_steps")
    assert axis.values == (10, 20, 400) and axis.labels == (10, 20, None)  # 400 is the recipe's own default


def test_an_axis_of_both_stages_sets_both(make, cells):
    study = make("axes: {both: {lr: [0.1, 0.2]}}\n", sources="[ape, none]", targets="[bee]")
    found = cells(study, "source", "lr", "source_lr")
    assert found == Counter(
        [("move", "ape", 0.1, 0.1), ("move", "ape", 0.2, 0.2), ("move", "none", 0.1, None), ("move", "none", 0.2, None)]
    )


def test_fixed_parameters_go_to_the_scopes_they_name(make):
    study = make(
        "params: {steps: 50, source: {steps: 60}, target: {shots: 7}, both: {lr: 1}}\n", methods="[move, probe]"
    )
    move, probe = expand(study).blocks
    assert dict(move.settings[0].params) == {"shots": 7, "steps": 50, "lr": 1.0, "source_steps": 60, "source_lr": 1.0}
    assert dict(probe.settings[0].params) == {"shots": 7, "source_steps": 60}


def test_a_methods_own_parameters_win_over_params_and_axes(make, cells):
    study = make(
        "params: {steps: 50}\naxes: {lr: [0.1, 0.2]}\n",
        methods="[move, {method: move, lr: 0.5, steps: 9, source: {steps: 3}, as: other}]",
        targets="[cod]",
    )
    found = cells(study, "source", "lr", "steps", "source_steps")
    assert found == product("move", ("ape", "bee"), (0.1, 0.2), (50,), (None,)) + product(
        "other", ("ape", "bee"), (0.5,), (9,), (3,)
    )


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_a_list_of_seeds_ties_both_stages(make):
    (block,) = expand(make(seeds="[3, 4]")).blocks
    assert [axis.name for axis in block.axes] == ["source", "target", "backbone", "seed"]
    assert len(block) == 2 * 2 * 2


def test_tied_seeds_with_other_numbers_advance_together(make, cells):
    study = make(seeds="{source: [10, 11], target: [0, 1]}", sources="[ape, none]", targets="[cod]")
    assert cells(study, "source", "seed", "source_seed") == Counter(
        [("move", "ape", 0, 10), ("move", "ape", 1, 11), ("move", "none", 0, None), ("move", "none", 1, None)]
    )


def test_separate_seeds_are_crossed_except_where_there_is_no_source(make, cells):
    study = make(seeds="{source: [0, 1, 2], target: [5, 6], tie: false}", sources="[ape, none]", targets="[cod]")
    expected = product("move", ("ape",), (5, 6), (0, 1, 2)) + product("move", ("none",), (5, 6), (None,))
    assert cells(study, "source", "seed", "source_seed") == expected
    (block,) = expand(study).blocks
    axes = {axis.name: index for index, axis in enumerate(block.axes)}
    for row in block.rows.tolist():
        source = block.axes[axes["source"]].values[row[axes["source"]]]
        seed, source_seed = (block.axes[axes[name]].values[row[axes[name]]] for name in ("seed", "source_seed"))
        assert source is not None or source_seed == seed  # a trial without a source still has a source seed


def test_weights_may_be_averaged_over_source_seeds(make, cells):
    study = make(seeds="{source: [0, 1, 2], target: [5, 6], tie: false, combine: weight_average}", targets="[cod]")
    found = cells(study, "source", "seed", "source_seed")
    assert found == product("move", ("ape", "bee"), (5, 6), ("0+1+2",))
    axis = next(axis for axis in expand(study).blocks[0].axes if axis.name == "source_seed")
    assert axis.values[0] == (0, 1, 2)


# --- pairs ------------------------------------------------------------------------------------------------------------

FOUR = "[ape, bee, cod, dill]"
FAMILY = {"ape": "animal", "bee": "animal", "cod": "animal", "dill": "plant"}
DOMAIN = {"ape": "land", "bee": "air", "cod": "water", "dill": "land"}


def pairs_of(make, cells, pairs, **more):
    study = make(f"pairs: {pairs}\n", **{"sources": FOUR, "targets": FOUR, **more})
    return {row[1:] for row in cells(study, "source", "target")}


def test_words_for_pairs(make, cells):
    every = set(itertools.product(FAMILY, FAMILY))
    assert pairs_of(make, cells, "all") == every
    assert pairs_of(make, cells, "off_diagonal") == {(s, t) for s, t in every if s != t}
    assert pairs_of(make, cells, "same") == {(s, t) for s, t in every if s == t}


def test_pairs_by_attributes(make, cells):
    every = list(itertools.product(FAMILY, FAMILY))
    assert pairs_of(make, cells, "{same: [family]}") == {(s, t) for s, t in every if FAMILY[s] == FAMILY[t]}
    assert pairs_of(make, cells, "{differ: [domain]}") == {(s, t) for s, t in every if DOMAIN[s] != DOMAIN[t]}
    assert pairs_of(make, cells, "{same: [domain], differ: [family]}") == {("ape", "dill"), ("dill", "ape")}
    assert pairs_of(make, cells, "{same: [family, domain]}") == {(s, s) for s in FAMILY}


def test_listed_pairs(make, cells):
    assert pairs_of(make, cells, "[[ape, bee], [dill, ape]]") == {("ape", "bee"), ("dill", "ape")}


def test_sources_that_are_no_task_are_on_no_diagonal(make, cells):
    sources = "[ape, none, untrained]"
    found = pairs_of(make, cells, "off_diagonal", sources=sources, targets="[ape]")
    assert found == {("none", "ape"), ("untrained", "ape")}
    found = pairs_of(make, cells, "{differ: [family]}", sources=sources, targets="[ape]")
    assert found == {("none", "ape"), ("untrained", "ape")}


def test_a_set_with_the_target_in_it_is_on_the_diagonal(make, cells):
    sources = "[{tasks: [ape, bee]}, {tasks: [bee, cod]}]"
    assert pairs_of(make, cells, "off_diagonal", sources=sources, targets="[ape]") == {("bee + cod", "ape")}


# --- zip, include, exclude --------------------------------------------------------------------------------------------


def test_zipped_axes_advance_together(make, cells):
    study = make("axes: {shots: [1, 5, all], steps: [10, 20, 10], lr: [0.1, 0.2]}\nzip: [[shots, steps]]\n")
    expected = Counter()
    for source, target, (shots, steps), lr in itertools.product(
        ("ape", "bee"), ("bee", "cod"), ((1, 10), (5, 20), ("all", 10)), (0.1, 0.2)
    ):
        expected["move", source, target, shots, steps, lr] += 1
    assert cells(study, "source", "target", "shots", "steps", "lr") == expected


def test_a_method_with_one_of_two_zipped_axes_has_each_value_once(make, cells):
    text = "axes: {shots: [1, 5, 1], steps: [10, 20, 30]}\nzip: [[shots, steps]]\n"
    study = make(text, methods="[probe, move]", targets="[cod]", sources="[ape]")
    assert cells(study, "shots", "steps") == Counter(
        [("probe", 1, None), ("probe", 5, None), ("move", 1, 10), ("move", 5, 20), ("move", 1, 30)]
    )


def test_axes_of_both_stages_may_be_zipped(make, cells):
    text = "axes: {steps: [10, 20], source: {steps: [30, 40]}}\nzip: [[steps, source.steps]]\n"
    study = make(text, sources="[ape, none]", targets="[cod]")
    assert cells(study, "source", "steps", "source_steps") == Counter(
        [("move", "ape", 10, 30), ("move", "ape", 20, 40), ("move", "none", 10, None), ("move", "none", 20, None)]
    )


def test_include_keeps_what_matches_one_of_its_entries(make, cells):
    text = "axes: {shots: [1, 5]}\ninclude: [{match: {source: ape, shots: 1}}, {match: {target: cod, shots: 5}}]\n"
    every = product("move", ("ape", "bee"), ("bee", "cod"), (1, 5))
    kept = {row for row in every if (row[1] == "ape" and row[3] == 1) or (row[2] == "cod" and row[3] == 5)}
    assert set(cells(make(text), "source", "target", "shots")) == kept


def test_excluded_cells_are_listed_once_with_the_first_reason(make, cells):
    text = """
exclude:
  - match: {source: ape, target: [bee, cod]}
    reason: ape is broken
  - match: {target: cod}
    reason: cod is broken
"""
    study = make(text, seeds="[0, 1]")
    assert cells(study, "source", "target") == Counter({("move", "bee", "bee"): 2})
    (block,) = expand(study).blocks
    names = [axis.name for axis in block.axes]
    out = {
        (group.reason, *(block.axes[names.index(n)].labels[row[names.index(n)]] for n in ("source", "target", "seed")))
        for group in block.excluded
        for row in group.rows.tolist()
    }
    assert out == {("ape is broken", "ape", target, seed) for target in ("bee", "cod") for seed in SEEDS} | {
        ("cod is broken", "bee", "cod", seed) for seed in SEEDS
    }


def test_a_match_on_an_axis_that_a_method_lacks_excludes_nothing_of_it(make, cells):
    text = "axes: {lr: [0.1, 0.2]}\nexclude: [{match: {lr: 0.1}, reason: slow}]\n"
    study = make(text, methods="[move, probe]", sources="[ape]", targets="[cod]")
    assert cells(study, "lr") == Counter([("move", 0.2), ("probe", None)])


def test_numbers_match_by_value_and_true_is_not_one(make, cells):
    text = "axes: {lr: [1, 2.0]}\nexclude: [{match: {lr: 2}, reason: a}]\n"
    assert {row[1] for row in cells(make(text), "lr")} == {1.0}


# --- overrides --------------------------------------------------------------------------------------------------------


def test_overrides_change_fixed_parameters_of_matching_cells(make, cells):
    text = """
params: {steps: 50, source: {steps: 60}}
overrides:
  - match: {target: cod}
    set: {steps: 10}
  - match: {source: ape, target: cod}
    set: {lr: 0.9, source: {steps: 5}}
    reason: it takes longer
"""
    study = make(text, methods="[move, probe]", seeds="[0, 1]")
    found = set(cells(study, "source", "target", "steps", "lr", "source_steps"))
    assert found == {
        ("move", "ape", "bee", 50, None, 60),
        ("move", "bee", "bee", 50, None, 60),
        ("move", "bee", "cod", 10, None, 60),
        ("move", "ape", "cod", 10, 0.9, 5),
        ("probe", "ape", "bee", None, None, 60),
        ("probe", "bee", "bee", None, None, 60),
        ("probe", "bee", "cod", None, None, 60),
        ("probe", "ape", "cod", None, None, 5),
    }
    assert [len(block.settings) for block in expand(study).blocks] == [3, 2]


def test_a_later_override_wins(make, cells):
    text = "overrides: [{match: {target: cod}, set: {steps: 1}}, {match: {source: ape}, set: {steps: 2}}]\n"
    assert set(cells(make(text), "source", "target", "steps")) == {
        ("move", "ape", "bee", 2),
        ("move", "ape", "cod", 2),
        ("move", "bee", "cod", 1),
        ("move", "bee", "bee", None),
    }


# --- baselines and estimators -----------------------------------------------------------------------------------------


def test_a_baseline_stands_once_for_all_sources(make, cells):
    text = (
        "axes: {shots: [1, 5], source: {steps: [10, 20]}}\nbaselines: {own: {source: none}, raw: {source: untrained}}\n"
    )
    study = make(text, methods="[move, probe]", seeds="{source: [0, 1], target: [7, 8], tie: false}")
    found = cells(study, "source", "target", "seed", "source_seed", "shots", "source_steps", role="baseline")
    expected = Counter()
    for method in ("move", "probe"):
        expected += product(method, ("none", "untrained"), ("bee", "cod"), (7, 8), (None,), (1, 5), (None,))
    assert found == expected
    assert {(block.baseline, block.method) for block in expand(study).blocks if block.role == "baseline"} == {
        (name, method) for name in ("own", "raw") for method in ("move", "probe")
    }


def test_a_baseline_with_a_method_of_its_own_has_that_methods_axes(make, cells):
    text = "axes: {shots: [1, 5], lr: [0.1, 0.2]}\nbaselines: {scratch: {method: afresh}}\n"
    found = cells(make(text), "target", "shots", "lr", role="baseline")
    assert found == product("afresh", ("bee", "cod"), (1, 5), (None,))


def test_baselines_stand_only_at_targets_that_have_a_pair(make, cells):
    study = make("pairs: [[ape, cod]]\nbaselines: {own: {source: none}}\n")
    assert cells(study, "target", role="baseline") == Counter([("move", "cod")])


def test_rules_about_targets_hold_for_baselines_too(make, cells):
    text = """
baselines: {own: {source: none}}
overrides: [{match: {target: cod}, set: {steps: 5}}]
exclude:
  - {match: {target: bee}, reason: broken}
"""
    study = make(text)
    assert cells(study, "target", "steps", role="baseline") == Counter([("move", "cod", 5)])
    assert cells(study, "source", "target", "steps") == product("move", ("ape", "bee"), ("cod",), (5,))


def test_include_of_a_source_keeps_the_baselines(make, cells):
    text = "baselines: {own: {source: none}}\ninclude: [{match: {source: ape, target: cod}}]\n"
    study = make(text)
    assert cells(study, "source", "target") == Counter([("move", "ape", "cod")])
    assert cells(study, "source", "target", role="baseline") == Counter([("move", "none", "cod")])


def test_estimators_cross_only_what_they_read(make, cells):
    text = "axes: {shots: [1, 5]}\nestimators: [closeness, ease, {estimator: closeness, k: 3, as: close3}]\n"
    study = make(text, seeds="[0, 1, 2]", methods="[move, probe]", sources="[ape, bee, none]")
    pairs = (("ape", "bee"), ("bee", "cod"))
    found = cells(study, "source", "target", "k", role="estimator")
    assert found == (
        product("closeness", *pairs, (None,))
        + product("close3", *pairs, (3,))
        + product("ease", (None,), ("bee", "cod"), (None,))
    )
    excluded = {group.reason for block in expand(study).blocks for group in block.excluded}
    assert excluded == {"there is no source that could be scored"}


def test_a_study_may_have_estimators_alone(make, cells):
    study = make("estimators: [ease]\n", methods=None)
    assert cells(study, "target", role="estimator") == product("ease", ("bee", "cod"))


# --- unions of grids --------------------------------------------------------------------------------------------------


def test_grids_take_what_they_do_not_say_from_the_top_level(make, cells):
    text = """
axes: {shots: [1, 5]}
params: {steps: 50, lr: 0.1}
grids:
  - {sources: [dill]}
  - {targets: [ape], axes: {steps: [1, 2]}, params: {shots: 3}}
"""
    assert cells(make(text), "source", "target", "shots", "steps") == (
        product("move", ("dill",), ("bee", "cod"), (1, 5), (50,))
        + product("move", ("ape", "bee"), ("ape",), (3,), (1, 2))
    )


def test_a_trial_of_two_grids_is_one_trial(make, cells):
    text = """
grids:
  - {sources: [ape, bee], axes: {steps: [100, 200]}}
  - {sources: [bee, cod], params: {steps: 100}}
  - {sources: [ape]}
"""
    # 200 is the default of steps, so the third grid lies within the first.
    study = make(text, targets="[dill]")
    assert sum(cells(study, "source").values()) == 4 + 1
    assert len(expand(study).blocks) == 2


def test_a_cell_left_out_of_one_grid_but_in_another_is_in(make, cells):
    text = """
exclude: [{match: {source: ape, target: bee}, reason: shared}]
grids:
  - {}
  - {sources: [ape], targets: [bee, cod], params: {lr: 0.7}}
  - {exclude: [{match: {source: bee, target: bee}, reason: own}]}
"""
    study = make(text)
    assert cells(study, "source", "target", "lr") == Counter(
        [
            ("move", "bee", "bee", None),
            ("move", "bee", "cod", None),
            ("move", "ape", "cod", None),
            ("move", "ape", "cod", 0.7),
        ]
    )
    reasons = Counter()
    for block in expand(study).blocks:
        reasons.update({group.reason: len(group.rows) for group in block.excluded})
    assert reasons == {"shared": 2}


def test_numerics_and_checkpoint_rules_make_other_trials(make, cells):
    text = """
grids:
  - {}
  - {numerics: {precision: float64}}
  - {checkpoint: {keep: best, every: 5}}
"""
    study = make(text)
    assert sum(cells(study, "source").values()) == 3 * 4
    settings = [block.settings[0] for block in expand(study).blocks]
    assert [one.numerics.precision for one in settings] == ["float32", "float64", "float32"]
    assert [(one.checkpoint.keep, one.checkpoint.every) for one in settings] == [
        ("last", None),
        ("last", None),
        ("best", 5),
    ]


def test_baselines_of_two_grids_are_one(make, cells):
    text = "baselines: {own: {source: none}}\ngrids: [{sources: [ape]}, {sources: [bee]}]\n"
    assert cells(make(text), "target", role="baseline") == product("move", ("bee", "cod"))
