"""import, compare, heatmap, correlate, table and show --cell, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
IMPORTS, PUBLISHED = ROOT / "studies" / "published", ROOT / "results" / "published"


@pytest.fixture(scope="module")
def imported(tmp_path_factory, harness_in):
    """A results folder with the grids of TLL and of Yosinski et al."""
    folder = tmp_path_factory.mktemp("imported")
    for name, count in (("tll", "400 trials"), ("yosinski2014", "148 trials")):
        done = harness_in(folder, "import", str(IMPORTS / f"{name}.yaml"))
        assert done.returncode == 0 and count in done.stdout and f"as {name}" in done.stdout, done.stderr
    return folder


def test_compare_exits_with_4_when_something_differs(imported, harness_in):
    done = harness_in(imported, "compare", "tll", "--published", str(PUBLISHED))
    assert done.returncode == 4 and done.stderr == ""
    assert "weighted_tau: 20 match, 12 differ, 0 not comparable of 32." in done.stdout
    assert "copy of its LogME column" in done.stdout


def test_compare_exits_with_0_when_all_matches(imported, harness_in):
    done = harness_in(imported, "compare", "yosinski2014", "--published", str(PUBLISHED), "--all")
    assert done.returncode == 0 and "6 match, 0 differ" in done.stdout and "0.9731" in done.stdout
    found = json.loads(harness_in(imported, "compare", "yosinski2014", "--published", str(PUBLISHED), "--json").stdout)
    assert len(found) == 6 and {m["status"] for m in found} == {"match"}


def test_compare_averages_and_wrong_names(imported, harness_in):
    done = harness_in(imported, "compare", "--averages", "--published", str(PUBLISHED))
    assert done.returncode == 0 and "314 printed averages: 283 follows" in done.stdout
    assert harness_in(imported, "compare").stderr == "harness: name the study to compare, or give --averages\n"
    wrong = harness_in(imported, "compare", "tll", "--paper", "tl", "--published", str(PUBLISHED))
    assert wrong.returncode == 2 and "did you mean 'tll'" in wrong.stderr


def test_one_heatmap_one_table_one_correlation(imported, harness_in):
    done = harness_in(imported, "heatmap", "tll", "--to", "a/b.svg", "--cluster", "both")
    assert done.returncode == 0 and (imported / "a" / "b.svg").read_text().startswith("<?xml")
    table = harness_in(imported, "table", "tll", "--format", "csv", "--relative-to", "z")
    assert table.returncode == 0 and table.stdout.startswith("source,target,metric") and "z" in table.stdout
    written = harness_in(imported, "table", "tll", "--value", "LogME", "--to", "t.tex")
    assert written.returncode == 0 and r"\toprule" in (imported / "t.tex").read_text()
    found = harness_in(imported, "correlate", "tll", "--kind", "kendall")
    assert found.returncode == 0 and "static size order (baseline)" in found.stdout and "| LogME |" in found.stdout


def test_a_file_needs_no_results(tmp_path, harness_in):
    pd.DataFrame({"model": ["a", "b"], "birds": [70, 80], "cars": [60, 50]}).to_csv(tmp_path / "w.csv", index=False)
    done = harness_in(tmp_path, "table", "w.csv", "--wide", "source")
    assert done.returncode == 0 and "| a | 70.0" in done.stdout.replace("**", "").replace("<u>", "")
    made = harness_in(tmp_path, "import", "w.csv", "--wide", "source", "--scale", "0.01", "--fix", "method=probe",
                      "--to", "o.parquet")  # fmt: skip
    assert made.returncode == 0 and made.stdout == "wrote 4 values to o.parquet\n"
    frame = pd.read_parquet(tmp_path / "o.parquet")
    assert set(frame.method) == {"probe"} and sorted(frame.value) == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert harness_in(tmp_path, "heatmap", "o.parquet", "--to", "h.png").returncode == 0
    assert not (tmp_path / "results").exists()


def test_a_cell_names_its_trials(imported, finished, harness_in):
    done = harness_in(imported, "show", "tll", "--cell", "row=resnet50,col=DTD")
    assert done.returncode == 0 and "resnet50, DTD: 0.752 from 1 trial" in done.stdout and "of tll: done" in done.stdout
    ours = harness_in(finished, "show", "small", "--cell", "row=digits_flip,col=digits_upright",
                      "--where", "method=fine_tune")  # fmt: skip
    assert ours.returncode == 0 and ours.stdout.count("trial ") >= 2 and "fine_tune" in ours.stdout, ours.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show", "tll", "--cell", "resnet50,DTD"], "expected NAME=VALUE"),
        (["show", "tll", "--cell", "row=resnet50"], "--cell takes row=LABEL,col=LABEL"),
        (["show", "tll", "--cell", "row=resnet5,col=DTD"], "did you mean 'resnet50'"),
        (["table", "tll", "--to", "x.xls"], "a table is written to .md, .tex, .csv or .html"),
        (["table", "tll", "--where", "source"], "expected NAME=VALUE"),
        (["correlate", "tll", "--x", "LogMe"], "did you mean 'LogME'"),
        (["correlate", "tll", "--kind", "kendal"], "did you mean 'kendall'"),
        (["heatmap", "tll", "--to", "x.gif"], "cannot be written as 'x.gif'"),
        (["heatmap", "nowhere.csv", "--to", "x.png"], "cannot be read as a table"),
        (["import", "nothing.yaml"], "cannot be read"),
        (["compare", "tll", "--paper", "none"], "no published tables"),
    ],
)
def test_what_is_wrong_is_one_sentence(imported, harness_in, words, sentence):
    done = harness_in(imported, *words)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
