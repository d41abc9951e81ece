"""References outside of a study mean what they mean in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.study.one_task import task_named
from harness.tasks.derived import half
from harness.tasks.digits import digits_upright


def test_plain_and_derived_references() -> None:
    assert task_named("digits_upright") == digits_upright()
    derived = task_named("half(of=digits_upright, split=1, side=b)")
    assert derived == half(of=digits_upright(), split=1, side="b")
    assert task_named("at_most(of=half(of=digits_upright, split=1, side=b), n=3)").sizes["train"] == 15


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for split in ("train", "test", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            image.new("RGB", (8, 8)).save(tmp_path / split / name / "a.png")
    found = task_named(f"imagefolder(name=pets, path={tmp_path})")
    assert found.name == "pets" and found.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("digits_upwrite", "did you mean 'digits_upright'"),
        ("half(of=digits_upright, split=0, sid=a)", "no parameter 'sid' (did you mean 'side'?)"),
        ("half(of=digits_upright, split=0)", "needs the parameter 'side'"),
        ("half(of=digits_upwrite, split=0, side=a)", "'digits_upright'"),
        ("half(of=digits_upright, split=0, side=c)", "side of task 'half'"),
        ("half(of=", "cannot be read"),
        ("per_class(of=digits_upright, n=100000)", "not 100000"),
        ("", "cannot be read"),
        ("imagefolder(name=x, path=nowhere)", "nowhere"),
    ],
)
def test_what_means_no_task_is_one_sentence(written: str, sentence: str) -> None:
    with pytest.raises(HarnessError) as raised:
        task_named(written)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
