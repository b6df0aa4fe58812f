"""Where made-up records are written, and what all of them share."""

from datetime import datetime, timedelta, timezone

from bench.records import Provenance, Record, Status
from bench.records.store import ResultStore

PAPER_SHAPES = {"deblur": (218, 178), "ct": (362, 362), "mri4x": (320, 320)}
MODELS = ("lu-dncnn", "deq4ip", "luser-sw", "luser-dw")
START = datetime(2030, 1, 1, tzinfo=timezone.utc)


class RecordWriter:
    """Writes made-up records into one results folder."""

    def __init__(self, root):
        self.store = ResultStore(root)

    def provenance(self, *, device="test device", dirty=False, hours=0, threads=2, commit="c0ffee" + "0" * 34):
        return Provenance(
            created=START + timedelta(hours=hours),
            commit=commit,
            dirty=dirty,
            device=device,
            python="3.11.0",
            torch="0.0-test",
            platform="test platform",
            threads=threads,
        )

    def add(self, spec, values, *, status=Status.OK, **origin):
        record = Record(spec=spec, status=status, values=values, provenance=self.provenance(**origin))
        return self.store.add(record)
