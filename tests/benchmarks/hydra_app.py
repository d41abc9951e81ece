"""One trial as a Hydra job: `hydra_app.py --multirun hydra/launcher=joblib trial=range(0,N) ...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hydra

sys.path.insert(0, str(Path(__file__).resolve().parent))


@hydra.main(version_base=None, config_path=None)
def job(config: Any) -> None:
    """Compute the trial that ``config`` names and leave its value under its ``into`` folder."""
    from alone import value_of

    trial, value = value_of(config.study, list(config.only), config.trial)
    Path(config.into, f"{config.trial}.json").write_text(json.dumps([trial, value]), encoding="utf-8")


if __name__ == "__main__":
    job()
