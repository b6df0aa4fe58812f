"""``python -m bench``: lists the commands."""

import click

from bench.cli import run

COMMANDS = {
    "bench.all": "measure everything and render it",
    "bench.memory": "largest batch that trains under a memory cap (Table 3)",
    "bench.gpu": "all that a GPU can add, the most wanted first, within some minutes",
    "bench.accuracy": "train and grade on held-out images (Table 2, Figure 2)",
    "bench.queue": "train Table 2 cell after cell, the most wanted first; resumes at any step",
    "bench.grade": "grade published weights on held-out images",
    "bench.references": "the same images without training: filtered backprojection, total variation (Table 2)",
    "bench.timing": "seconds per training step and per reconstruction (Table 4)",
    "bench.calls": "operator applications per training step and per reconstruction (Table 4)",
    "bench.solvers": "race fixed-point methods and gradient rules, other libraries' beside ours",
    "bench.operators": "time the operators, other libraries' beside ours",
    "bench.data": "check a folder of real images, or draw a contact sheet of one",
    "bench.report": "render tables and figures from the stored records",
}


@click.command(help="List the commands of the benchmark.")
def main() -> None:
    """Print every command with a line about it."""
    width = max(map(len, COMMANDS))
    for name, about in COMMANDS.items():
        click.echo(f"python -m {name:{width}}  {about}")
    click.echo("\nEach one explains itself with --help.")


if __name__ == "__main__":
    run(main)
