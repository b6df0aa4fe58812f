"""``python -m bench.grade``: grade published weights on held-out images, without training."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli import MODEL, data_options, run
from bench.cli.parameters import IMAGES

HELP = """Grade published weights by PSNR and SSIM on held-out images, with 95 % intervals; nothing is stored.

Each file names its task, model, image size and training data. --data names the held-out images; without it they are
generated. Measurements and noise are those of bench.accuracy. With --measured they are the data set's own: fastMRI's
k-space at its full size, LoDoPaB-CT's observations. Weights of a model of your own need --model: a file never
chooses which code runs.

\b
Examples:
  python -m bench.grade results/weights/ct-luser-dw-*.safetensors --data ct=LODOPAB
  python -m bench.grade MINE.safetensors --test-images 100 --model my_package.my_module:MyModel
  python -m bench.grade results/weights/mri4x-*.safetensors --data mri4x=FASTMRI --measured

Exit codes: 0 graded; 2 bad input, such as a file without weights of ours, or weights whose reconstruction of an image
(named in the message) has no finite quality; 130 interrupted.
"""


@click.command(help=HELP)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", "models", type=MODEL, multiple=True, help="Model of your own that a file may be of; repeatable."
)
@data_options
@click.option("--test-images", type=IMAGES, help="How many. Default: as when it was trained.")
@click.option("--measured", is_flag=True, help="Reconstruct from what the data set measured, instead of simulating it.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
def main(
    files: Sequence[Path],
    models: Sequence[str],
    data: Sequence[str],
    data_root: Path | None,
    test_images: int | None,
    measured: bool,
    device: str,
) -> None:
    """Grade weights from the command line."""
    from bench.cli.sources import data_sources
    from bench.cli.tables import print_table
    from bench.records.environment import pick_device
    from bench.training.published import grade_files

    sources, place = data_sources(data, data_root), pick_device(device)
    print_table(grade_files(files, sources, place, test_images, measured=measured, own=models))


if __name__ == "__main__":
    run(main)
