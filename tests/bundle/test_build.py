"""Bundles: whole, equal for equal content, readable without us, and, where asked for, silent about who made them."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load

import harness.api
from harness.bundle import bundle, verify
from harness.cli import main
from harness.errors import HarnessError
from harness.store import ArtifactDamaged, Store, outcomes

from .conftest import HOME, HOST, USER, Made

NAME = "mmuster_digits"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the report out: drawing takes nearly all of the time."""

    def refuse(*arguments: object) -> None:
        raise HarnessError("not in this test")

    monkeypatch.setattr("analysis.report", refuse)


def pack(made: Made, to: str, with_file: bool = True, **options: object) -> Path:
    study = harness.api.load_study(made.file) if with_file else None
    bundle(NAME, made.results, made.results / to, study, **options)  # type: ignore[arg-type]  # options of several types
    return made.results / to


@pytest.fixture(scope="module")
def plain(made: Made) -> Path:
    return pack(made, "plain.zip", weights=True)


@pytest.fixture(scope="module")
def silent(made: Made) -> Path:
    return pack(made, "silent.zip", anonymous=True, weights=True)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def decoded(name: str, content: bytes) -> Iterator[bytes]:
    """Everything that can be read in a member: its name, its bytes, and what is packed or encoded inside of them."""
    yield name.encode()
    yield content
    if name.endswith(".parquet"):
        file = pq.ParquetFile(io.BytesIO(content))
        for key, value in (file.schema_arrow.metadata or {}).items() | (file.metadata.metadata or {}).items():
            yield key + b"=" + value
        for row in file.read().to_pylist():
            yield repr(row).encode()
        yield from (base64.b64decode(value) for value in (file.metadata.metadata or {}).values() if value.isalnum())
    if name.endswith(".png"):
        yield from png_chunks(content)
    if name.endswith(".pdf"):
        for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
            try:
                yield zlib.decompress(stream)
            except zlib.error:
                yield stream
    for kind, text in re.findall(rb"data:(image/[a-z+]+);base64,([A-Za-z0-9+/=]+)", content):
        ending = ".png" if b"png" in kind else ".svg"
        yield from decoded(f"inside{ending}", base64.b64decode(text))


def png_chunks(content: bytes) -> Iterator[bytes]:
    place = 8
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + length]
        if kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf"):
            yield body
            if kind == b"zTXt":
                yield zlib.decompress(body.split(b"\0", 1)[1][1:])
        place += 12 + length


def found_in(path: Path, needles: tuple[str, ...]) -> list[tuple[str, str]]:
    hits = []
    for name, content in members(path).items():
        for piece in decoded(name, content):
            hits += [(name, needle) for needle in needles if needle.lower().encode() in piece.lower()]
    return sorted(set(hits))


@pytest.mark.slow
def test_an_anonymous_bundle_holds_no_name_and_no_path(made: Made, plain: Path, silent: Path) -> None:
    assert found_in(silent, made.needles) == []
    with zipfile.ZipFile(silent) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"user2_digits"}  # user1 is erika, whose name an error gave away
    told = {needle for _, needle in found_in(plain, made.needles)}
    assert {USER, HOST, HOME, "erika", "10.20.30.40", "/scratch/", "/srv/"} <= told, "else there was nothing to find"


@pytest.mark.slow
def test_without_the_study_file_it_is_as_silent(made: Made) -> None:
    path = pack(made, "x.zip", with_file=False, anonymous=True)
    assert found_in(path, made.needles) == []
    assert not [name for name in members(path) if name.startswith("study/")]


@pytest.mark.slow
def test_further_words_are_taken_out_where_asked_for(made: Made, silent: Path) -> None:
    word = ("digits_upright",)
    assert found_in(silent, word)
    assert found_in(pack(made, "x.zip", with_file=False, anonymous=True, hide=word), word) == []


@pytest.mark.slow
def test_what_was_told_apart_is_told_apart(silent: Path) -> None:
    found = members(silent)
    rows = list(csv.DictReader(io.StringIO(found["rows/outcomes.csv"].decode())))
    assert len({row["source"] for row in rows}) == 3
    assert len({row["trial_id"] for row in rows}) == len(rows)


@pytest.mark.slow
def test_an_anonymous_study_still_loads_and_plans(silent: Path, tmp_path: Path, harness_in: Command) -> None:
    for name, content in members(silent).items():
        if name.startswith("study/") or name == "resolved.yaml":
            target = tmp_path / "unpacked" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (file,) = (tmp_path / "unpacked" / "study").rglob("digits.yaml")
    assert file.read_text().startswith("study: user2_digits\n")
    done = harness_in(tmp_path, "plan", str(file), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["trials"] == 6, done.stderr


@pytest.mark.slow
def test_equal_content_gives_equal_bytes(made: Made, silent: Path) -> None:
    Store.open(made.results).compact(force=True)
    assert pack(made, "again.zip", anonymous=True, weights=True).read_bytes() == silent.read_bytes()


@pytest.mark.slow
def test_the_rows_are_those_of_the_store(made: Made, plain: Path) -> None:
    found = members(plain)
    expected = outcomes(made.results, NAME)
    assert pq.read_table(io.BytesIO(found["rows/outcomes.parquet"])).to_pylist() == expected.to_pylist()
    rows = list(csv.DictReader(io.StringIO(found["rows/outcomes.csv"].decode())))
    assert [float(row["value"]) for row in rows if row["value"]] == [0.0, 0.125, 0.25, 0.375, 0.5]
    states = [row["state"] for row in csv.DictReader(io.StringIO(found["rows/trials.csv"].decode()))]
    assert sorted(states) == ["done"] * 5 + ["failed"]
    assert len(list(csv.DictReader(io.StringIO(found["rows/curves.csv"].decode())))) == 15
    stages = pq.read_table(io.BytesIO(found["rows/stages.parquet"])).to_pylist()
    assert {stage["sha256"] for stage in stages} == {
        row.artifact.sha256 for row in Store.open(made.results).records().values() if row.artifact
    }
    assert json.loads(found["bundle.json"])["rows"]["outcomes"] == 6


@pytest.mark.slow
def test_all_that_is_promised_is_there(made: Made, plain: Path) -> None:
    found = members(plain)
    assert verify(plain).problems == ()
    text = found["README.md"].decode()
    for name in ("study.lock.json", "provenance.json", "requirements.txt", "resolved.yaml", "SHA256SUMS"):
        assert name in found and f"`{name}`" in text
    for name in ("rows/outcomes", "rows/trials", "rows/stages", "rows/curves", "rows/attempts"):
        assert f"{name}.parquet" in found and f"{name}.csv" in found and f"`{name}`" in text
    assert "report/report.html" in found
    assert [name for name in found if name.startswith("report/figures/") and name.endswith(".png")]
    assert f"harness run 'study/studies of {USER}/digits.yaml'" in text
    assert f"--where method={USER}_probe --to heatmap.png" in text
    assert found[f"study/studies of {USER}/digits.yaml"].decode() == made.file.read_text()
    assert f"study/{USER}/base.yaml" in found and f"study/studies of {USER}/mmuster_tasks.py" in found
    assert yaml.safe_load(found["resolved.yaml"])["study"] == NAME
    (log,) = (content for name, content in found.items() if name.startswith("logs/"))
    assert log.decode().startswith(f"worker on {HOST}")
    (run,) = json.loads(found["provenance.json"])
    assert run["host"]["user"] == USER and run["host"]["host"] == HOST
    assert "torch==" in found["requirements.txt"].decode()
    weights = {name: load(content) for name, content in found.items() if name.startswith("weights/")}
    assert sorted(float(tensors[f"w of {USER}"]) for tensors in weights.values()) == [0.0, 0.125, 0.25, 0.375, 0.5]


def test_a_study_file_that_changed_since_is_noted(made: Made, undrawn: None) -> None:
    note, text = "The study's file is not, or not alone, what was run", made.file.read_text()
    assert note not in members(pack(made, "x.zip"))["README.md"].decode()
    try:
        made.file.write_text(text.replace("digits_upright", "digits_invert"))
        assert note in members(pack(made, "x.zip"))["README.md"].decode()
    finally:
        made.file.write_text(text)


def test_a_damaged_artifact_stops_it(made: Made, tmp_path: Path, undrawn: None) -> None:
    shutil.copytree(made.results, tmp_path / "results")
    copy = replace(made, results=tmp_path / "results")
    for path in Store.open(copy.results).artifacts.files():
        assert isinstance(path, Path)
        path.write_bytes(path.read_bytes()[:-2] + b"xx")
    pack(copy, "new.zip")
    (copy.results / "new.zip").unlink()
    with pytest.raises(ArtifactDamaged):
        pack(copy, "new.zip", weights=True)
    assert not (copy.results / "new.zip").exists()


def test_the_command_line(made: Made, undrawn: None, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--results", str(made.results)]
    assert main(["bundle", str(made.file), "--anonymous", *where]) == 0
    said = capsys.readouterr().out
    file = made.results / NAME / "anonymous.zip"
    assert str(file) in said and "6 rows and 0 artifacts" in said and "replaced: 2 users" in said
    assert main(["bundle", "--verify", str(file)]) == 0
    assert "all as they were packed" in capsys.readouterr().out
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        content[:middle] + bytes(byte ^ 1 for byte in content[middle : middle + 8]) + content[middle + 8 :]
    )
    assert main(["bundle", "--verify", str(file)]) == 3
    assert "error: " in capsys.readouterr().out
    for wrong in (["bundle"], ["bundle", str(made.file), "--hide", "x"], ["bundle", NAME, "--verify", str(file)]):
        assert main([*wrong, *where]) == 2
    with pytest.raises(HarnessError):
        bundle("nothing", made.results, made.results / "n.zip")
