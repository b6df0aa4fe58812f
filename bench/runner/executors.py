"""Where jobs run: on a Slurm cluster, or one after another on this machine; both through submitit."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import click

from bench.runner.part import Job
from bench.runner.profile import Profile

Place = Literal["slurm", "local"]
WARNING_S = 90
"""Seconds before a job's end at which it is told, so that it can be queued again."""
TIMEOUTS = 1000
"""A job is queued again after this many time-outs at most. A training may need many jobs; the limits of a cell end one
that hangs."""


class SentJob(Protocol):
    """What submitit returns."""

    @property
    def job_id(self) -> str:
        """The scheduler's name for it."""

    @property
    def paths(self) -> Any:
        """Its files; ``stderr`` among them."""

    def done(self) -> bool:
        """Whether it has ended."""

    def cancel(self, check: bool = True) -> None:
        """End it."""


class Executor(Protocol):
    """Sends jobs, and tells how they are.

    Attributes:
        at_once: jobs to send before another one has ended; None for any number, the scheduler makes them wait.
    """

    at_once: int | None

    def send(self, jobs: Sequence[Job]) -> list[SentJob]:
        """Send jobs; several as one array."""

    def states(self, jobs: Iterable[SentJob]) -> dict[str, str] | None:
        """Return identity -> ``running`` or why it waits, of those that have not ended; None if that is unknown now."""

    def cancel(self, jobs: Iterable[SentJob]) -> None:
        """End jobs."""


def make_executor(place: Place, folder: Path, profile: Profile) -> Executor:
    """Return what sends jobs.

    Args:
        place: which.
        folder: for submitit's files; every machine sees it.
        profile: what a job asks for.

    Raises:
        click.ClickException: if submitit is not installed, or there is no Slurm.
    """
    try:
        import submitit  # noqa: F401  # used by both
    except ModuleNotFoundError as error:
        raise click.ClickException(f"--executor {place}: not installed; pip install '.[cluster]'") from error
    for program in ("sbatch", "srun", "squeue", "scancel") if place == "slurm" else ():
        if shutil.which(program) is None:
            raise click.ClickException(f"--executor slurm: there is no {program} here; --executor local needs none")
    # Jobs read pickles, which can run anything, from this folder alone: it is new, and nobody else may write there.
    folder.mkdir(mode=0o700, parents=True)
    return _Slurm(folder, profile) if place == "slurm" else _Local(folder, profile)


def _warning_s(profile: Profile) -> int:
    return min(WARNING_S, 6 * profile.minutes)


class _Slurm:
    at_once: int | None = None

    def __init__(self, folder: Path, profile: Profile) -> None:
        from submitit import SlurmExecutor

        options: dict[str, Any] = {
            "partition": profile.partition,
            "account": profile.account,
            "qos": profile.qos,
            "constraint": profile.constraint,
            "gpus_per_node": profile.gpus_per_job or None,
            "cpus_per_task": profile.cpus_per_job,
            "mem": profile.memory_gb and f"{profile.memory_gb * 1024:.0f}M",
            "array_parallelism": profile.jobs,
            "setup": list(profile.setup) or None,
            # Since Slurm 22.05, srun does not take over what sbatch was told.
            "srun_args": profile.cpus_per_job and [f"--cpus-per-task={profile.cpus_per_job}"],
        }
        self._executor = SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
        self._executor.update_parameters(
            job_name="bench",
            time=profile.minutes,
            signal_delay_s=_warning_s(profile),
            additional_parameters={"requeue": True},
            **{name: value for name, value in options.items() if value is not None},
        )

    def send(self, jobs: Sequence[Job]) -> list[SentJob]:
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            with self._executor.batch():
                sent = [self._executor.submit(job) for job in jobs]
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise click.ClickException(f"--executor slurm: the jobs were refused: {reason}") from error
        return cast(list[SentJob], sent)

    def states(self, jobs: Iterable[SentJob]) -> dict[str, str] | None:
        # Not submitit's own: it asks sacct, which clusters without accounting lack, and rarely.
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
        if answer.returncode:
            return None
        lines = [line.split("|", 2) for line in answer.stdout.splitlines()]
        return {name: "running" if state == "RUNNING" else reason.replace("None", "") for name, state, reason in lines}

    def cancel(self, jobs: Iterable[SentJob]) -> None:
        names = [job.job_id for job in jobs]
        if names:
            subprocess.run(["scancel", *names], check=False)  # noqa: S603, S607  # no shell


class _Local:
    def __init__(self, folder: Path, profile: Profile) -> None:
        from submitit import LocalExecutor

        self.at_once: int | None = profile.jobs or 1
        self._executor = LocalExecutor(folder, max_num_timeout=TIMEOUTS)
        self._executor.update_parameters(
            timeout_min=profile.minutes,
            signal_delay_s=_warning_s(profile),
            gpus_per_node=profile.gpus_per_job,
            setup=profile.setup,
        )

    def send(self, jobs: Sequence[Job]) -> list[SentJob]:
        return [self._executor.submit(job) for job in jobs]

    def states(self, jobs: Iterable[SentJob]) -> dict[str, str] | None:
        return {job.job_id: "running" for job in jobs if not job.done()}

    def cancel(self, jobs: Iterable[SentJob]) -> None:
        for job in jobs:
            job.cancel()
