"""The shape of a study: all mistakes in one go, each with its own line, the rest still read."""

from __future__ import annotations

import pytest

from harness.study.document import parse_document
from harness.study.schema import SubsetRule, TaskSetSource
from harness.study.structure import Reporter, check_structure, shown, written


def check(text):
    reporter = Reporter(parse_document(text, "s.yaml"))
    file = check_structure(reporter)
    return file, reporter, [(problem.line, problem.message) for problem in reporter.problems]


def test_a_sound_study_comes_back_as_types():
    text = "study: s\nsources: [a, {tasks: [b, c], as: {subsets: {sizes: [1], sample: 2}}}]\n"
    text += "seeds: {source: [1], tie: false}\n"
    file, _, problems = check(text)
    assert problems == []
    assert file.study == "s" and file.seeds.source == [1] and not file.seeds.tie
    plain, tagged = file.sources
    assert plain == "a" and isinstance(tagged, TaskSetSource) and isinstance(tagged.as_, SubsetRule)
    assert tagged.as_.subsets.sample == 2


def test_what_is_broken_is_taken_out_and_the_rest_is_kept():
    text = """study: s
targets:
  - a
  - 3
  - b
  - {c: 1}
  - d
params: {steps: 5}
numerics: {tf32: 1, precision: float64}
colour: red
"""
    file, reporter, problems = check(text)
    assert sorted(problems) == [
        (4, "an entry of targets must be text, not 3 (put it in quotes to make it text)"),
        (6, "an entry of targets must be text, not a mapping"),
        (9, "numerics.tf32 must be true or false, not 1"),
        (10, "unknown key 'colour'"),
    ]
    assert file.targets == ["a", "b", "d"] and file.params == {"steps": 5}
    assert file.numerics.precision == "float64" and file.numerics.tf32 is False
    # The places of what is left have moved along.
    assert [reporter.document.place(("targets", index)).line for index in range(3)] == [3, 5, 7]


def test_mistakes_under_an_unknown_key_do_not_hide_others():
    text = "study: s\nbaselines:\n  own: {sorce: none}\n  raw: {source: 5}\n"
    text += "grids:\n  - {targets: []}\n  - {tragets: [a]}\n"
    _, _, problems = check(text)
    assert sorted(problems) == [
        (3, "unknown key 'sorce' (did you mean 'source'?)"),
        (
            4,
            "baselines.raw.source must be a task, untrained, none, or a mapping with the key tasks, groups, checkpoint "
            "or artifact, not 5",
        ),
        (6, "grids.targets is empty"),
        (7, "unknown key 'tragets' (did you mean 'targets'?)"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("study:", "study must be text, not nothing"),
        ("study: [a]", "study must be text, not a list of 1"),
        ("study: s\nseeds:", "seeds is empty"),
        ("study: s\nseeds: 5", "seeds must be a list, not 5 (write [5])"),
        ("study: s\ntargets:\n", "targets is empty"),
        ("study: s\nparams:\n", "params must be a mapping, not nothing"),
        ("study: s\nexecution: {time_limit: 0}", "execution.time_limit must be greater than 0, not 0"),
        ("study: s\nexecution: {memory_limit: -1}", "execution.memory_limit must be bytes or a size such as 8GiB"),
        ("study: s\nexecution: {resources: {train: {gpu: 1}}}", "unknown key 'gpu' (did you mean 'gpus'?)"),
        ("study: s\nseeds: [99999999999999999999]", "an entry of seeds must be less than 9223372036854775808, not "),
        ("study: s\ntune: {list: [5]}", "an entry of tune.list must be a mapping, not 5"),
        ("study: s\npairs: [a, b]", "an entry of pairs must be a list, not 'a' (write [a])"),
        ("study: s\nmethods: [{method: [a]}]", "an entry of methods must name its method: { method: name, ... }"),
        ("study: s\nmethods: [{method: a, as: 5}]", "an entry of methods: the label after 'as' must be text"),
        ("study: s\nexclude: [{match: {a: 1}, reason: ''}]", "exclude.reason must have at least 1 character, not ''"),
        (
            "study: s\nanalyses: [{kind: 5}]",
            "analyses.kind must be matrix, correlation, table, lines, compare, layer_transfer, gains, agreement or "
            "groups, not 5",
        ),
    ],
)
def test_sentences(text, sentence):
    _, _, problems = check(text)
    assert problems[0][1].startswith(sentence)


def test_how_values_and_paths_are_shown():
    assert [shown(value) for value in (None, True, 1e-3, "a", [1, 2], {"a": 1})] == [
        "nothing", "true", "0.001", "'a'", "a list of 2", "a mapping",
    ]  # fmt: skip
    assert [written(path) for path in ((), ("a",), ("a", 0), ("a", 0, "b"), ("a", 0, "b", 1))] == [
        "the study", "a", "an entry of a", "a.b", "an entry of a.b",
    ]  # fmt: skip


def test_what_was_broken_is_remembered():
    _, reporter, _ = check("study: s\ntargets: [a, 3]\nparams: 5\nnumerics: {tfs: 1}\n")
    assert reporter.is_tainted(("targets",)) and not reporter.is_tainted(("targets", 0))
    assert reporter.is_tainted(("params",)) and reporter.is_tainted(("numerics",)) and reporter.is_tainted(())
    assert not reporter.is_tainted(("sources",)) and reporter.is_tainted_name("tfs")
    assert reporter.is_tainted_section(("params",)) and not reporter.is_tainted_section(("axes", "pairs"))
