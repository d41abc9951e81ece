"""Trackers beside a run, and the command that does the same by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import HarnessError
from harness.store import Store
from harness.study import StudyError, load_study
from harness.trackers import require
from harness.trackers.alongside import trackers_beside

from .conftest import STUDY, trained

pytest.importorskip("tensorboard")


def shown(results: Path) -> int:
    return len(list((results / STUDY / "tensorboard").glob("*/*/events*")))


@pytest.mark.slow
def test_what_is_committed_meanwhile_is_there_at_the_end(store: Store) -> None:
    results = Path(str(store.results))
    with trackers_beside(STUDY, str(results), ["tensorboard"]):
        store.commit(trained("b"))
    assert shown(results) == 5


@pytest.mark.slow
def test_a_tracker_that_fails_does_not_harm_the_run(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    results = Path(str(store.results))
    (results / STUDY).mkdir()
    (results / STUDY / "tensorboard").write_text("in the way")
    with trackers_beside(STUDY, str(results), ["tensorboard"]):
        store.commit(trained("b"))
    said = capfd.readouterr().err
    assert said.startswith("harness: tracker tensorboard stopped: ") and said.count("\n") == 1


@pytest.mark.slow
def test_it_ends_with_a_driver_that_is_killed(store: Store) -> None:
    code = (
        "import sys, time\nfrom harness.trackers.alongside import trackers_beside\n"
        f"with trackers_beside({STUDY!r}, {str(store.results)!r}, ['tensorboard']):\n"
        "    print('inside', flush=True)\n    time.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None and driver.stdout.readline() == "inside\n"
    store.commit(trained("b"))
    driver.kill()
    driver.wait()
    end = time.monotonic() + 500
    while shown(Path(str(store.results))) < 5:
        assert time.monotonic() < end, "its last look never came"
        time.sleep(0.2)


def test_without_trackers_nothing_is_started(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with trackers_beside(STUDY, str(store.results), []):
        pass


def test_a_missing_package_is_named_before_anything_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, package in (("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("wandb", "wandb")):
        with (
            pytest.raises(
                HarnessError, match=rf"needs the package {package}: pip install 'transfer-harness\[{name}\]'"
            ),
            trackers_beside(STUDY, str(store.results), [name]),
        ):
            pytest.fail("the run began")
    with pytest.raises(HarnessError, match="did you mean 'wandb'"):
        require("wandbb")


def test_the_command_says_what_it_did(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--results", str(store.results)]
    assert main(["track", STUDY, "--to", "tensorboard", *where]) == 0
    assert "3 new runs; look: tensorboard --logdir" in capsys.readouterr().out
    assert main(["track", STUDY, "--to", "tensorboard", *where]) == 0
    assert "0 new runs" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["track", STUDY, "--to", "tensorbord", *where])
    assert "did you mean 'tensorboard'" in capsys.readouterr().err


def test_following_by_hand_ends_with_ctrl_c(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        assert seconds == 3
        store.commit(trained("b"))
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.tracking.time.sleep", interrupted)
    where = ["--results", str(store.results), "--follow", "--every", "3"]
    assert main(["track", STUDY, "--to", "tensorboard", *where]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["3 new runs", "2 new runs"]


def test_a_study_names_only_trackers_that_there_are(tmp_path: Path) -> None:
    text = "study: x\nsources: [digits_flip]\ntargets: [digits_upright]\nbackbones: [mlp]\nmethods: [fine_tune]\n"
    (tmp_path / "x.yaml").write_text(f"{text}execution: {{trackers: [tensorboard, mlflow]}}\n")
    assert load_study(tmp_path / "x.yaml").execution.trackers == ["tensorboard", "mlflow"]
    (tmp_path / "x.yaml").write_text(f"{text}execution: {{trackers: [tensorbord]}}\n")
    with pytest.raises(StudyError, match="tensorboard"):
        load_study(tmp_path / "x.yaml")


@pytest.mark.slow
def test_a_run_keeps_its_trackers_up_to_date(tmp_path: Path, harness_in: object) -> None:
    assert callable(harness_in)
    (tmp_path / "x.yaml").write_text(
        "study: x\nsources: [digits_flip]\ntargets: [digits_upright]\nbackbones: [{backbone: mlp, hidden: 8}]\n"
        "methods: [fine_tune]\nparams: {shots: 5, steps: 4, source: {steps: 4}}\non_untrained_source: run\n"
        "execution: {trackers: [tensorboard]}\n"
    )
    done = harness_in(tmp_path, "run", "x.yaml", "--in-process")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "x" / "tensorboard"
    assert len(list(folder.glob("trials/*/events*"))) == 1
    assert len(list(folder.glob("stages/train_*/events*"))) == 1
    assert len(list(folder.glob("stages/adapt_*/events*"))) == 1
