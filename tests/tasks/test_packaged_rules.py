"""The packaged tasks as they are committed: complete, consistent, and of the sizes that were counted."""

from __future__ import annotations

import pytest

from harness.data import manifest as manifests
from harness.data.catalogue import PACKAGES
from harness.registry import TASKS
from harness.tasks.manifest import rules

RULES = rules()

COUNTED = {
    # name: (classes, examples): as counted when the packages were first opened
    "mnist": (10, 70_000), "fashion_mnist": (10, 70_000), "optdigits": (10, 1_797), "animal_mnist": (10, 10_000),
    "ifct_food": (9, 392), "stamps": (17, 704), "emoji_face": (10, 792), "emoji_nature": (7, 1_102),
    "emoji_food": (7, 911), "emoji_travel": (8, 1_421), "emoji_object": (12, 1_520), "emoji_activity": (5, 595),
    "card_rank": (13, 1_508), "card_suit": (4, 1_508), "kanji_radical": (20, 3_320), "textile_defect": (3, 2_000),
    "bbc_topic": (5, 2_225), "sent_imdb": (2, 1_000), "sent_yelp": (2, 1_000), "sent_amazon": (2, 1_000),
    "spam3": (3, 6_046), "wn_noun_gloss": (24, 82_022), "wn_verb_gloss": (15, 13_767), "wn_pos": (4, 117_659),
    "udhr_language": (17, 1_012), "emoji_text_group": (9, 1_914),
}  # fmt: skip

FEWER = {
    # what is left out, and why, is said in each family's module
    "emoji_symbol": (9, 1_371, "one empty drawing"),
    "openmoji_sketch": (7, 1_255, "flags, all one rectangle, and an empty drawing"),
    "clipart_theme": (15, 2_253, "names filed under two classes, empty drawings"),
    "clipart_sign": (11, 586, "names filed under two classes"),
    "clipart_animal": (5, 236, "names filed under two classes, empty drawings, a grenade"),
    "clipart_food": (6, 269, "names filed under two classes"),
    "chess_piece": (6, 204, "two sets of other games"),
    "flag_continent": (5, 496, "flags of other continents' countries"),
    "furniture_room": (9, 637, "doors and windows, which two catalogues lack"),
    "icon_context": (8, 2_975, "icons white on nothing"),
    "wesnoth_race": (13, 5_439, "flames"),
    "script_id": (20, 6_171, "marks and signs, letters that look alike in two scripts"),
    "stamp_language": (25, 17_884, "repeated descriptions, and those alike in two languages"),
    "fortune_topic": (20, 9_161, "quotations under two topics"),
    "chatter_topic": (13, 865, "two topics of few lines, and repeated lines"),
}


def total(name: str) -> int:
    return sum(sum(counts) for counts in manifests.load(name).class_sizes().values())


def test_there_are_enough_of_them() -> None:
    kinds = [rule.kind for rule in RULES.values()]
    assert kinds.count("image") >= 20 and kinds.count("text") >= 10


def test_every_one_was_counted() -> None:
    assert set(RULES) == set(COUNTED) | set(FEWER)


@pytest.mark.parametrize("name", COUNTED)
def test_sizes_are_those_counted(name: str) -> None:
    assert (len(manifests.load(name).classes), total(name)) == COUNTED[name]


@pytest.mark.parametrize("name", FEWER)
def test_sizes_without_what_is_left_out(name: str) -> None:
    classes, examples, _ = FEWER[name]
    assert (len(manifests.load(name).classes), total(name)) == (classes, examples)


@pytest.mark.parametrize("name", RULES)
def test_the_manifest_is_of_these_packages_and_this_rule(name: str) -> None:
    rule, known = RULES[name], manifests.load(name)
    assert known.task == name and known.rule == rule.version and known.split == rule.split_by
    assert known.packages == {package: PACKAGES[package].sha256 for package in rule.packages}
    assert not rule.classes or known.classes == rule.classes


@pytest.mark.parametrize("name", RULES)
def test_the_task_is_made_without_any_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "/nowhere")
    entry = TASKS.entry(name)
    task = entry.value()
    assert task.name == name and task.attributes["family"] and task.attributes["licence"]
    assert task.attributes["kind"] == RULES[name].kind
    assert task.input_shape == ((3, 96, 96) if RULES[name].kind == "image" else ())
    assert all(word == word.strip() and word for word in task.class_names)
    assert set(task.sizes) == {"train", "val", "test"}


@pytest.mark.parametrize("name", RULES)
def test_every_class_can_be_learned_and_tested(name: str) -> None:
    sizes = manifests.load(name).class_sizes()
    assert min(sizes["train"]) >= 5 and min(sizes["test"]) >= 1


def test_families_tell_what_shares_pictures_or_style() -> None:
    families: dict[str, set[str]] = {}
    for name in RULES:
        families.setdefault(str(TASKS.get(name)().attributes["family"]), set()).add(name)
    assert {"emoji_face", "openmoji_sketch"} <= families["emoji"]
    assert families["clip art"] == {"clipart_theme", "clipart_sign", "clipart_animal", "clipart_food"}


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        (
            "emoji_face",
            "style",
            ["google", "twitter", "facebook", "apple", "openmoji_colour", "openmoji_line", "fluent_3d"],
        ),
        ("flag_continent", "shape", ["rectangle", "disc"]),
        ("script_id", "weight", ["regular", "bold"]),
        ("stamps", "style", ["picture", "cartoon"]),
    ],
)
def test_domains_can_be_chosen(name: str, option: str, values: list[str]) -> None:
    entry = TASKS.get(name)
    parts = [entry(**{option: value}) for value in values]
    assert sum(sum(part.sizes.values()) for part in parts) == total(name)
    assert len({str(part.identity()) for part in parts}) == len(parts)
    assert parts[0].name == f"{name}({option}={values[0]})"
