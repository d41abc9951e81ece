"""What an anonymiser takes out, what it leaves, and that different things stay different."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bundle.anonymous import ORDINARY, Anonymiser, hosts_of


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Anonymiser:
    for name in ("USER", "USERNAME", "LOGNAME"):
        monkeypatch.setenv(name, "mmuster")
    monkeypatch.setattr(platform, "node", lambda: "alpha17.cluster.example.edu")
    monkeypatch.setattr(Path, "home", lambda: Path("/nfs/people/mmuster"))
    return Anonymiser(hide=["Musterlab"], folders=[Path("/nfs/my results")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("by mmuster on alpha17", "by user1 on host1"),
        ("MMuster@ALPHA17.cluster.example.edu", "name@example.org"),
        ("host alpha17.cluster.example.edu died", "host host2 died"),
        ("gpu3.cluster.example.edu", "gpu3.host3"),
        ("mmuster_probe.py", "user1_probe.py"),
        ("from the Musterlab", "from the hidden1"),
        ('File "/nfs/people/mmuster/code/loop.py", line 3', 'File "path1/loop.py", line 3'),
        ("in /nfs/my results/store/logs", "in path1"),
        ("file:///srv/data/a.csv", "path1/a.csv"),
        ("imagefolder(path=/srv/pets)", "imagefolder(path=path1)"),
        ("alpha:/srv/pets/", "alpha:path1/"),
        (r"C:\Users\someone\data.csv", r"path1"),
    ],
)
def test_names_and_places_go(made: Anonymiser, text: str, expected: str) -> None:
    assert made.text(text) == expected
    assert not list(made.left(made.text(text)))


@pytest.mark.parametrize(
    "text",
    [
        "https://arxiv.org/abs/2301.00001",
        "a/b/c and ../x/y.yaml and ./my/method.py and ~/x/y",
        "accuracy 1/2, 3 / 4 / 5, +/-",
        "<b>bold</b> <br/> </p></div>",
        "steps // 2 // 3",
        "@task('digits')",
        "root, user and localhost at 127.0.0.1",
    ],
)
def test_other_texts_stay(made: Anonymiser, text: str) -> None:
    assert made.text(text, addresses=True) == text


def test_addresses_go_where_asked(made: Anonymiser) -> None:
    assert made.text("died (ip=10.20.30.40, torch 2.13.0)", addresses=True) == "died (ip=192.0.2.1, torch 2.13.0)"
    assert made.text("version 1.2.3.4") == "version 1.2.3.4"


def test_users_are_learnt_from_home_folders_and_runs(made: Anonymiser) -> None:
    homes = "/" + "home"  # put together here: no file of ours is to name such a folder
    made.learn(f"see {homes}/erika/x and /Users/otto/y and {homes}/ubuntu/z")
    hosts_of([{"host": json.dumps({"user": "gabler", "host": "beta9", "pid": 3})}, {"host": None}], made)
    assert made.users == {"mmuster", "erika", "otto", "gabler"}
    left = made.text("erika, otto, gabler on beta9")
    assert left == "user1, user4, user2 on host3"


def test_what_was_told_apart_stays_told_apart(made: Anonymiser) -> None:
    paths = ["/srv/a/x", "/srv/b/x", "/srv/a/x.csv", "/srv/b/x.csv", "/srv/a"]
    texts = [made.text(f"f(path={path})") for path in paths]
    assert len(set(texts)) == len(paths)
    assert [made.text(f"f(path={path})") for path in paths] == texts


def test_an_ordinary_name_is_no_name(made: Anonymiser) -> None:
    for word in ORDINARY:
        made.know_user(word)
        made.know_host(word)
    assert made.users == {"mmuster"}
    assert made.text("train a root task on the test split") == "train a root task on the test split"


def test_json_stays_json(made: Anonymiser) -> None:
    value = {"path": "/nfs/people/mmuster/a b/c.txt", "note": 'he said "/srv/x/y"\n', "who": "Mmuster"}
    assert json.loads(made.text(json.dumps(value))) == {
        "path": "path1 b/c.txt", "note": 'he said "path2"\n', "who": "user1"
    }  # fmt: skip


def test_names_beyond_ascii_go_in_any_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "jörgmüller")
    made = Anonymiser()
    assert made.text(json.dumps({"by": "jörgmüller"})) == made.text('{"by": "jörgmüller"}')


def test_short_names_do_not_tear_words_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "al")
    made = Anonymiser()
    assert made.text("al: also al_probe, all, normal") == "user1: also user1_probe, all, normal"


@given(st.text(max_size=60))
def test_taking_out_twice_is_taking_out_once(text: str) -> None:
    made = Anonymiser(hide=["secretword"])
    once = made.text(f"{text} secretword /srv/secretword/{text}")
    assert "secretword" not in once
    assert not list(made.left(once))
