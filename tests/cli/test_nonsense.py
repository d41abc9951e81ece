"""Words that mean nothing: each gets one sentence that says what is wrong, status 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main

STUDY = """\
study: small
sources: [digits_flip]
targets: [digits_upright]
backbones: [mlp]
methods: [noop]
seeds: [0, 1]
"""
RUN = ("run", "s.yaml", "--in-process", "--results")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one good study and much that is none."""
    for name in ("folder.yaml", "shelf"):
        (tmp_path / name).mkdir()
    files: dict[str, bytes] = {
        "s.yaml": STUDY.encode(),
        "bytes.yaml": b"\xff\xfe\x00study",
        "empty.yaml": b"",
        "prose.yaml": b"once upon a time",
        "twice.yaml": STUDY.encode() + b"study: again\n",
        "exits.yaml": STUDY.encode() + b"plugins: [./exits.py]\n",
        "exits.py": b"raise SystemExit(0)\n",
        "shouts.py": b'raise ValueError("one\\ntwo")\n',
        "a_file": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "dangling.yaml").symlink_to("nowhere.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> str:
    """Run a command that must fail with status 2, and return what it said."""
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code  # type: ignore[assignment]  # argparse gives numbers only
    out, err = capsys.readouterr()
    assert status == 2, (words, out, err)
    assert out == "" and "Traceback" not in err and "fault of the program" not in err
    return str(err)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("plan", ""), "there is no study ''"),
        (("plan", "."), "there is no study '.'"),
        (("plan", "shelf"), "there is no study 'shelf'"),
        (("plan", "folder.yaml"), "harness: folder.yaml is a folder, not a study file"),
        (("plan", "dangling.yaml"), "there is no study file dangling.yaml"),
        (("plan", "missing/s.yaml"), "there is no study file missing/s.yaml"),
        (("plan", "a\nb"), r"there is no study 'a\nb'"),
        (("plan", "q" * 300), "File name too long"),
        (("plan", "bytes.yaml"), "bytes.yaml:1: the file is not UTF-8 text"),
        (("plan", "empty.yaml"), "empty.yaml:1: the study is empty"),
        (("plan", "prose.yaml"), "prose.yaml:1: a study is a mapping"),
        (("plan", "twice.yaml"), "twice.yaml:7: the key 'study' is given twice (first on line 1)"),
        (("plan", "exits.yaml"), "SystemExit: 0"),
        (("methods", "--plugin", "./exits.py"), "exits.py fails to import: SystemExit: 0"),
        (("methods", "--plugin", "./shouts.py"), "shouts.py fails to import: ValueError: one two"),
        (("methods", "--plugin", ""), "plugin '' is neither a file ending in .py nor"),
        (("methods", "--plugin", "./shelf/x.py"), "shelf/x.py does not exist"),
        (("tasks", ""), "unknown task ''"),
        (("tasks", "a\nb"), r"unknown task 'a\nb'"),
        (("studies", ""), "there is no study ''"),
        (("plan", "s.yaml", "--set", "steps"), "--set steps: a value is set by key=value"),
        (("plan", "s.yaml", "--set", ""), "a value is set by key=value"),
        (("plan", "s.yaml", "--set", "=3"), "--set =3: a value is set by key=value"),
        (("plan", "s.yaml", "--set", "seeds=["), "--set seeds=[: this is not valid YAML"),
        (("plan", "s.yaml", "--set", "sedes=[0]"), "--set sedes=[0]: unknown key 'sedes' (did you mean 'seeds'?)"),
        (("plan", "s.yaml", "--only", "seed"), "--only seed: the grid is restricted by axis=value"),
        (("plan", "s.yaml", "--only", "seed=7"), "--only seed=7: the axis 'seed' has no value 7 (known: 0, 1)"),
        (("plan", "s.yaml", "--only", "sede=0"), "unknown axis 'sede' (did you mean 'seed'?)"),
        (("plan", "s.yaml", "--results", ""), "argument --results: expected the name of a folder, not ''"),
        (("plan", "s.yaml", "--results", "a_file"), "'a_file' is a file, not a results directory"),
        (("status", "s.yaml", "--results", "a_file"), "'a_file' is a file, not a results directory"),
        (("studies", "--results", "a_file"), "'a_file' is a file, not a results directory"),
        (("show", "ab", "--results", "a_file"), "'a_file' is a file, not a results directory"),
        (("store", "parts", "--results", "a_file"), "'a_file' is a file, not a results directory"),
        (("store", "parts", "--results", "nowhere"), "there are no results under 'nowhere' yet"),
        ((*RUN, "a_file"), "'a_file' is a file, not a results directory"),
        ((*RUN, "a_file/deeper"), "cannot create the store"),
        ((*RUN, "a%b"), "must not have '%' in its path"),
        ((*RUN, "a\\b"), r"must not have '\\' in its path"),
        ((*RUN, "a\nb"), r"must not have '\n' in its path"),
        ((*RUN, "a\udcff"), r"must not have '\udcff' in its path"),
        (("export", "s.yaml", "--to", "x.csv", "--results", "nowhere"), "there are no results under 'nowhere'"),
        (("schema", "--to", "shelf"), "Is a directory (shelf)"),
        (("schema", "--to", "a_file/x.json"), "a_file/x.json cannot be written: a_file is not a folder"),
        (("--results", "x", "plan", "s.yaml"), "option --results has no place before the command"),
        (("--workers=3", "run", "s.yaml"), "option --workers has no place before the command"),
        (("-x",), "option -x has no place before the command"),
        (("run", "s.yaml", "--in-process", "--address", "auto"), "not allowed with argument --in-process"),
        (("run", "s.yaml", "--workers", "many"), "expected a whole number from 1 on, not 'many'"),
        (("run", "s.yaml", "--workers", "-1"), "expected a whole number from 1 on, not '-1'"),
        (("store",), "the following arguments are required: OPERATION"),
        (("plan", "s.yaml", "--set"), "argument --set: expected one argument"),
    ],
)
def test_one_sentence_and_nothing_is_left(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    before = sorted(folder.rglob("*"))
    said = refused(capsys, words)
    assert sentence in said
    assert said.count("\n") == 1 and said.endswith("\n")
    left = [path for path in sorted(folder.rglob("*")) if path not in before and "__pycache__" not in path.parts]
    assert left == []


@pytest.mark.parametrize("words", [("studies",), ("studies", "--results", "nowhere")])
def test_an_empty_list_prints_nothing(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert main(words) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "trials"),
    [
        ((), 2),
        (("--set", "seeds=[0,1,2]"), 3),
        (("--set", "seeds=[0,1,2]", "--set", "seeds=[5]"), 1),
        (("--only", "seed=0"), 1),
        (("--only", "seed=0", "--only", "seed=1"), 2),
        (("--only", "seed=1,0", "--set", "targets=[digits_flip, digits_invert, digits_noise]"), 6),
    ],
)
def test_of_what_is_set_twice_the_last_counts(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], trials: int
) -> None:
    assert main(["plan", "s.yaml", *words]) == 0
    assert capsys.readouterr().out.startswith(f"study small: {trials} trial{'' if trials == 1 else 's'}, 0 done\n")


def test_a_study_is_found_by_roundabout_ways(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("./s.yaml", "shelf/../s.yaml", str(folder / "s.yaml"), "--"):
        words = ["plan", word] if word != "--" else ["plan", "--", "s.yaml"]
        assert main(words) == 0, word
        assert "2 trials" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["with 'quotes' and \"more\"", "ü", "a?b#c:d=e", " [~] "])
def test_results_may_have_any_other_name(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["run", "s.yaml", "--in-process", "--results", name]) == 0
    assert capsys.readouterr().out.startswith("2 done; 2 new stages in ")
    assert (folder / name / "store" / "records" / "_delta_log").is_dir()
    assert main(["status", "small", "--results", name]) == 0
    assert capsys.readouterr().out.split()[:2] == ["done", "2"]
