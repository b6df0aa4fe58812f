"""What the entries of MODELS offer, told from the models: a new one needs no line in the tests."""

from inspect import signature

from models import MODELS, EquilibriumModel, Luser

_BUILT = {name: make(channels=1) for name, make in MODELS.items()}

EQUILIBRIUM = [name for name, model in _BUILT.items() if isinstance(model, EquilibriumModel)]
LUSERS = [name for name, model in _BUILT.items() if isinstance(model, Luser)]
DENOISERS = [name for name, model in _BUILT.items() if hasattr(model, "denoise")]
STAGED = [name for name, model in _BUILT.items() if model.supports_auxiliary_loss]


def takes(option: str) -> list[str]:
    """Return the models whose constructors have an option."""
    return [name for name, make in MODELS.items() if option in signature(make).parameters]
