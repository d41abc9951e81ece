"""A million trials are expanded in seconds, and importing the package costs no heavy library."""

from __future__ import annotations

import subprocess
import sys
import time

from harness.study import expand


def test_a_million_trials(make):
    seeds = ", ".join(map(str, range(500)))
    shots = ", ".join(map(str, range(1, 251)))
    text = f"""
axes: {{shots: [{shots}], source: {{steps: [10, 20]}}}}
pairs: off_diagonal
exclude: [{{match: {{source: ape, target: cod, shots: [1, 2]}}, reason: broken}}]
overrides:
  - {{match: {{target: cod}}, set: {{steps: 5}}}}
  - {{match: {{source: bee, shots: [3, 4, 5]}}, set: {{lr: 0.5}}}}
"""
    began = time.process_time()
    study = make(text, sources="[ape, bee, none]", targets="[bee, cod]", seeds=f"[{seeds}]")
    seconds = time.process_time() - began
    trained, untrained, left_out = 3 * 250 * 2 * 500, 2 * 250 * 500, 2 * 2 * 500
    assert expand(study).trials == trained + untrained - left_out == 998_000
    assert seconds < 5


def test_the_union_of_two_large_grids(make):
    seeds = ", ".join(map(str, range(1000)))
    shots = ", ".join(map(str, range(1, 101)))
    text = f"axes: {{shots: [{shots}]}}\ngrids: [{{sources: [ape, bee]}}, {{sources: [bee, cod]}}]\n"
    began = time.process_time()
    study = make(text, targets="[dill]", seeds=f"[{seeds}]")
    assert expand(study).trials == 3 * 100 * 1000
    assert time.process_time() - began < 5


def test_importing_it_loads_nothing_heavy():
    heavy = ("torch", "ray", "pandas", "scipy", "pyarrow", "sklearn", "matplotlib", "deltalake")
    code = f"import harness.study, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_a_study_loads_nothing_heavy(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "study: s\nsources: [digits_flip]\ntargets: [digits_upright]\nbackbones: [mlp]\nmethods: [linear_probe]\n"
    )
    code = (
        "import sys; from harness.study import expand, load_study; "
        f"assert expand(load_study({str(path)!r})).trials == 1; "
        "print([name for name in ('torch', 'ray', 'pandas', 'scipy', 'pyarrow', 'omegaconf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
