"""What a gate finds, as lines and tables. Never imports torch."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from rich.table import Table

from bench.records.frozen import Frozen
from bench.regression.baseline import Gate

Verdict = Literal["same", "note", "regression"]
HEADINGS = ("gate", "what", "checked", "regressions", "notes")


class Finding(Frozen):
    """One figure beside the baseline's."""

    gate: Gate
    group: str
    what: str
    was: str
    now: str
    verdict: Verdict

    @property
    def line(self) -> str:
        """Say in one line what was and what is."""
        return f"{self.verdict}: {self.gate}: {self.group}: {self.what}: was {self.was}, is {self.now}"


def regressed(findings: Sequence[Finding]) -> bool:
    """Whether there is a regression among them."""
    return any(finding.verdict == "regression" for finding in findings)


def told(findings: Sequence[Finding]) -> list[str]:
    """Return a line for every finding that is not the baseline's, regressions first."""
    return [f.line for verdict in ("regression", "note") for f in findings if f.verdict == verdict]


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON list."""
    return json.dumps([finding.model_dump(mode="json") for finding in findings], indent=1)


def as_table(findings: Sequence[Finding]) -> Table:
    """Return the number of findings by gate and group."""
    table = Table(title="Today beside the baseline")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("gate", "what") else "right")
    for row in _rows(findings):
        table.add_row(*row)
    return table


def as_markdown(findings: Sequence[Finding]) -> str:
    """Return the same table for GitHub's job summary, then what is not the baseline's."""
    rows = [HEADINGS, ("---", "---", "---:", "---:", "---:"), *_rows(findings)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    lines = "".join(f"- {line}\n" for line in told(findings))
    return f"### Regression gate\n\n{table}\n\n{lines or 'Nothing differs from the baseline.'}\n"


def _rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for finding in findings:
        counts.setdefault((finding.gate, finding.group), Counter())[finding.verdict] += 1
    return [(*key, str(count.total()), str(count["regression"]), str(count["note"])) for key, count in counts.items()]
