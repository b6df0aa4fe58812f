"""Files that are hardly a record: each ends in a line, none in a traceback."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.records import MemorySpec
from bench.records.store import ResultStore
from tests.records import make_provenance, make_record, make_spec

GOOD = make_record().model_dump_json().encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [("spec",), ("status",), ("values",), ("provenance",), ("message",)]
FIELDS += [("spec", name) for name in MemorySpec.model_fields] + [("values", "probes"), ("values", "max_batch")]
FIELDS += [("provenance", name) for name in ("created", "device", "threads", "options", "flags")]


HUGE = ["9" * 5000, "1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 30]
numbers = st.sampled_from(HUGE).map(lambda number: GOOD.replace(b"8589934592", number.encode()))
cut = st.integers(0, len(GOOD) - 1).map(lambda end: GOOD[:end])
nested = st.tuples(st.sampled_from([b"[", b'{"spec":']), st.integers(1, 5000)).map(lambda pair: pair[0] * pair[1])
foreign = JSON.map(lambda content: json.dumps(content).encode(errors="surrogatepass"))


@st.composite
def flipped(draw):
    """A record with wrong bits."""
    content = bytearray(GOOD)
    for bit in draw(st.lists(st.integers(0, 8 * len(GOOD) - 1), min_size=1, max_size=4)):
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


@st.composite
def changed(draw):
    """A record with a field of a wrong type, or without it."""
    record, place = json.loads(GOOD), draw(st.sampled_from(FIELDS))
    inner = record if len(place) == 1 else record[place[0]]
    if draw(st.booleans()):
        inner[place[-1]] = draw(JSON)
    else:
        inner.pop(place[-1], None)
    return json.dumps(record).encode(errors="surrogatepass")


malformed = st.one_of(numbers, cut, nested, foreign, flipped(), changed(), st.binary(max_size=200))


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(malformed)
def test_malformed_files_end_in_a_line_or_a_record(tmp_path_factory, content):
    lines = []
    store = ResultStore(tmp_path_factory.getbasetemp() / "malformed", lines.append)
    path = store.path_of(make_spec(), make_provenance())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    found = list(store.records())
    assert len(found) + len(lines) == 1
    assert all(line.startswith(f"skipped: {path}: not a valid record: ") and "\n" not in line for line in lines)
    store.finished(make_spec(), make_provenance())
