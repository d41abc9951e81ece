"""Read outcomes and turn them into matrices, correlations, figures, tables and a report. Trains nothing.

Everything here works on data frames: one row per trial x evaluation task x split x metric, as
:func:`load_outcomes` and :func:`import_outcomes` return it. The names below are imported on first use, so that
``import analysis`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.baseline_scores import estimator_baselines
    from analysis.best_source import best_source_table, best_sources
    from analysis.ceiling import Ceiling, noise_ceiling
    from analysis.comparison import Comparison, compare
    from analysis.correlation import Correlation, Correlations, correlate, rank_correlation
    from analysis.critical_differences import critical_difference
    from analysis.estimator_scores import compare_estimators
    from analysis.estimator_tables import estimator_study, estimator_table
    from analysis.foreign import import_outcomes
    from analysis.heatmaps import heatmap
    from analysis.import_files import read_import
    from analysis.intervals import cell_intervals
    from analysis.line_plots import Lines, line_plot, lines
    from analysis.load import load_outcomes, load_trials
    from analysis.matrix import TransferMatrix, transfer_matrix
    from analysis.multiplicity import adjust
    from analysis.permutation import matrix_test
    from analysis.published import load_paper
    from analysis.published_averages import averages_table, check_averages
    from analysis.published_comparison import compare_published, published_table
    from analysis.ranking_tests import rank_methods, wilcoxon_pairs
    from analysis.reporting import ReportPaths, report
    from analysis.scatters import scatter
    from analysis.seeds import seed_values
    from analysis.storing import store_outcomes
    from analysis.tables import Table, matrix_table
    from analysis.transfer_graphs import strongest_transfers, transfer_graph

# The modules of plural or derived names hold functions of the plain name (heatmaps.heatmap), because a submodule
# called like an exported function would replace it as an attribute of the package once imported.
_HOMES = {
    "estimator_baselines": "baseline_scores",
    "best_source_table": "best_source",
    "best_sources": "best_source",
    "Ceiling": "ceiling",
    "noise_ceiling": "ceiling",
    "Comparison": "comparison",
    "compare": "comparison",
    "Correlation": "correlation",
    "Correlations": "correlation",
    "correlate": "correlation",
    "rank_correlation": "correlation",
    "critical_difference": "critical_differences",
    "compare_estimators": "estimator_scores",
    "estimator_study": "estimator_tables",
    "estimator_table": "estimator_tables",
    "import_outcomes": "foreign",
    "heatmap": "heatmaps",
    "read_import": "import_files",
    "cell_intervals": "intervals",
    "Lines": "line_plots",
    "line_plot": "line_plots",
    "lines": "line_plots",
    "load_outcomes": "load",
    "load_trials": "load",
    "TransferMatrix": "matrix",
    "transfer_matrix": "matrix",
    "adjust": "multiplicity",
    "matrix_test": "permutation",
    "load_paper": "published",
    "averages_table": "published_averages",
    "check_averages": "published_averages",
    "compare_published": "published_comparison",
    "published_table": "published_comparison",
    "rank_methods": "ranking_tests",
    "wilcoxon_pairs": "ranking_tests",
    "ReportPaths": "reporting",
    "report": "reporting",
    "scatter": "scatters",
    "seed_values": "seeds",
    "store_outcomes": "storing",
    "Table": "tables",
    "matrix_table": "tables",
    "strongest_transfers": "transfer_graphs",
    "transfer_graph": "transfer_graphs",
}

__all__ = [
    "Ceiling",
    "Comparison",
    "Correlation",
    "Correlations",
    "Lines",
    "ReportPaths",
    "Table",
    "TransferMatrix",
    "adjust",
    "averages_table",
    "best_source_table",
    "best_sources",
    "cell_intervals",
    "check_averages",
    "compare",
    "compare_estimators",
    "compare_published",
    "correlate",
    "critical_difference",
    "estimator_baselines",
    "estimator_study",
    "estimator_table",
    "heatmap",
    "import_outcomes",
    "line_plot",
    "lines",
    "load_outcomes",
    "load_paper",
    "load_trials",
    "matrix_table",
    "matrix_test",
    "noise_ceiling",
    "published_table",
    "rank_correlation",
    "rank_methods",
    "read_import",
    "report",
    "scatter",
    "seed_values",
    "store_outcomes",
    "strongest_transfers",
    "transfer_graph",
    "transfer_matrix",
    "wilcoxon_pairs",
]


def __getattr__(name: str) -> Any:
    """Import the home of an exported name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"analysis.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
