"""A table as a test reads it."""


def lines(table):
    """A table's rows as texts, with the marks behind them and '*' around bold ones."""
    return [[f"*{c.text}*" if c.bold else c.text + c.mark for c in row.cells] for row in table.body]
