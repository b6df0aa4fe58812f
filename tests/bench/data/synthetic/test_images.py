import numpy as np
import pytest
import torch

from bench.data.resample import resize
from bench.data.synthetic.images import KINDS, GeneratedSplit

CHANNELS = {"leaves": 3, "chest": 1, "scan": 2}
every_kind = pytest.mark.parametrize("kind", KINDS)


def images(kind, split="train", image_shape=(32, 32), count=6, seed=0):
    opened = GeneratedSplit(kind, split, image_shape=image_shape, count=count, seed=seed)
    return torch.stack([item.image for item in opened])


@every_kind
@pytest.mark.parametrize("image_shape", [(32, 32), (45, 31), (7, 64)])
def test_images_have_any_size_and_the_promised_range(kind, image_shape):
    batch = images(kind, image_shape=image_shape, count=3)
    assert batch.shape == (3, CHANNELS[kind], *image_shape)
    assert batch.dtype == torch.float32
    size = batch.norm(dim=1) if kind == "scan" else batch
    assert size.max() <= 1 + 1e-6
    assert size.min() >= 0
    assert (batch.flatten(1).std(dim=1) > 0.05).all()


@every_kind
def test_an_image_depends_on_nothing_but_its_name_seed_and_size(kind):
    few = GeneratedSplit(kind, "test", image_shape=(32, 32), count=3, seed=4)
    many = GeneratedSplit(kind, "test", image_shape=(32, 32), count=9, seed=4)
    many[8], many[0]
    torch.testing.assert_close(few[2].image, many[2].image, rtol=0, atol=0)
    assert few[2].name == many[2].name


@every_kind
def test_splits_and_seeds_never_share_an_image(kind):
    batches = [images(kind, split, seed=seed) for split in ("train", "validation", "test") for seed in (0, 1, 2)]
    every = torch.cat(batches).flatten(1)
    distances = torch.cdist(every, every) + torch.eye(len(every)) * 99
    assert distances.min() > 0.5


@every_kind
def test_names_are_unique_and_every_image_is_its_own_group(kind):
    opened = GeneratedSplit(kind, "train", image_shape=(8, 8), count=5, seed=0)
    assert len({item.name for item in opened}) == len({item.group for item in opened}) == 5


@pytest.mark.parametrize("kind", ["chest", "scan"])
def test_the_same_scene_is_drawn_at_every_size_without_aliasing(kind):
    fine, coarse = images(kind, image_shape=(192, 192), count=4), images(kind, image_shape=(48, 48), count=4)
    small = torch.from_numpy(np.stack([resize(image.numpy(), (48, 48)) for image in fine]))
    picked = fine[..., 2::4, 2::4]  # what drawing without antialiasing would give
    error, aliased = (small - coarse).pow(2).mean(), (small - picked).pow(2).mean()
    assert error < 0.35 * aliased
    assert error.sqrt() < 0.04


def test_dead_leaves_are_antialiased():
    # Edges drawn by point samples jump at once from one side to the other: compare small steps with big ones.
    batch = images("leaves", image_shape=(64, 64), count=4)
    steps = (batch[..., 1:] - batch[..., :-1]).abs().amax(dim=1)
    partial = ((steps > 0.05) & (steps < 0.15)).sum()
    assert partial > (steps > 0.3).sum()


def test_chests_have_the_attenuation_of_lodopab():
    batch = images("chest", image_shape=(96, 96), count=24)
    share = [
        float(((batch >= low) & (batch < high)).float().mean())
        for low, high in ((0, 0.01), (0.02, 0.1), (0.2, 0.3), (0.38, 0.7))
    ]
    air, lung, soft, bone = share
    assert 0.15 < air < 0.6
    assert 0.08 < lung < 0.4
    assert 0.25 < soft < 0.6
    assert 0.01 < bone < 0.08
    assert batch.max() < 0.75


def test_chests_lie_with_the_spine_to_the_right():
    batch = images("chest", image_shape=(96, 96), count=12)[:, 0, 36:60]  # a band along the body's axis
    columns = (batch > 0.38).float().sum(dim=(0, 1))
    assert columns[48:].sum() > 3 * columns[:48].sum()


def test_scans_have_a_smooth_phase_of_zero_mean_that_varies_inside_them():
    batch = images("scan", image_shape=(64, 64), count=12)
    scans = torch.complex(batch[:, 0], batch[:, 1])
    assert (scans.abs().amax(dim=(1, 2)) >= 0.7 - 1e-5).all()
    turned = scans[:, 1:] * scans[:, :-1].conj()
    seen = (scans[:, 1:].abs() > 0.05) & (scans[:, :-1].abs() > 0.05)
    assert turned.angle()[seen].abs().max() < 0.4
    assert scans.sum(dim=(1, 2)).angle().abs().max() < 1e-4
    bright = scans.abs() > 0.05
    spreads = torch.stack([scan.angle()[mask].std() for scan, mask in zip(scans, bright, strict=True)])
    assert spreads.median() > 0.3


@pytest.mark.parametrize(
    ("kind", "count", "seed", "word"),
    [("cats", 1, 0, "kind"), ("scan", 0, 0, "count"), ("scan", 1, -1, "seed")],
)
def test_nonsense_is_refused(kind, count, seed, word):
    with pytest.raises(ValueError, match=word):
        GeneratedSplit(kind, "train", image_shape=(8, 8), count=count, seed=seed)
