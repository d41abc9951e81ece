"""Decoding once: what is on disk equals what was drawn, and is not drawn again."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from harness.data.decoded import Decoded, decoded, open_pictures
from harness.data.items import Item
from harness.data.pictures import PictureError, square
from harness.errors import HarnessError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    return tmp_path


class Drawings:
    """Items of one colour each; counts how often any is drawn."""

    def __init__(self, mode: str = "RGB") -> None:
        self.drawn = 0
        self.mode = mode

    def draw(self, number: int, size: int) -> object:
        self.drawn += 1
        return Image.new(self.mode, (size // 2, size // 2), number if self.mode == "L" else (number, 0, 255 - number))

    def items(self) -> list[tuple[Item, int]]:
        return [
            (Item(f"{n}", "c", f"{n}", "d", draw=lambda size, n=n: self.draw(n, size), caption=f"number {n}"), n % 3)
            for n in range(10)
        ]


def load(drawings: Drawings, digest: str = "a" * 64, size: int = 16) -> Decoded:
    return decoded("toy", digest, "train", drawings.items, size, square)


def test_what_is_on_disk_is_what_was_drawn() -> None:
    stored = load(Drawings())
    pictures = open_pictures(stored.pictures)
    assert pictures.shape == (10, 3, 16, 16) and pictures.dtype == np.uint8
    assert (pictures[7, 0] == 7).all() and (pictures[7, 2] == 248).all()
    assert stored.labels == tuple(n % 3 for n in range(10))
    assert stored.captions[4] == "number 4" and stored.keys[4] == "4" and stored.domains[4] == "d"


def test_it_is_drawn_once() -> None:
    drawings = Drawings()
    first = load(drawings)
    drawn = drawings.drawn
    assert load(drawings) == first
    assert drawings.drawn == drawn
    load(drawings, digest="b" * 64)
    assert drawings.drawn == 2 * drawn, "another identity is another file"


def test_several_at_once_draw_once() -> None:
    drawings = Drawings()
    threads = [threading.Thread(target=load, args=(drawings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = Drawings()
    load(alone, digest="c" * 64)
    assert drawings.drawn == alone.drawn


def test_the_file_is_read_only_and_mapped() -> None:
    pictures = open_pictures(load(Drawings()).pictures)
    assert isinstance(pictures, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pictures[0] = 0


def test_grey_pictures_take_one_channel() -> None:
    assert open_pictures(load(Drawings("L")).pictures).shape == (10, 1, 16, 16)


def test_the_first_that_fails_is_named_and_nothing_is_left(cache: Path) -> None:
    def broken(size: int) -> object:
        raise PictureError("too bad")

    items = [
        (Item("good", "c", "g", draw=lambda size: Image.new("L", (size, size))), 0),
        (Item("bad", "c", "h", draw=broken), 0),
    ]
    with pytest.raises(HarnessError, match="bad: too bad"):
        decoded("toy", "d" * 64, "train", lambda: items, 8, square)
    assert not list((cache / "data" / "partial").iterdir())
    assert not (cache / "data" / "decoded").exists()


def test_texts_and_empty_splits_are_refused() -> None:
    with pytest.raises(HarnessError, match="no picture"):
        decoded("toy", "e" * 64, "train", lambda: [(Item("t", "c", "g", text="t"), 0)], 8, square)
    with pytest.raises(HarnessError, match="without any picture"):
        decoded("toy", "f" * 64, "train", list, 8, square)


def test_a_damaged_file_says_what_to_delete() -> None:
    stored = load(Drawings())
    stored.pictures.write_bytes(b"nonsense")
    with pytest.raises(HarnessError, match="delete"):
        open_pictures(stored.pictures)


BUILDER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from PIL import Image
    from harness.data import decoded
    from harness.data.items import Item
    from harness.data.pictures import square

    log = Path(sys.argv[1])

    def draw(number, size):
        with log.open("a") as file:
            file.write(f"{number}\\n")
        time.sleep(0.02)
        return Image.new("RGB", (size, size), (number, 0, 0))

    def items():
        return [(Item(str(n), "c", str(n), draw=lambda size, n=n: draw(n, size)), n % 3) for n in range(10)]

    if sys.argv[2] == "no locks":
        import contextlib
        decoded.one_at_a_time = lambda name: contextlib.nullcontext()
    print("ready", flush=True)
    sys.stdin.readline()
    stored = decoded.decoded("toy", "9" * 64, "train", items, 8, square)
    print(stored.sha256, int(decoded.open_pictures(stored.pictures)[:, 0, 0, 0].sum()), flush=True)
    """
)


@pytest.mark.parametrize("locks", ["locks", "no locks"])
def test_two_processes_build_the_same_file_once(tmp_path: Path, locks: str) -> None:
    """Where the file system has no locks both draw, and whoever comes second uses what is there."""
    log = tmp_path / "drawn"
    command = [sys.executable, "-c", BUILDER, str(log), locks]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert results[0] == results[1] and results[0].split()[1] == str(sum(range(10)))
    drawn = log.read_text().split()
    assert len(drawn) == 11 if locks == "locks" else len(drawn) in (11, 22), "the first once more, to see its colours"
    folder = tmp_path / "data" / "decoded"
    assert [path.name for path in folder.rglob("*.npy")] == ["pictures.npy"]
    assert not list((tmp_path / "data" / "partial").iterdir())
