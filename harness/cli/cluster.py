"""`harness submit`: a study as jobs of a batch system."""

from __future__ import annotations

import argparse
from pathlib import Path

import harness.api
from harness.cli.lookup import find_file
from harness.cli.text import columns


def submit(arguments: argparse.Namespace) -> int:
    """Submit a study and print the jobs' numbers; with --dry-run print the scripts."""
    from harness.cluster import Request, plan_submission
    from harness.cluster import submit as hand_in

    file = find_file(arguments.study, arguments.results)
    study = harness.api.load_study(file, arguments.sets, arguments.only)
    request = Request(
        nodes=arguments.nodes,
        array=arguments.array,
        partition=arguments.partition,
        account=arguments.account,
        qos=arguments.qos,
        time=arguments.time,
        cores=arguments.cpus_per_node,
        gpus=arguments.gpus_per_node,
        memory=arguments.mem,
        notice=arguments.notice,
        more=tuple(arguments.sbatch),
    )
    results = Path(arguments.results)
    submissions = plan_submission(study, Path(file), results, request, _run_options(arguments))
    if not submissions:
        print(f"study {study.name} has nothing left to run")
        return 0
    if arguments.dry_run:
        for submission in submissions:
            wait = " after the one before" if submission.after else ""
            print(f"# sbatch {' '.join(submission.arguments)} ({submission.what}{wait})\n{submission.script}")
        return 0
    jobs = hand_in(study.name, results, submissions)
    print(columns([("job", "what", "script"), *((job.number, job.what, job.script) for job in jobs)]))
    print(f"harness status {arguments.study} says how they stand")
    return 0


def _run_options(arguments: argparse.Namespace) -> list[str]:
    words: list[str] = []
    for change in arguments.sets:
        words += ["--set", change]
    for part in arguments.only:
        words += ["--only", part]
    if arguments.stale != "stop":
        words += ["--stale", arguments.stale]
    if arguments.spare_head and arguments.array is None:
        words.append("--spare-head")
    return words
