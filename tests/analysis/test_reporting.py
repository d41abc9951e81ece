"""The report of a study, from a real store to a page that needs nothing else."""

from __future__ import annotations

import base64
import csv
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from analysis import load_outcomes, load_trials, report
from harness.errors import HarnessError
from harness.store import AttemptRow, Group, MeasurementRow, StageRecord, Store

NASTY = "<script>alert('x')</script>"
TASKS = ("a", "b", "c", NASTY)
STUDY = {
    "study": "demo",
    "description": "A & B <i>study</i>",
    "targets": list(TASKS),
    "baselines": {"own": {"source": "none"}},
    "analyses": [
        {"kind": "matrix", "relative_to": "own", "name": f"Gain {NASTY}"},
        {"kind": "table", "over": ["source"]},
        {"kind": "matrix", "filter": {"method": "nowhere"}, "name": "impossible"},
    ],
}
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A store of 4 x 4 trials at two seeds and their baselines; some failed, excluded, pending or flagged."""
    root = tmp_path_factory.mktemp("analysis") / "results"
    store = Store.open(root, create=True)
    rng = np.random.default_rng(0)
    provenance = store.provenance(STUDY)
    trials, group = [], Group()
    for target, seed, source in itertools.product(TASKS, (0, 1), (None, *TASKS)):
        key = f"{len(trials):032x}"
        role = "outcome" if source else "baseline"
        trials.append(
            {
                "trial_id": f"t{len(trials):03d}",
                "role": role,
                "baseline": None if source else "own",
                "source": source,
                "target": target,
                "backbone": "mlp",
                "method": "probe",
                "seed": str(seed),
                "source_seed": str(seed) if source else None,
                "params": json.dumps({"shots": 5}),
                "key": key,
                "reason": None,
            }
        )
        if (source, target, seed) == ("b", "a", 0):
            group.attempts.append(AttemptRow(key, "evaluate", "f" * 32, "oom", f"out of memory in {NASTY}"))
        elif (source, target) == ("c", "a"):
            trials[-1] |= {"key": None, "reason": "licence"}
        elif (source, target, seed) != ("a", "b", 1):
            flags = ("not_trained",) if source == NASTY and target == "b" else ()
            record = StageRecord(key, "evaluate", flags=flags, device="cpu", threads=1, width=8, provenance=provenance)
            group.records.append(record)
            value = float(0.5 + 0.1 * rng.normal())
            group.measurements.append(MeasurementRow(key, record.attempt, target, "test", "accuracy", value, 100))
    store.write_trials("demo", {name: [t[name] for t in trials] for name in trials[0]} | {"plan": ["p"] * len(trials)})
    store.commit(group)
    return root


@pytest.fixture(scope="module")
def made(results):
    return report(STUDY, results)


@pytest.fixture(scope="module")
def page(made):
    return made.html.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Every start tag with its attributes; complains about tags that do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_outcomes_and_trials_are_read_from_the_store(results):
    outcomes, trials = load_outcomes(results, "demo"), load_trials(results, "demo")
    assert len(trials) == 40 and len(outcomes) == 40 - 2 - 1
    assert outcomes.value.notna().sum() == 36
    assert trials.state.value_counts().to_dict() == {"done": 36, "excluded": 2, "failed": 1, "pending": 1}
    assert set(outcomes.shots) == {5}
    assert len(load_outcomes(results)) == len(outcomes)


def test_a_results_folder_without_a_store_is_one_sentence(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(HarnessError):
            load_outcomes(root, "demo")
    with pytest.raises(HarnessError):
        report({"study": "demo"}, tmp_path)


def test_exactly_the_declared_analyses_are_drawn(made, results):
    assert made.html == results / "demo" / "report.html"
    gain = "gain-script-alert-x-script"
    assert {p.name for p in made.figures} == {
        f"{n}.{e}" for n in (gain, f"{gain}-graph") for e in ("png", "svg", "pdf")
    }
    readings = {f"{stem}-{how}" for stem in (gain, "method-target") for how in ("without-flagged", "failed-as-worst")}
    assert {p.stem for p in made.tables} == {gain, "method-target"} | readings
    assert all(p.is_file() and p.stat().st_size > 0 for p in (*made.figures, *made.tables, made.outcomes))
    assert len(made.problems) == 1 and "impossible: No outcome has method='nowhere'" in made.problems[0]


def test_the_page_is_well_formed_and_needs_no_network(page):
    parsed = Page(page)
    for tag, attributes in parsed.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "data", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#", "figures/", "tables/", "outcomes.csv"))
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page


def test_every_link_leads_somewhere(page, made):
    tags = Page(page).tags
    ids = {a["id"] for _, a in tags if "id" in a}
    assert len(ids) == sum("id" in a for _, a in tags)
    for _, attributes in tags:
        href = attributes.get("href")
        if href and href.startswith("#"):
            assert href[1:] in ids
        elif href:
            assert (made.folder / href).is_file()


def test_names_from_the_study_are_escaped(page):
    assert "<script" not in page and "<i>study" not in page
    words = "".join(Page(page).words)
    assert f"Gain {NASTY}" in words and f"out of memory in {NASTY}" in words and "A & B <i>study</i>" in words


def test_the_figure_is_inlined_and_described(page):
    images = [a for tag, a in Page(page).tags if tag == "img"]
    assert len(images) == 2 and images[0]["alt"].startswith("Heatmap: test accuracy: difference from 'own'")
    assert images[1]["alt"].startswith("Graph of the strongest gains")
    kind, data = images[0]["src"].split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    svg = base64.b64decode(data).decode("utf-8")
    assert svg.lstrip().startswith("<?xml") and "<script" not in svg


def test_the_summary_counts_and_gives_reasons(page):
    words = " ".join("".join(Page(page).words).split())
    assert "40 trials planned" in words and "36 done" in words and "1 failed" in words and "2 excluded" in words
    assert "licence" in words and "2 trials have flagged values (not_trained)" in words
    assert "This matrix could not be drawn: No outcome has method='nowhere'" in words


def test_missing_cells_are_never_numbers(made):
    path = next(p for p in made.tables if p.name == "gain-script-alert-x-script.csv")
    lines = {(r["source"], r["target"]): r for r in csv.DictReader(path.open(encoding="utf-8"))}
    assert lines["c", "a"]["reason"] == "excluded" and lines["c", "a"]["value"] == ""
    assert lines["b", "a"]["trials"] == "1" and lines["b", "a"]["spread"] == "not estimable"
    outcomes = load_outcomes(made.folder.parent, "demo").set_index("trial_id")
    for cell in (c for c in lines.values() if c["value"]):
        ids = cell["trial_ids"].split(), cell["baseline_ids"].split()
        expected = np.mean([outcomes.value[a] - outcomes.value[b] for a, b in zip(*ids, strict=True)])
        assert float(cell["value"]) == pytest.approx(expected)


def test_outcomes_are_written_in_full(made):
    rows = list(csv.DictReader(made.outcomes.open(encoding="utf-8")))
    assert len(rows) == 37 and {r["flags"] for r in rows} == {"", "not_trained"}


def test_a_second_report_replaces_what_the_first_wrote_and_nothing_else(results, tmp_path):
    out = tmp_path / "out"
    first = report({**STUDY, "analyses": [{"kind": "matrix", "name": "one"}]}, results, out)
    mine = out / "figures" / "mine.png"
    mine.write_bytes(b"x")
    second = report({**STUDY, "analyses": [{"kind": "table", "over": ["source"], "name": "two"}]}, results, out)
    assert not any(p.exists() for p in (*first.figures, *first.tables))
    assert mine.exists() and all(p.exists() for p in (*second.tables, second.html))


def test_a_manifest_cannot_point_outside(results, tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_text("x")
    (out / "files.json").write_text(json.dumps(["../victim"]))
    report({**STUDY, "analyses": [{"kind": "table", "over": ["source"]}]}, results, out)
    assert victim.exists()


def test_without_declared_analyses_every_method_has_matrices(results, tmp_path):
    made = report({k: v for k, v in STUDY.items() if k != "analyses"}, results, tmp_path)
    assert made.problems == ()
    assert {p.stem for p in made.figures} == {
        "source-target-method-probe",
        "source-target-method-probe-relative-to-own",
        "source-target-method-probe-relative-to-own-graph",
    }


def test_published_values_stand_beside_ours_when_the_results_have_them(results, tmp_path):
    folder = results / "published" / "demo"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text(
        "paper,table,row,column,value,unit,tolerance,provenance\ndemo,t,a,a,50,%,50,paper\ndemo,t,z,a,1,%,1,paper\n"
    )
    (folder / "paper.yaml").write_text("citation: <b>someone</b>\ntables: {t: {quantity: value, scale: 100}}\n")
    made = report({**STUDY, "analyses": []}, results, tmp_path)
    text = made.html.read_text(encoding="utf-8")
    assert "Published values: demo" in text and "&lt;b&gt;someone" in text and "our study has no source" in text
    declared = {**STUDY, "analyses": [{"kind": "compare", "published": "demo/t"}]}
    text = report(declared, results, tmp_path).html.read_text(encoding="utf-8")
    assert text.count("<h2>Published values: demo</h2>") == 1 and "needs 'x'" not in text
    wrong = report({**STUDY, "analyses": [{"kind": "compare", "published": "demo/u"}]}, results, tmp_path)
    assert any("does not say how" in p for p in wrong.problems)
    named = report({**STUDY, "analyses": [], "published": ["nobody"]}, results, tmp_path)
    assert any("no published tables" in p for p in named.problems)
    shutil.rmtree(folder.parent)


def test_a_folder_that_cannot_be_written_is_one_sentence(results, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(HarnessError, match="cannot be written"):
        report({**STUDY, "analyses": []}, results, blocked / "inside")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_draws_it(made, tmp_path):
    shot = tmp_path / "page.png"
    subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2400"),
            *(f"--screenshot={shot}", made.html.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    from PIL import Image

    with Image.open(shot) as image:
        assert image.size == (1200, 2400)
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 200
