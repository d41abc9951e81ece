"""Running a plan: the driver's loop, workers on Ray or in this process, failures and their ladders, commits.

Importing this package imports neither Ray nor torch.
"""

from harness.execution.options import RunOptions, RunSummary
from harness.execution.study_run import execute

__all__ = ["RunOptions", "RunSummary", "execute"]
