"""Trained weights as files: safetensors, with the question they answer in the metadata; never a pickle."""

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.data.archive import is_html
from bench.records import AccuracySpec
from bench.records.files import write_atomically
from bench.records.words import printable

_SPEC = "spec"
_FOREIGN = (AttributeError, KeyError, RuntimeError, TypeError, ValueError, MemoryError, OverflowError)
"""What safetensors raises beside its own error for types that torch lacks and sizes that cannot be."""


class WeightsError(ValueError):
    """A file that does not hold weights of ours; the message is one printable line that names it."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def save_weights(path: Path, model: nn.Module, spec: AccuracySpec, *, half: bool = False) -> None:
    """Store a model's weights and buffers.

    Args:
        path: the file; replaced if it is there.
        model: on any device.
        spec: what the model was trained for.
        half: whether weights are stored in float16; buffers never are.
    """
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors |= {name: tensors[name].half() for name, _ in model.named_parameters()}
    write_atomically(path, save(tensors, {_SPEC: spec.model_dump_json()}))


def load_weights(path: Path) -> tuple[AccuracySpec, dict[str, Tensor]]:
    """Read weights back: what they were trained for, and the tensors by name.

    Raises:
        WeightsError: if the file is missing, broken, or holds no weights of ours, or nan.
    """
    if not path.is_file():  # a pipe would never end
        raise WeightsError(f"{path}: No such file")
    try:
        with safe_open(path, framework="pt") as file:
            spec = AccuracySpec.model_validate_json((file.metadata() or {}).get(_SPEC, ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except ValidationError as error:
        raise WeightsError(f"{path}: does not say which model it is of: {error.errors()[0]['msg']}") from error
    except (OSError, SafetensorError, *_FOREIGN) as error:
        # Checked last: the first byte of a sound file may look like a page's.
        reason = "an HTML page, a download's notice?" if _is_page(path) else " ".join(str(error).split())
        raise WeightsError(f"{path}: not a safetensors file: {reason}") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype.itemsize < 2:
            raise WeightsError(f"{path}: {name!r} holds {tensor.dtype}, of which weights of ours have none")
        if tensor.isnan().any():
            raise WeightsError(f"{path}: {name!r} holds values that are no numbers (nan)")
    return spec, tensors


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return is_html(file.read(256))
