"""Options of measuring commands for jobs on a cluster."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.parameters import JOBS, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from bench.runner.cluster import Cluster
    from bench.runner.profile import Profile

SETTINGS = {
    "partition": "partition",
    "account": "account",
    "gpus_per_job": "gpus_per_job",
    "cluster_minutes": "minutes",
    "cluster_jobs": "jobs",
}
"""Option -> the profile's setting that it overrides."""

CLUSTER_OPTIONS = (
    click.option(
        "--executor",
        type=click.Choice(["here", "local", "slurm"]),
        default="here",
        show_default=True,
        help="Where cells are measured: in this command; in jobs of a Slurm cluster; local: in such jobs on this "
        "machine, as a rehearsal.",
    ),
    click.option("--partition", help="Of the jobs."),
    click.option("--account", help="Of the jobs."),
    click.option("--gpus-per-job", type=click.IntRange(0, 64), help="Default: none."),
    click.option(
        "--cluster-minutes",
        type=click.IntRange(1, 366 * 24 * 60),
        help="A job's time limit; at its end the job is queued again and resumes. Default: 240.",
    ),
    click.option(
        "--cluster-jobs",
        type=JOBS,
        help="Jobs at once. Default: as the scheduler likes; one with --executor local.",
    ),
    click.option(
        "--cluster-profile",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="TOML file with these settings and others (docs/how-to/clusters.md); options override it.",
    ),
)


def pop_cluster(options: dict[str, Any]) -> "Cluster | None":
    """Take the options of ``CLUSTER_OPTIONS`` out of a command's; None where cells are measured in the command.

    Raises:
        click.ClickException: if the profile is not valid, or an option has no use.
    """
    place, path = options.pop("executor", "here"), options.pop("cluster_profile", None)
    given = {name: value for name in SETTINGS if (value := options.pop(name, None)) is not None}
    if place == "here":
        useless = [*given, *["cluster_profile"] * (path is not None)]
        if useless:
            raise click.ClickException(f"--{useless[0].replace('_', '-')} needs --executor slurm or local")
        return None
    from bench.runner.cluster import Cluster
    from bench.runner.team import alone

    if not alone():
        raise click.ClickException(f"--executor {place}: not under torchrun; jobs have one process each")
    return Cluster(place=place, profile=_profile(path, {SETTINGS[name]: value for name, value in given.items()}))


def _profile(path: Path | None, given: dict[str, Any]) -> "Profile":
    from pydantic import ValidationError

    from bench.records.files import read_file
    from bench.runner.profile import Profile

    try:
        content = {} if path is None else tomllib.loads(read_file(path).decode())
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{path}: not valid TOML: {error}") from error
    for name in content:
        if name not in Profile.model_fields:
            raise click.ClickException(f"{path}: {unknown('setting', name, Profile.model_fields)}")
    try:
        return Profile.model_validate(content | given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise click.ClickException(f"{path}: {where}: {first['msg']}") from error
