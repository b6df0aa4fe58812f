"""Grade published weights on images that they were not trained on.

Every file in results/weights/ names its task, model and image size. Without --images, images are generated. They look
unlike the photographs and scans that the network was trained on: pass a folder to grade on such. As a command, for
many files at once:

    python -m bench.grade results/weights/*.safetensors --test-images 10
"""

import argparse
from pathlib import Path

from bench.training.published import grade_weights, load_model

WEIGHTS = Path(__file__).resolve().parents[1] / "results" / "weights"


def main(weights: Path | None, images: Path | None, count: int) -> None:
    """Print the mean PSNR of the starting images and of the reconstructions."""
    path = weights or sorted(WEIGHTS.glob("deblur-luser-sw-*.safetensors"))[0]
    spec, model = load_model(path)
    height, width = spec.image_shape
    print(f"{spec.model} for {spec.task}, trained on {spec.data}, {height} x {width} pixels")
    grades = grade_weights(model, spec, images, test_images=count)
    for name, where in (("start_psnr_db", "starting images"), ("psnr_db", "reconstructions")):
        mean = sum(getattr(item, name) for item in grades.items) / len(grades.items)
        print(f"{where}: {mean:.2f} dB, mean of {len(grades.items)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, nargs="?", help="a file; default: LUSER-SW for deblurring")
    parser.add_argument("--images", type=Path, help="folder of held-out images in the task's layout")
    parser.add_argument("--count", type=int, default=2, help="how many images")
    main(**vars(parser.parse_args()))
