"""Other libraries' solvers and operators, and the races against them."""
