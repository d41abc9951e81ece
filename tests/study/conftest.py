"""Studies written as text, with tasks and recipes that compute nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.study import Block, Study, StudyError, expand, load_study

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "samples" / "sample_plugin.py"
DEFAULTS = {
    "study": "example",
    "plugins": f"[{PLUGIN}]",
    "sources": "[ape, bee]",
    "targets": "[bee, cod]",
    "backbones": "[mlp]",
    "methods": "[move]",
}

Make = Callable[..., Study]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Load a study made of the defaults, of ``key="yaml"`` arguments (None leaves a key out), and of more text."""

    def load(text: str = "", sets: tuple[str, ...] = (), only: tuple[str, ...] = (), **keys: str | None) -> Study:
        lines = {**DEFAULTS, **keys}
        body = "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
        path = tmp_path / "example.yaml"
        path.write_text(body + text)
        return load_study(path, sets, only)

    return load


@pytest.fixture
def refused(make: Make) -> Callable[..., list[str]]:
    """Return the sentences with which a study is refused."""

    def load(*arguments: Any, **keys: Any) -> list[str]:
        with pytest.raises(StudyError) as caught:
            make(*arguments, **keys)
        return [problem.message for problem in caught.value.problems]

    return load


@pytest.fixture
def cells() -> Callable[..., Counter[tuple[Any, ...]]]:
    """Return the trials of a study as label tuples (method, then the named columns), with how often each occurs."""

    def read(study: Study, *columns: str, role: str = "outcome") -> Counter[tuple[Any, ...]]:
        found: Counter[tuple[Any, ...]] = Counter()
        for block in expand(study).blocks:
            if block.role == role:
                found.update((block.method, *row) for row in labels(block, *columns))
        return found

    return read


def labels(block: Block, *columns: str) -> list[tuple[Any, ...]]:
    """Return the labels of each row; a column that the block has not, or fixed, is its setting or None."""
    positions = {axis.name: index for index, axis in enumerate(block.axes)}
    rows = []
    for row, setting in zip(block.rows.tolist(), block.setting.tolist(), strict=True):
        fixed = block.settings[setting].labels
        rows.append(
            tuple(
                block.axes[positions[name]].labels[row[positions[name]]] if name in positions else fixed.get(name)
                for name in columns
            )
        )
    return rows
