"""Handing studies to a batch system, and asking it how they stand."""

from harness.cluster.jobs import Job, jobs_of, states_of
from harness.cluster.submission import Request, Submission, plan_submission, submit

__all__ = ["Job", "Request", "Submission", "jobs_of", "plan_submission", "states_of", "submit"]
