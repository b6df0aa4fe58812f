"""``python -m bench``: lists the commands."""

import click

from bench.cli import run

COMMANDS = {
    "bench.all": "measure everything and render it",
    "bench.memory": "largest batch that trains under a memory cap (Table 3)",
    "bench.gpu": "all measurements that need a GPU, most important first, within some minutes",
    "bench.accuracy": "train and grade on held-out images (Table 2, Figure 2)",
    "bench.queue": "train the cells of Table 2 one by one, most important first; resumes at any step",
    "bench.grade": "grade published weights on held-out images",
    "bench.references": "methods without training: filtered backprojection, total variation (Table 2)",
    "bench.timing": "seconds per training step and per reconstruction (Table 4)",
    "bench.calls": "operator applications per training step and per reconstruction (Table 4)",
    "bench.solvers": "compare fixed-point methods and gradient rules with other libraries'",
    "bench.operators": "compare the operators' times with other libraries'",
    "bench.data": "check a folder of real images, or draw its contact sheet",
    "bench.results": "list, show, check and export the stored records",
    "bench.report": "render tables and figures from the stored records",
}


@click.command(help="List the commands of the benchmark.")
def main() -> None:
    """Print one line per command."""
    width = max(map(len, COMMANDS))
    for name, about in COMMANDS.items():
        click.echo(f"python -m {name:{width}}  {about}")
    click.echo("\nEvery command has --help.")


if __name__ == "__main__":
    run(main)
