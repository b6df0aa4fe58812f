"""Which images a step sees: every one once an epoch, the same from any point on, shared by processes."""

from itertools import chain, islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.training.batches import BatchOrder, augment, random_numbers, reading_shape

COUNTS = st.integers(1, 9)


def first(order, steps):
    return list(islice(order, steps))


@given(count=COUNTS, batch=COUNTS, seed=st.integers(0, 3))
def test_an_epoch_shows_every_image_once(count, batch, seed):
    places = list(chain(*first(BatchOrder(count, batch, seed), 4 * count)))
    epochs = [places[start : start + count] for start in range(0, 4 * count * batch, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {tuple(chain(*first(BatchOrder(8, 8, seed, first_step=step), 1))) for seed in (0, 1) for step in (0, 1)}
    assert len(orders) == 4


@given(count=COUNTS, batch=COUNTS, start=st.integers(0, 20))
def test_an_order_goes_on_anywhere(count, batch, start):
    assert first(BatchOrder(count, batch, 0), start + 3)[start:] == first(BatchOrder(count, batch, 0, start), 3)


@given(count=COUNTS, processes=st.integers(1, 4), share=st.integers(1, 3))
def test_processes_share_every_batch(count, processes, share):
    batch = processes * share
    parts = [first(BatchOrder(count, batch, 0, rank=rank, processes=processes), 5) for rank in range(processes)]
    together = [list(chain(*batches)) for batches in zip(*parts, strict=True)]
    assert together == first(BatchOrder(count, batch, 0), 5)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="2 processes cannot share a batch of 3 evenly"):
        BatchOrder(4, 3, 0, processes=2)


def test_random_numbers_differ_by_all_that_they_are_for():
    keys = [(0, 0, "views", 0), (1, 0, "views", 0), (0, 1, "views", 0), (0, 0, "noise", 0), (0, 0, "views", 1)]
    drawn = [torch.rand((), generator=random_numbers(*key)).item() for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn[0] == torch.rand((), generator=random_numbers(*keys[0])).item()


def views(image, augmentation):
    """Many views of one image, without repeats."""
    seen = {}
    for step in range(60):
        view = augment(image, augmentation, random_numbers(0, step, "views"))
        seen[tuple(view.flatten().tolist())] = view
    return list(seen.values())


def test_flips_and_quarter_turns_give_the_eight_views_of_a_square():
    image = torch.arange(9.0).view(1, 3, 3)
    found = views(image, ("flip", "quarter-turn"))
    assert len(found) == 8
    assert all(torch.equal(view.flatten().sort().values, image.flatten()) for view in found)


def test_what_is_not_square_is_turned_upside_down_at_most():
    found = views(torch.arange(6.0).view(1, 2, 3), ("quarter-turn",))
    assert len(found) == 2
    assert all(view.shape == (1, 2, 3) for view in found)


def test_images_that_are_cropped_are_read_larger():
    assert reading_shape((4, 8), ("crop",)) == (5, 10)
    assert reading_shape((4, 8), ("flip",)) == (4, 8)


def test_without_augmentation_nothing_changes():
    image = torch.rand(1, 4, 4)
    assert torch.equal(augment(image, (), random_numbers(0, 0, "views")), image)
