"""Files laid over one another, values set from the command line, interpolation."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.study import Place, StudyError
from harness.study.assemble import assemble


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = Path(name.replace("__", "/") + ".yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def messages(document):
    return [str(problem) for problem in document.problems]


def test_mappings_merge_and_lists_replace(files):
    files(
        base="study: base\ntargets: [a, b, c]\nparams: {steps: 5, source: {steps: 6, lr: 1}}\nseeds: [0]\n",
        top="extends: base.yaml\nstudy: top\ntargets: [d]\nparams:\n  source:\n    lr: 2\n  lr: 3\n",
    )
    document = assemble(Path("top.yaml"), ())
    assert document.data == {
        "study": "top",
        "targets": ["d"],
        "params": {"steps": 5, "source": {"steps": 6, "lr": 2}, "lr": 3},
        "seeds": [0],
    }
    assert document.place(("params", "source", "lr")) == Place("top.yaml", 6)
    assert document.place(("params", "source", "steps")) == Place("base.yaml", 3)
    assert document.place(("targets", 2)) == Place("top.yaml", 3)
    assert document.place(("seeds", 0)) == Place("base.yaml", 4)


def test_a_chain_of_files_in_folders(files):
    files(
        lib__root="a: 1\nb: 1\nplugins: [./p.py]\n",
        lib__middle="extends: root.yaml\nb: 2\nc: 2\n",
        top="extends: lib/middle.yaml\nc: 3\n",
    )
    document = assemble(Path("top.yaml"), ())
    assert document.data == {"a": 1, "b": 2, "plugins": ["./p.py"], "c": 3}
    assert document.folder(("plugins", 0)) == Path("lib")
    assert document.folder(("c",)) == Path()


def test_circles_and_missing_files_are_problems(files):
    files(one="extends: two.yaml\na: 1\n", two="extends: one.yaml\n", three="b: 1\nextends: four.yaml\n")
    assert messages(assemble(Path("one.yaml"), ())) == ["two.yaml:1: the study extends itself through 'one.yaml'"]
    assert messages(assemble(Path("three.yaml"), ())) == ["three.yaml:2: there is no study file 'four.yaml' to extend"]


def test_problems_of_all_files_are_told(files):
    files(base="a: !x 1\n", top="extends: base.yaml\nb: 1\nb: 2\n")
    assert messages(assemble(Path("top.yaml"), ())) == [
        "top.yaml:3: the key 'b' is given twice (first on line 2)",
        "base.yaml:1: the tag !x is not allowed; write the plain value",
    ]


def test_values_are_set_by_the_same_rules(files):
    files(top="a: 1\nlist: [1, 2, {x: 3}]\nmap: {b: 2}\n")
    sets = ("a=1e-3", "map.b=on", "map.c=[010, 5]", "list.0=null", "list.2.x={y: 1}", "new.deep.key=true", "e=")
    document = assemble(Path("top.yaml"), sets)
    assert document.problems == []
    assert document.data == {
        "a": 0.001,
        "list": [None, 2, {"x": {"y": 1}}],
        "map": {"b": "on", "c": ["010", 5]},
        "new": {"deep": {"key": True}},
        "e": None,
    }
    assert document.place(("map", "c", 1)) == Place("--set map.c=[010, 5]", 0)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("steps", "a value is set by key=value, such as params.steps=50"),
        ("=5", "a value is set by key=value, such as params.steps=50"),
        ("a.b=1", "'a' holds no further keys"),
        ("list.7=1", "the list has no entry 7"),
        ("list.x=1", "the list has no entry 'x'"),
        ("a=[1", "this is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("extends=other.yaml", "what a study extends cannot be set; write it in the study"),
        ("a=!x 1", "the tag !x is not allowed; write the plain value"),
    ],
)
def test_what_cannot_be_set(files, item, sentence):
    files(top="a: 1\nlist: [1]\n")
    assert messages(assemble(Path("top.yaml"), (item,))) == [f"--set {item}: {sentence}"]


def test_interpolation_keeps_types_and_reads_set_values(files):
    files(top="a: 1\nb: ${a}\nc: x_${a}_${map.k}\nmap: {k: 1e-3, again: '${map.k}'}\nl: ['${b}', 010]\nm: ${map}\n")
    document = assemble(Path("top.yaml"), ("a=7",))
    assert document.problems == []
    assert document.data == {
        "a": 7,
        "b": 7,
        "c": "x_7_0.001",
        "map": {"k": 0.001, "again": 0.001},
        "l": [7, "010"],
        "m": {"k": 0.001, "again": 0.001},
    }


def test_text_without_interpolation_is_left_alone(files):
    files(top="a: '???'\nb: $x\nc: on\nd: 1_000\ne: ${d}\nf: ${c}\n")
    data = assemble(Path("top.yaml"), ()).data
    assert data == {"a": "???", "b": "$x", "c": "on", "d": "1_000", "e": "1_000", "f": "on"}


def test_the_environment_cannot_be_read(files, monkeypatch):
    monkeypatch.setenv("SECRET", "hush")
    files(top="a: ${oc.env:SECRET}\nb: 'x${ oc.env : SECRET }'\nc: '${a.${oc.decode:x}}'\nd: 1\n")
    document = assemble(Path("top.yaml"), ())
    assert "hush" not in str(document.data)
    assert [problem.line for problem in document.problems] == [1, 2, 3]
    assert all("calls a resolver" in problem.message for problem in document.problems)


def test_every_failing_interpolation_is_told(files):
    files(top="a: ${nowhere}\nb: ${c}\nc: ${b}\nd: ${\n")
    found = assemble(Path("top.yaml"), ()).problems
    assert sorted(problem.line for problem in found) == [1, 2, 3, 4]


def test_a_broken_base_file_is_fatal(files):
    files(base="a: [1\n", top="extends: base.yaml\n")
    with pytest.raises(StudyError, match=r"base\.yaml:2: this is not valid YAML"):
        assemble(Path("top.yaml"), ())
