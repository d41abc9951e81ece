"""Files of groups: what is read, what is refused, and random groups of the same sizes."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
import yaml

from harness.errors import HarnessError
from harness.task_groups import groups_digest, random_groups, read_groups

GROUPS = (("a", "b", "c"), ("d", "e"), ("f",))


def write(path, **held):
    path.write_text(yaml.safe_dump(held))
    return path


def test_the_digest_is_of_what_is_grouped_not_of_how_it_is_written():
    by_hand = hashlib.sha256(b'[["a","b","c"],["d","e"],["f"]]').hexdigest()
    assert groups_digest(GROUPS) == by_hand
    assert groups_digest([["e", "d"], ["f"], ["c", "a", "b"]]) == by_hand
    assert groups_digest([["a", "b"], ["c", "d", "e"], ["f"]]) != by_hand


@pytest.mark.parametrize("digest", [{}, {"digest": groups_digest(GROUPS)}])
def test_groups_are_read_with_or_without_a_digest(tmp_path, digest):
    found = read_groups(write(tmp_path / "g.yaml", groups=[list(g) for g in GROUPS], made_from={"x": 1}, **digest))
    assert found.groups == GROUPS and found.digest == groups_digest(GROUPS)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"groups": [["a", "b"], ["c"]], "digest": groups_digest(GROUPS)}, "not those that its digest is of"),
        ({"groups": [["a", "b"], ["b"]]}, "'b' in its groups twice"),
        ({"groups": []}, "must hold groups"),
        ({"groups": [["a"], []]}, "must hold groups"),
        ({"groups": [["a", 1]]}, "must hold groups"),
        ({"sets": [["a"]]}, "must hold groups"),
    ],
)
def test_what_is_no_file_of_groups_is_refused(tmp_path, held, said):
    with pytest.raises(HarnessError, match=said):
        read_groups(write(tmp_path / "g.yaml", **held))


def test_a_file_that_is_missing_says_how_to_get_it(tmp_path):
    with pytest.raises(HarnessError, match=r"'none\.yaml': `harness report`"):
        read_groups(tmp_path / "none.yaml")


def test_text_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text("groups: [a\n  b: ]")
    with pytest.raises(HarnessError, match="cannot be read"):
        read_groups(path)


def test_random_groups_have_the_same_sizes_and_tasks():
    for draw in range(5):
        dealt = random_groups(GROUPS, draw, 0)
        assert [len(group) for group in dealt] == [3, 2, 1]
        assert sorted(task for group in dealt for task in group) == list("abcdef")


def test_draws_differ_and_come_again():
    assert random_groups(GROUPS, 1, 0) == random_groups(tuple(reversed(GROUPS[0:1])) + GROUPS[1:], 1, 0)
    assert len({random_groups(GROUPS, draw, seed) for draw in range(10) for seed in range(2)}) > 15


def test_every_task_is_as_likely_in_every_group():
    """With 600 draws the share of each task in the last group of one is a sixth but for four standard errors."""
    seen = Counter(random_groups(GROUPS, draw, 7)[2][0] for draw in range(600))
    assert set(seen) == set("abcdef")
    assert all(abs(count - 100) < 4 * (600 * 5 / 36) ** 0.5 for count in seen.values())
