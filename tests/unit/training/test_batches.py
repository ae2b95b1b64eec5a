from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lesionbench.data.slices import load_stack
from lesionbench.errors import UserError
from lesionbench.training.batches import batches, draw_order, generator, load_slices, neighbours, split_order
from tiny import PAD, PREPROCESSING, by_study, write_stack

CPU = torch.device("cpu")
EVERYTHING = 1e9


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Two studies: slices of 20 rows and 33 columns, and of 32 rows and 16 columns."""
    folder = tmp_path_factory.mktemp("stacks")
    return [write_stack(folder, 1, (33, 20, 5)), write_stack(folder, 2, (16, 32, 4))]


def load(paths, limit=EVERYTHING, **changes):
    return load_slices(by_study(paths), PAD, replace(PREPROCESSING, **changes), CPU, limit)


def test_studies_lie_one_after_the_other_padded_with_air(paths):
    slices = load(paths)
    assert slices.images.shape == slices.masks.shape == (9, 32, 48)
    assert (slices.images.dtype, slices.masks.dtype) == (torch.int16, torch.uint8)
    assert slices.studies == ("study_0001", "study_0002")
    assert slices.study.tolist() == [0] * 5 + [1] * 4
    assert slices.spacing[0].tolist() == [1, 2]
    for stack, start in ((load_stack(paths[0]), 0), (load_stack(paths[1]), 5)):
        count, rows, columns = stack.image.shape
        part = slice(start, start + count)
        assert slices.extents[part].tolist() == [[rows, columns]] * count
        images, masks = slices.images[part].numpy(), slices.masks[part].numpy()
        assert (images[:, :rows, :columns] == stack.image).all() and (masks[:, :rows, :columns] == stack.mask).all()
        assert masks.sum() == stack.mask.sum() > 0
        outside = np.ones(images.shape, bool)
        outside[:, :rows, :columns] = False
        assert (images[outside] == -1000).all()


def test_air_stays_within_int16(paths):
    assert load(paths, hu_window=[-100_000, 1000]).images.min() == -32768


def test_a_batch_holds_intensities_target_and_what_counts(paths):
    slices = load(paths, hu_scale=500)
    order = torch.tensor([8, 0, 3])
    (batch,) = batches(slices, order, 8)
    assert batch.indices.tolist() == [8, 0, 3]
    assert batch.image.dtype == batch.target.dtype == torch.float32
    assert torch.equal(batch.image[:, 0], slices.images[order].float() / 500)
    assert torch.equal(batch.target[:, 0], slices.masks[order].float())
    assert batch.valid.sum(dim=(1, 2, 3)).tolist() == [32 * 16, 20 * 33, 20 * 33]
    assert batch.valid[0, 0, :32, :16].all() and batch.valid[1, 0, :20, :33].all()


def test_without_padding_everything_counts(paths):
    (batch, *_) = batches(load(paths[1:]), torch.arange(4), 8)
    assert batch.valid is None


@pytest.mark.parametrize("batch_size", [1, 2, 4, 9, 20])
def test_streamed_and_resident_batches_are_equal(paths, batch_size):
    order = torch.randperm(9, generator=generator(0, 1))
    resident, streamed = load(paths), load(paths, limit=1)
    assert resident.resident and not streamed.resident
    pairs = zip(batches(resident, order, batch_size), batches(streamed, order, batch_size), strict=True)
    for one, other in pairs:
        assert all(torch.equal(*tensors) for tensors in zip(one, other, strict=True))


def test_a_set_is_resident_up_to_the_limit(paths):
    size = load(paths).nbytes
    assert size == 9 * 32 * 48 * 3
    assert load(paths, size).resident and not load(paths, size - 1).resident


@given(st.integers(1, 200), st.integers(1, 20))
def test_each_slice_comes_once_and_none_alone(count, batch_size):
    order = torch.arange(count).flip(0)
    parts = split_order(order, batch_size)
    assert torch.equal(torch.cat(parts), order)
    sizes = [len(part) for part in parts]
    assert set(sizes[:-1]) <= {batch_size} and sizes[-1] <= batch_size + 1
    assert 1 not in sizes or batch_size == 1 or count == 1


def test_neighbours_stay_in_their_study_and_repeat_at_its_ends():
    assert neighbours([3, 1], 1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 3]]
    assert neighbours([4], 2)[0].tolist() == [0, 0, 0, 1, 2]
    assert neighbours([2, 3], 0).tolist() == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("limit", [EVERYTHING, 1])
def test_neighbouring_slices_are_channels_resident_or_streamed(paths, limit):
    slices = load(paths, limit, neighbours=1)
    (batch,) = batches(slices, torch.tensor([0, 4, 5, 6]), 4)
    expected = [[0, 0, 1], [3, 4, 4], [5, 5, 6], [5, 6, 7]]
    assert torch.equal(batch.image, slices.images[torch.tensor(expected)].float() / 1000)
    assert torch.equal(batch.target[:, 0], slices.masks[[0, 4, 5, 6]].float())


def order_of(slices, share, batch_size=4, seed=0):
    return draw_order(slices, batch_size, share, generator(seed, 1))


def test_without_a_share_of_lesion_each_slice_comes_once(paths):
    slices = load(paths)
    assert torch.equal(order_of(slices, 0), torch.randperm(9, generator=generator(0, 1)))


@given(st.sampled_from([0.1, 0.25, 0.33, 0.5, 0.7, 1.0]), st.integers(1, 10), st.integers(0, 99))
def test_each_batch_has_its_share_of_lesion(paths, share, batch_size, seed):
    slices = load(paths)
    slices.masks[:] = 0
    slices.masks[[2, 7], 5, 5] = 1
    order = order_of(slices, share, batch_size, seed)
    assert len(order) == 9 and torch.equal(order, order_of(slices, share, batch_size, seed))
    lesion = torch.isin(order, torch.tensor([2, 7]))
    for part in lesion.split(batch_size):
        assert part.sum() >= min(len(part), share * batch_size - 1e-6)
    # The two take turns.
    if share == 1:
        assert abs((order == 2).sum() - (order == 7).sum()) == 1


def test_a_set_without_lesion_is_drawn_as_without_a_share(paths):
    slices = load(paths)
    slices.masks[:] = 0
    assert torch.equal(order_of(slices, 0.5), order_of(slices, 0))


def test_random_numbers_depend_on_the_key_alone():
    first, again, other = (torch.randperm(50, generator=generator(*key)) for key in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_no_study_is_an_error():
    with pytest.raises(UserError, match="split"):
        load([])


def test_a_study_without_mask_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"study_0003.*no lesion mask"):
        load([write_stack(tmp_path, 3, with_mask=False)])
