"""A place in object storage behaves as a path does, as far as the store asks, on a real server."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.store import StoreError, local_folder, place_of
from harness.store.objects import LARGE, ObjectPath, refuse_without_conditions
from harness.store.places import fetch_study_files, name_in, names_after, publish_study_files


@pytest.fixture
def folder(bucket: str) -> ObjectPath:
    return ObjectPath.parse(f"s3://{bucket}/some/folder")


def test_an_address_survives_pathlib() -> None:
    there = ObjectPath("b", "p/q")
    assert place_of("s3://b/p/q") == place_of(Path("s3://b/p/q")) == place_of(there) == there
    assert (str(there), there.name, str(there.parent)) == ("s3://b/p/q", "q", "s3://b/p")
    assert str(ObjectPath.parse("s3://b")) == str(ObjectPath.parse("s3://b/")) == "s3://b"
    assert str(ObjectPath.parse("s3://b") / "x/y") == "s3://b/x/y"
    assert name_in(there, there / "r" / "s") == name_in(Path("/p"), Path("/p/r/s")) == "r/s"
    assert pickle.loads(pickle.dumps(there)) == there  # noqa: S301
    assert place_of("results") == Path("results") == local_folder("results")


@pytest.mark.parametrize("address", ["s3://", "gs://b/p", "https://host/b"])
def test_what_is_no_place_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(StoreError, match=r"s3://BUCKET/PREFIX"):
        place_of(address)


def test_a_folder_is_there_while_something_lies_in_it(folder: ObjectPath) -> None:
    assert not folder.is_dir() and not (folder / "a").exists()
    (folder / "a").write_text("größe")
    assert folder.is_dir() and (folder / "a").exists() and not (folder / "a").is_dir()
    assert not ObjectPath(folder.bucket, "some/fold").is_dir(), "a part of a name is no folder"
    assert (folder / "a").read_text() == "größe" and (folder / "a").stat().st_size == 7
    (folder / "a").unlink()
    (folder / "a").unlink()
    assert not folder.is_dir()
    with pytest.raises(FileNotFoundError):
        (folder / "a").read_bytes()
    with pytest.raises(FileNotFoundError):
        (folder / "a").stat()


def test_listing_as_paths_do(folder: ObjectPath, tmp_path: Path) -> None:
    names = ["x", "a/x.parquet", "a/y.parquet", "ab/x.parquet", "a/b/x.parquet"]
    for name in names:
        (folder / name).write_bytes(b"1")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    for look in ("*", "?/*.parquet", "a*/*.parquet"):
        expected = sorted(name_in(tmp_path, path) for path in tmp_path.glob(look) if path.is_file())
        assert sorted(name_in(folder, path) for path in folder.glob(look)) == expected, look
    assert sorted(name_in(folder, p) for p in folder.rglob("x.*")) == ["a/b/x.parquet", "a/x.parquet", "ab/x.parquet"]
    assert [path.name for path in (folder / "a").iterdir()] == ["x.parquet", "y.parquet"]
    assert names_after(folder / "a", "x.parquet") == ["y.parquet"]
    assert sorted(names_after(tmp_path / "a", "x.parquet")) == ["b", "x.parquet", "y.parquet"]


def test_of_many_who_create_one_object_one_succeeds(folder: ObjectPath) -> None:
    def create(number: int) -> bool:
        try:
            (folder / "one").write_bytes(str(number).encode(), create=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(24)))
    assert sum(made) == 1 and (folder / "one").read_text() == str(made.index(True))
    refuse_without_conditions(folder)
    assert [path.name for path in folder.iterdir()] == ["one"], "the probe is gone"


def test_a_service_without_conditions_is_refused(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ObjectPath.write_bytes
    monkeypatch.setattr(ObjectPath, "write_bytes", lambda self, content, create=False: write(self, content))
    with pytest.raises(StoreError, match="no conditional put"):
        refuse_without_conditions(folder)


def test_large_files_go_in_pieces_and_come_back(folder: ObjectPath, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGE + 7)
        file.seek(LARGE)
        file.write(b"the end")
    (folder / "large").upload(tmp_path / "large", create=True)
    with pytest.raises(FileExistsError):
        (folder / "large").upload(tmp_path / "large", create=True)
    (folder / "large").download(tmp_path / "back")
    assert (folder / "large").stat().st_size == LARGE + 7
    with (tmp_path / "back").open("rb") as file:
        file.seek(LARGE)
        assert file.read() == b"the end"


def test_what_the_service_says_is_passed_on_in_one_line(bucket: str) -> None:
    with pytest.raises(OSError, match=r"^s3://not-there/x: .*bucket does not exist \(NoSuchBucket\)$"):
        ObjectPath("not-there", "x").is_dir()


def test_a_study_s_files_reach_other_machines(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = f"s3://{bucket}/r"
    own = local_folder(results) / "digits"
    (own / "figures").mkdir(parents=True)
    (own / "study.lock.json").write_text("{}")
    (own / "figures" / "a.svg").write_text("<svg/>")
    publish_study_files(results, "digits")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "other machine"))
    other = local_folder(results) / "digits"
    fetch_study_files(results, "digits")
    assert [path.name for path in other.iterdir()] == ["study.lock.json"], "reports are not brought"
    assert (ObjectPath(bucket, "r/digits/figures") / "a.svg").read_text() == "<svg/>"
    (ObjectPath(bucket, "r/digits") / "study.lock.json").unlink()
    fetch_study_files(results, "digits")
    assert not (other / "study.lock.json").exists(), "a lock that was removed is removed everywhere"
    fetch_study_files(results, "another")
    assert not (local_folder(results) / "another").exists(), "looking leaves nothing behind"


def test_files_of_a_folder_stay_where_they_are(tmp_path: Path) -> None:
    publish_study_files(tmp_path, "digits")
    fetch_study_files(tmp_path, "digits")
    assert list(tmp_path.iterdir()) == []


def test_the_server_of_these_tests_listens_on_loopback_only(object_server: dict[str, str]) -> None:
    port = object_server["AWS_ENDPOINT_URL"].rpartition(":")[2]
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    places = {line.split()[1].split(":")[0] for line in listening if line.split()[1].endswith(f":{int(port):04X}")}
    assert "0100007F" in places and "00000000" not in places
