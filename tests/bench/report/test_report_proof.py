"""Memory beside real GPUs: what is fitted is left out, and every prediction has a constant of its own."""

from dataclasses import replace

import numpy as np
import pytest

from bench.records import GIB, MIB, HistoryRow, PeerFigures, ProofSpec, ProofValues
from bench.report.figures.proof import history_caption, proof_figure
from bench.report.render import render
from bench.report.selection.predictions import predictions
from bench.report.selection.records import load_records
from bench.report.tables.proof import proof_table

CONTEXT = 1400 * MIB


@pytest.fixture
def proved(samples):
    """Twelve runs, of which ten are fitted, and two histories, of which one replays."""
    reserved = tuple(100 * MIB * n for n in range(1, 13))
    runs = ProofValues(
        constant_bytes=CONTEXT,
        fitted_runs=10,
        measured_bytes=tuple(CONTEXT + size + (2 * MIB if n >= 10 else 0) for n, size in enumerate(reserved)),
        reserved_bytes=reserved,
        requested_bytes=tuple(size // 2 for size in reserved),
    )
    rows = [HistoryRow(file=f"{n}", events=1000, reserved_bytes=GIB, replayed=n > 0) for n in range(2)]
    samples.add(ProofSpec(source="perceptrons", file="runs.csv", content="0" * 16), runs)
    samples.add(ProofSpec(source="histories", file="histories", content="1" * 16), ProofValues(histories=tuple(rows)))
    return load_records(samples.store).proofs


def test_predictions_are_judged_on_what_nothing_was_fitted_to(proved):
    (values,) = (entry.values for entry in proved if entry.values.measured_bytes)
    ours, fake, alone = predictions(values)
    assert [len(found.error_bytes) for found in (ours, fake, alone)] == [2, 2, 2]
    np.testing.assert_allclose(ours.error_bytes, 2 * MIB)
    assert ours.text == "median error 2.0 MiB, 99 % within 2.0 MiB"
    assert ours.error_bytes.max() < fake.error_bytes.min() < alone.error_bytes.min()


def with_peer(proved):
    """Return the records' entries with a peer that is right by its constant alone for the first of two runs."""
    found = []
    for entry in proved:
        if entry.values.measured_bytes:
            measured = entry.values.measured_bytes
            parts = (*(size - 9 * MIB for size in measured[:11]), 500 * GIB)
            peer = PeerFigures(name="other", version="2.0", constant_bytes=9 * MIB, predicted_bytes=parts)
            entry = replace(entry, values=entry.values.model_copy(update={"peers": (peer,)}))
        found.append(entry)
    return found


def test_peers_have_a_constant_a_panel_and_a_row_of_their_own(proved):
    entries = with_peer(proved)
    (values,) = (entry.values for entry in entries if entry.values.measured_bytes)
    peer = predictions(values)[-1]
    assert peer.title == "other 2.0"
    assert peer.constant_bytes == 9 * MIB
    assert peer.error_bytes[0] == 0
    figure = proof_figure(entries)
    assert [axis.get_title(loc="left") for axis in figure.axes][-1] == "other 2.0"
    assert "50 % outside the axes" in figure.axes[-1].texts[0].get_text()
    assert len(proof_figure(proved).axes) == 3


def test_the_table_has_a_row_a_prediction_beside_the_histories(proved):
    texts = [[cell.text.strip() for cell in row.cells] for row in proof_table(with_peer(proved)).body]
    assert texts[0] == ["Allocators' histories: 1 of 2 replay to the byte"]
    assert texts[1] == ["runs.csv: 12 runs, 2 of them predicted"]
    assert [row[0] for row in texts[2:]] == [
        "Simulated allocator",
        "Fake tensors alone",
        "A constant alone",
        "other 2.0",
    ]
    assert texts[2] == ["Simulated allocator", "1,400.0", "2.0", "2.0"]
    assert proof_table([]) is None


def test_histories_are_counted(proved):
    expected = "1 of 2 published allocator histories (2,000 events, up to 1.0 GiB reserved) replay to the byte"
    assert history_caption(proved).startswith(expected)
    assert history_caption([]) == ""


def test_the_page_shows_them(proved, samples, tmp_path):
    render(samples.store.root, tmp_path / "reports")
    page = (tmp_path / "reports" / "README.md").read_text()
    assert "![Predicted memory versus real GPUs](proof.png)" in page
    assert "(proof-table.tex)" in page
    assert "reserved) replay to the byte" in page
    assert proof_figure([]) is None


def test_classifiers_share_a_known_constant_and_are_told_one_by_one(samples):
    runs = ProofValues(
        constant_bytes=CONTEXT,
        measured_bytes=(2000 * MIB, 3000 * MIB),
        reserved_bytes=(600 * MIB, 1540 * MIB),
        requested_bytes=(500 * MIB, 1000 * MIB),
        names=("small, batch 8", "large, batch 16"),
    )
    samples.add(ProofSpec(source="classifiers", file="cnn.csv", content="2" * 16), runs)
    entries = load_records(samples.store).proofs
    assert {found.constant_bytes for found in predictions(runs)} == {CONTEXT}
    rows = [tuple(cell.text.strip() for cell in row.cells) for row in proof_table(entries).body]
    assert ("small, batch 8", "2,000", "2,000", "+0.0 %") in rows
    assert ("large, batch 16", "3,000", "2,940", "\N{MINUS SIGN}2.0 %") in rows
    assert proof_figure(entries) is None  # its axes are the perceptrons'
