"""The base class of everything that is stored. Never imports torch."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """The base of everything that is stored: immutable, and without unknown fields."""

    # JSON has no nan: a skipped step's loss is stored as the string "NaN" and read back as a float.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
