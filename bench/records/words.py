"""Words of files and of people, for messages and terminals."""


def printable(text: str) -> str:
    """Return a text with what would steer a terminal written out: files' names and contents are others' words."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
