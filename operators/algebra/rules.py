"""What formulas of operators mean, and how they are simplified."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

from operators.algebra.composite import kind
from operators.algebra.composition import Composition
from operators.algebra.identity import Identity
from operators.algebra.single import Adjoint, Normal, Scaled
from operators.algebra.sums import Sum, require_same
from operators.arithmetic import Arithmetic
from operators.base import ForwardOperator
from operators.validation import require_number


class FormulaRules:
    """Makes an operator of a formula. Each raises ``ValueError``, in one line, for what does not fit."""

    def compose(self, outer: ForwardOperator, inner: ForwardOperator) -> ForwardOperator:
        """Return A B; scales are put in front, A^H A becomes ``A.N`` and identities drop out."""
        _require_fit(outer, inner)
        factor, outer = _unscaled(outer)
        if outer.linear:
            other, inner = _unscaled(inner)
            factor *= other
        if isinstance(outer, Adjoint) and outer.part is inner:
            return self.scale(factor, self.normal(inner))
        return self.scale(factor, _product([*_factors(outer), *_factors(inner)]))

    def add(self, first: ForwardOperator, second: ForwardOperator) -> ForwardOperator:
        """Return A + B."""
        require_same(first, second, "image_shape", "data_shape", "complex_images", "complex_data")
        terms = [operator.parts if isinstance(operator, Sum) else (operator,) for operator in (first, second)]
        return Sum([*terms[0], *terms[1]])

    def scale(self, factor: Any, operator: ForwardOperator) -> ForwardOperator:
        """Return A times a real number."""
        inner, operator = _unscaled(operator)
        factor = _require_scale(factor) * inner
        return operator if factor == 1 else Scaled(factor, operator)

    def divide(self, operator: ForwardOperator, divisor: Any) -> ForwardOperator:
        """Return A over a real number."""
        if _require_scale(divisor) == 0:
            raise ValueError("an operator can't be divided by zero")
        return self.scale(1 / float(divisor), operator)

    def adjoint(self, operator: ForwardOperator) -> ForwardOperator:
        """Return A^H."""
        factor, operator = _unscaled(operator)
        if not operator.linear:
            name = operator.expression
            raise ValueError(f"{name} is not linear and has no adjoint; `pullback` is that of its Jacobian at an image")
        if isinstance(operator, (Identity, Normal)):
            return self.scale(factor, operator)
        return self.scale(factor, operator.part if isinstance(operator, Adjoint) else Adjoint(operator))

    def normal(self, operator: ForwardOperator) -> ForwardOperator:
        """Return A^H A."""
        factor, operator = _unscaled(operator)
        if not operator.linear:
            raise ValueError(f"{operator.expression} is not linear and has no gramian")
        return self.scale(factor**2, operator if isinstance(operator, Identity) else Normal(operator))


Arithmetic.rules = FormulaRules()


def _require_scale(value: Any) -> float:
    if not isinstance(value, Real):
        raise ValueError(f"an operator is scaled by a real number, got {value!r}")
    return float(require_number("a scale", float(value)))


def _unscaled(operator: ForwardOperator) -> tuple[float, ForwardOperator]:
    return (operator.factor, operator.part) if isinstance(operator, Scaled) else (1.0, operator)


def _factors(operator: ForwardOperator) -> list[ForwardOperator]:
    """What an operator is the product of; of a product's adjoint, the factors' adjoints in the opposite order."""
    if isinstance(operator, Composition):
        return list(operator.parts)
    if isinstance(operator, Adjoint) and isinstance(operator.part, Composition):
        return [factor.H for factor in reversed(operator.part.parts)]
    return [operator]


def _product(factors: Sequence[ForwardOperator]) -> ForwardOperator:
    kept: list[ForwardOperator] = []
    for factor in factors:
        if isinstance(factor, Identity):
            continue
        last = kept[-1] if kept else None
        if isinstance(last, Adjoint) and last.part is factor:
            kept[-1] = factor.N
        else:
            kept.append(factor)
    if not kept:
        return factors[0]
    return kept[0] if len(kept) == 1 else Composition(kept)


def _require_fit(outer: ForwardOperator, inner: ForwardOperator) -> None:
    names = f"{outer.expression} @ {inner.expression}"
    if outer.image_shape != inner.data_shape:
        raise ValueError(f"{names}: the first takes {outer.image_shape}, the second measures {inner.data_shape}")
    if outer.complex_images != inner.complex_data:
        takes, measures = kind(outer.complex_images), kind(inner.complex_data)
        raise ValueError(f"{names}: the first takes {takes} images, the second's measurements are {measures}")
