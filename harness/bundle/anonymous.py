"""Taking names of people, machines and places out of texts, so that what was told apart stays told apart.

Each name becomes the same word everywhere (``user1``, ``host1``), each absolute path a short one (``path1``, with the
file's own name where it is one), so that two tasks read from two folders remain two tasks, and a plugin still runs.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

ORDINARY = frozenset(
    {
        "admin", "all", "app", "debian", "docker", "false", "guest", "home", "host", "key", "local", "localhost",
        "login", "master", "mean", "method", "name", "node", "nobody", "none", "null", "root", "runner", "sample",
        "seed", "source", "split", "status", "study", "system", "target", "task", "test", "train", "trial", "true",
        "ubuntu", "user", "users", "val", "value", "worker",
    }
)  # fmt: skip
"""Names that say nothing of anybody, and words of the data themselves: these are left as they are."""

_SEGMENT = r"[^/\s\"'`<>|:;,(){}\[\]\\*?]+"
_PATH = rf"(?:file://|(?<![\w.~<*)\]}}/]))/(?:{_SEGMENT}/)+(?:{_SEGMENT})?"
_WINDOWS = r"(?<![A-Za-z0-9])[A-Za-z]:(?:\\{1,2}[^\\\s\"'<>|:;,]+){2,}"
_HOME = re.compile(r"/(?:home|Users)/([^/\s\"'`<>|:;,(){}\[\]\\]+)")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{2,}@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?![\w-])")
_ADDRESS = re.compile(r"(?<![\w.])(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_FILE = re.compile(r"[^/]*[^/.][^/]*\.[A-Za-z][A-Za-z0-9]{0,11}")
_LONG = 5
"""Names of at least so many characters are taken out inside of longer words too."""


class Anonymiser:
    """Knows what to take out of a study's texts; first :meth:`learn` them all, then :meth:`text` each.

    Attributes:
        users, hosts: the names to take out. paths: what has been put in the place of paths so far.
    """

    def __init__(self, hide: Iterable[str] = (), folders: Iterable[Path] = ()) -> None:
        """Begin with this process's own user, machine and home.

        Args:
            hide: further words to take out. folders: folders whose path is taken out wherever it stands, blanks or not.
        """
        self.users: set[str] = set()
        self.hosts: set[str] = set()
        self.hidden = {word for word in hide if word}
        self.paths: dict[str, str] = {}
        home = Path.home()
        self._folders = {str(home), *map(str, folders), *(str(Path(f).resolve()) for f in folders), os.getcwd()}
        self.know_user(home.name)
        for name in ("USER", "LOGNAME", "USERNAME"):
            self.know_user(os.environ.get(name))
        with suppress(OSError, KeyError):
            self.know_user(getpass.getuser())
        self.know_host(platform.node())
        self._pattern: re.Pattern[str] | None = None
        self._words: dict[str, str] = {}

    # --- learning -------------------------------------------------------------------------------------------------

    def know_user(self, name: str | None) -> None:
        """Take out this user's name, unless it is an ordinary word."""
        if name and name.lower() not in ORDINARY:
            self.users.add(name)

    def know_host(self, name: str | None) -> None:
        """Take out this machine's name: in full, its first part, and the domain behind that."""
        short, _, domain = (name or "").partition(".")
        for part in (name, short, domain if "." in domain else None):
            if part and part.lower() not in ORDINARY and not part.isdecimal():
                self.hosts.add(part)

    def learn(self, text: str | None) -> None:
        """Find out from paths under /home or /Users what further users are called."""
        for name in _HOME.findall(text or ""):
            self.know_user(name)

    # --- taking out -----------------------------------------------------------------------------------------------

    def text(self, text: str, addresses: bool = False) -> str:
        """Return a text without names, mail addresses and absolute paths; with ``addresses`` without IPv4 ones too."""
        pattern = self._compiled()
        text = pattern.sub(self._replace_path, text)
        text = _MAIL.sub("name@example.org", text)
        if addresses:
            text = _ADDRESS.sub("192.0.2.1", text)
        return self._without_words(text)

    def name(self, name: str) -> str:
        """Return a relative file name without names."""
        return self._without_words(name)

    def left(self, text: str) -> Iterator[str]:
        """Iterate over the names that a text still holds."""
        self._compiled()
        folded = text.casefold()
        for word in self._words:
            if word in folded and re.search(_bounded(word), text, re.IGNORECASE):
                yield word

    def _compiled(self) -> re.Pattern[str]:
        """Return the pattern of paths; from now on nothing more is learnt."""
        if self._pattern is None:
            folders = sorted((f for f in self._folders if f.count("/") >= 1 and f != "/"), key=len, reverse=True)
            known = [rf"{re.escape(folder)}(?![^/\s\"'`<>|:;,(){{}}\[\]\\])(?:/{_SEGMENT})*/?" for folder in folders]
            self._pattern = re.compile("|".join([*known, _PATH, _WINDOWS]))
            for kind, names in (("user", self.users), ("host", self.hosts), ("hidden", self.hidden)):
                for number, name in enumerate(sorted(names), 1):
                    for form in (name, json.dumps(name)[1:-1]):
                        self._words.setdefault(form.casefold(), f"{kind}{number}")
        return self._pattern

    def _replace_path(self, match: re.Match[str]) -> str:
        path = match[0].removeprefix("file://").rstrip("/.\\") or match[0]
        end = match[0].removeprefix("file://")[len(path) :]
        folder, slash, name = path.rpartition("/")
        if slash and _FILE.fullmatch(name):
            return f"{self._alias(folder)}/{name}{end}"
        return self._alias(path) + end

    def _alias(self, folder: str) -> str:
        return self.paths.setdefault(folder, f"path{len(self.paths) + 1}")

    def _without_words(self, text: str) -> str:
        self._compiled()
        folded = text.casefold()
        present = [word for word in self._words if word in folded]
        for word in sorted(present, key=len, reverse=True):
            text = re.sub(_bounded(word), self._words[word], text, flags=re.IGNORECASE)
        return text


def _bounded(word: str) -> str:
    """Return the pattern of a name: short ones stand alone or between signs, long ones anywhere."""
    escaped = re.escape(word)
    return escaped if len(word) >= _LONG else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"


def hosts_of(runs: Iterable[Mapping[str, object]], anonymiser: Anonymiser) -> None:
    """Let an anonymiser know who made the runs of a store, and where."""
    for run in runs:
        host = run.get("host")
        known = json.loads(host) if isinstance(host, str) and host else {}
        anonymiser.know_user(known.get("user"))
        anonymiser.know_host(known.get("host"))
