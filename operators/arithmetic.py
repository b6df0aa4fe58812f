"""How operators are written as formulas: ``A @ x``, ``A.H``, ``A.N``, ``A @ B``, ``A + B``, ``2 * A``."""

from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from torch import Tensor

Operator = TypeVar("Operator")


class Rules(Protocol):
    """What formulas mean; ``operators/algebra/rules.py`` says it."""

    def compose(self, outer: Any, inner: Any) -> Any:
        """A B."""

    def add(self, first: Any, second: Any) -> Any:
        """A + B."""

    def scale(self, factor: Any, operator: Any) -> Any:
        """A times a number."""

    def divide(self, operator: Any, divisor: Any) -> Any:
        """A over a number."""

    def adjoint(self, operator: Any) -> Any:
        """A^H."""

    def normal(self, operator: Any) -> Any:
        """A^H A."""


class Arithmetic(Generic[Operator]):
    """Formulas of operators are operators again, which share what they are made of.

    They are to be built once, outside of code that is compiled, in which ``A(x)`` is written for ``A @ x``. ``A @ B``
    applies B first. A scale is a real number.
    """

    rules: ClassVar[Rules]
    __array_ufunc__ = None  # NumPy's numbers leave ``number * A`` to this class

    @property
    def H(self) -> Operator:
        """The adjoint A^H as an operator from measurements to images; ``A.H.H`` is A.

        Raises:
            ValueError: if A is not linear.
        """
        return self.rules.adjoint(self)

    @property
    def N(self) -> Operator:
        """A^H A as an operator, which is applied by ``gramian``; ``A.H @ A`` is the same.

        Raises:
            ValueError: if A is not linear.
        """
        return self.rules.normal(self)

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...

    @overload
    def __matmul__(self, other: "Arithmetic[Operator]") -> Operator: ...

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Tensor):
            return self(other)  # type: ignore[operator]  # every operator is called on images
        return self.rules.compose(self, other) if isinstance(other, Arithmetic) else NotImplemented

    def __add__(self, other: "Arithmetic[Operator]") -> Operator:
        return self.rules.add(self, other) if isinstance(other, Arithmetic) else NotImplemented

    def __sub__(self, other: "Arithmetic[Operator]") -> Operator:
        return self.rules.add(self, self.rules.scale(-1, other)) if isinstance(other, Arithmetic) else NotImplemented

    def __neg__(self) -> Operator:
        return self.rules.scale(-1, self)

    def __mul__(self, factor: float) -> Operator:
        return NotImplemented if isinstance(factor, Arithmetic) else self.rules.scale(factor, self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Operator:
        return NotImplemented if isinstance(divisor, Arithmetic) else self.rules.divide(self, divisor)
