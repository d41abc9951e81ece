"""What a task promises: an identity without loading, checks on what it loads, and names that say what was asked."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Literal

import pytest
import torch

from harness.errors import HarnessError
from harness.registry import TASKS
from harness.tasks.base import Split, Task, TaskSet, reference, task
from tests.training.toys import SIZES, cloud


def test_identity_says_what_the_data_are_and_not_what_pairs_match_on() -> None:
    one = cloud()
    assert one.identity()["task"] == "cloud"
    assert one.identity()["data"] == {"cloud": "cloud", "classes": 3, "width": 5}
    assert one == replace(one, attributes={"family": "clouds"})
    assert hash(one) == hash(replace(one, attributes={"family": "clouds"}))
    assert one != replace(one, version=2)
    assert one != replace(one, data={"cloud": "other"})
    assert one != "cloud"


def test_a_task_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(cloud()))  # noqa: S301  (its own bytes)
    assert sent == cloud()
    assert torch.equal(sent.split("val").inputs, cloud().split("val").inputs)


def test_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(HarnessError, match=r"task 'cloud' has no split 'tain' \(did you mean 'train'\?\)"):
        cloud().split("tain")


@pytest.mark.parametrize("wrong", ["inputs", "labels"])
def test_data_that_differ_from_the_declaration_are_refused(wrong: str) -> None:
    def load(split: str) -> Split:
        given = cloud().split(split)
        if wrong == "inputs":
            return Split(given.inputs[:, :4], given.labels)
        return Split(given.inputs, given.labels[1:])

    with pytest.raises(HarnessError, match=r"but the task declares \(24, 5\)"):
        replace(cloud(), load=load).split("train")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"class_names": ("a", "b")}, "3 classes but 2 class names"),
        ({"class_names": ("a", "b", "a")}, "two classes have the same name"),
        ({"sizes": {"train": 24, "vall": 12}}, "unknown split 'vall'"),
        ({"class_sizes": {"train": (8, 8, 9)}}, "class sizes do not add up"),
        ({"class_sizes": {"train": (12, 12)}}, "class sizes do not add up"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(HarnessError, match=sentence):
        replace(cloud(), **change)  # type: ignore[arg-type]  # one field at a time


def test_a_split_knows_its_length() -> None:
    assert len(cloud().split("test")) == SIZES["test"]


def test_a_task_set_is_its_tasks_in_order() -> None:
    both = TaskSet((cloud("a"), cloud("b")))
    assert both.name == str(both) == "a + b"
    assert [each["task"] for each in both.identity()["task_set"]] == ["a", "b"]
    assert both != TaskSet((cloud("b"), cloud("a")))
    with pytest.raises(HarnessError, match="at least one"):
        TaskSet(())
    with pytest.raises(HarnessError, match="twice"):
        TaskSet((cloud("a"), cloud("a")))


def test_a_registered_task_is_named_by_its_reference() -> None:
    @task("cloudy", family="clouds")
    def cloudy(of: Task, side: Literal["a", "b"] = "a", classes: tuple[int, ...] = (), deep: bool = False) -> Task:
        """Clouds, for this test.

        More of the same.
        """
        return replace(of, attributes={"inner": 1, "family": "replaced"})

    try:
        assert cloudy.summary == "Clouds, for this test."
        assert list(cloudy.parameters) == ["of", "side", "classes", "deep"]
        assert cloudy.parameters["of"].required and not cloudy.parameters["side"].required
        assert cloudy.parameters["side"].annotation == Literal["a", "b"]
        made = cloudy(cloud(), side="b", classes=(1, 2), deep=True)
        assert made.name == "cloudy(of=cloud, side=b, classes=[1, 2], deep=true)"
        assert cloudy(cloud(), side="a").name == "cloudy(of=cloud)", "what equals its default is not said"
        assert made.attributes == {"inner": 1, "family": "clouds"}
        assert made.modules() == (cloudy.factory.__module__,)
        assert TASKS.get("cloudy") is cloudy
        assert TASKS.entry("cloudy").attributes == {"family": "clouds"}
    finally:
        TASKS._entries.pop("cloudy")


def test_references_nest() -> None:
    assert reference("digits", {}) == "digits"
    assert reference("half", {"of": "digits", "n": 3, "x": None}) == "half(of=digits, n=3, x=null)"


def test_a_factory_without_annotations_is_refused() -> None:
    def bare(n) -> Task:
        return cloud()

    with pytest.raises(HarnessError, match="parameter 'n' has no type annotation"):
        task("bare")(bare)
