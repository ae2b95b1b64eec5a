from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lesionbench.data.slices import load_stack
from lesionbench.errors import UserError
from lesionbench.training.batches import (
    PADDING_FACTOR,
    batches,
    draw_order,
    generator,
    group_sizes,
    load_slices,
    neighbours,
    split_order,
)
from tiny import PAD, PREPROCESSING, by_study, write_stack

CPU = torch.device("cpu")
EVERYTHING = 1e9


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Two studies of about one size: slices of 20 rows and 33 columns, and of 32 rows and 32 columns."""
    folder = tmp_path_factory.mktemp("stacks")
    return [write_stack(folder, 1, (33, 20, 5)), write_stack(folder, 2, (32, 32, 4))]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Studies of two sizes that share no bucket, and between them one of a single slice with a size of its own."""
    folder = tmp_path_factory.mktemp("mixed")
    shapes = [(32, 32, 5), (128, 120, 4), (20, 300, 1), (30, 31, 6), (128, 128, 3)]
    return [write_stack(folder, seed, shape) for seed, shape in enumerate(shapes)]


def load(paths, limit=EVERYTHING, **changes):
    return load_slices(by_study(paths), PAD, replace(PREPROCESSING, **changes), CPU, limit)


def test_studies_lie_one_after_the_other_padded_with_air(paths):
    slices = load(paths)
    (bucket,) = slices.buckets
    assert bucket.images.shape == bucket.masks.shape == (9, 32, 48)
    assert (bucket.images.dtype, bucket.masks.dtype) == (torch.int16, torch.uint8)
    assert slices.studies == ("study_0001", "study_0002")
    assert slices.study.tolist() == [0] * 5 + [1] * 4
    assert slices.spacing[0].tolist() == [1, 2]
    for stack, start in ((load_stack(paths[0]), 0), (load_stack(paths[1]), 5)):
        count, rows, columns = stack.image.shape
        part = slice(start, start + count)
        assert slices.extents[part].tolist() == [[rows, columns]] * count
        images, masks = bucket.images[part].numpy(), bucket.masks[part].numpy()
        assert (images[:, :rows, :columns] == stack.image).all() and (masks[:, :rows, :columns] == stack.mask).all()
        assert masks.sum() == stack.mask.sum() > 0
        outside = np.ones(images.shape, bool)
        outside[:, :rows, :columns] = False
        assert (images[outside] == -1000).all()


def test_resampled_and_cropped_slices_are_padded_to_one_size(paths):
    slices = load(paths, spacing=[0.5, 4], size=[50, 12], neighbours=1)
    (bucket,) = slices.buckets
    assert bucket.images.shape == bucket.masks.shape == (9, 64, 16)
    # 20 × 33 and 32 × 32 pixels of 1 × 2 mm.
    assert slices.extents[[0, 5]].tolist() == [[40, 12], [50, 12]]
    assert slices.spacing[0].tolist() == pytest.approx([0.5, 66 / 16]) and slices.spacing[5].tolist() == [0.5, 4]
    (batch,) = batches(slices, torch.arange(9), 9)
    assert batch.valid.sum(dim=(1, 2, 3)).tolist() == [40 * 12] * 5 + [50 * 12] * 4
    assert batch.image.shape == (9, 3, 64, 16) and (batch.image[~batch.valid.expand_as(batch.image)] == -1).all()
    assert batch.target[:5].any() and batch.target[5:].any() and not (batch.target > batch.valid).any()


def test_with_slices_resampled_too_neighbours_stay_in_their_study(paths):
    slices = load(paths, spacing=[4, 1, 2], neighbours=1)
    assert slices.study.tolist() == [0] * 10 + [1] * 8
    assert slices.buckets[0].channels[[0, 9, 10, 17]].tolist() == [[0, 0, 1], [8, 9, 9], [10, 10, 11], [16, 17, 17]]


def test_air_stays_within_int16(paths):
    assert load(paths, hu_window=[-100_000, 1000]).buckets[0].images.min() == -32768


def test_a_batch_holds_intensities_target_and_what_counts(paths):
    slices = load(paths, hu_scale=500)
    order = torch.tensor([8, 0, 3])
    (batch,) = batches(slices, order, 8)
    assert batch.indices.tolist() == [8, 0, 3]
    assert batch.image.dtype == batch.target.dtype == torch.float32
    assert torch.equal(batch.image[:, 0], slices.buckets[0].images[order].float() / 500)
    assert torch.equal(batch.target[:, 0], slices.buckets[0].masks[order].float())
    assert batch.valid.sum(dim=(1, 2, 3)).tolist() == [32 * 32, 20 * 33, 20 * 33]
    assert batch.valid[0, 0, :32, :32].all() and batch.valid[1, 0, :20, :33].all()


def test_without_padding_everything_counts(paths):
    (batch, *_) = batches(load(paths[1:]), torch.arange(4), 8)
    assert batch.valid is None


@pytest.mark.parametrize("batch_size", [1, 2, 4, 9, 20])
@pytest.mark.parametrize("set_of", ["paths", "mixed"])
def test_streamed_and_resident_batches_are_equal(set_of, batch_size, request):
    resident, streamed = (load(request.getfixturevalue(set_of), limit, neighbours=1) for limit in (EVERYTHING, 1))
    order = order_of(resident, 0.5, batch_size)
    assert torch.equal(order, order_of(streamed, 0.5, batch_size))
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


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([(rows, 512) for rows in range(36, 48)], [((48, 512), list(range(12)))]),
        ([(512, 512)] * 3, [((512, 512), [0, 1, 2])]),
        ([(512, 512), (630, 630), (512, 512)], [((640, 640), [0, 1, 2])]),
        ([(512, 512), (768, 768), (512, 500)], [((768, 768), [1]), ((512, 512), [0, 2])]),
        ([(41, 512), (400, 512), (37, 512)], [((400, 512), [1]), ((48, 512), [0, 2])]),
        ([(40, 512), (512, 40)], [((512, 48), [1]), ((48, 512), [0])]),
    ],
)
def test_studies_of_about_one_size_are_padded_to_one(sizes, groups):
    assert group_sizes(sizes, PAD) == groups


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=12))
def test_no_slice_gets_many_more_pixels_than_alone(sizes):
    groups = group_sizes(sizes, PAD)
    assert sorted(study for _, members in groups for study in members) == list(range(len(sizes)))
    for padded, members in groups:
        assert padded == PAD([sizes[study] for study in members])
        assert all(np.prod(padded) <= PADDING_FACTOR * np.prod(PAD([sizes[study]])) for study in members)


def test_one_large_study_leaves_the_others_memory_as_it_is(tmp_path):
    small = [write_stack(tmp_path, seed) for seed in range(4)]
    large = write_stack(tmp_path, 4, (128, 128, 9))
    assert load([*small, large]).nbytes == load(small).nbytes + load([large]).nbytes


def test_a_study_in_a_set_of_many_sizes_is_as_in_a_set_of_its_own(mixed):
    slices = load(mixed, neighbours=1)
    assert [tuple(bucket.images.shape[1:]) for bucket in slices.buckets] == [(128, 128), (304, 32), (32, 32)]
    together = {int(batch.indices): batch for batch in batches(slices, torch.arange(len(slices)), 1)}
    assert slices.study.tolist() == [0] * 5 + [1] * 4 + [2] + [3] * 6 + [4] * 3
    for study, path in enumerate(mixed):
        own = load([path], neighbours=1)
        first = slices.study.tolist().index(study)
        for alone in batches(own, torch.arange(len(own)), 1):
            batch = together[first + int(alone.indices)]
            rows, columns = own.extents[0].tolist()
            for one, other in ((batch.image, alone.image), (batch.target, alone.target)):
                assert torch.equal(one[..., :rows, :columns], other[..., :rows, :columns])
            assert batch.target.sum() == alone.target.sum()
            assert batch.valid is None or batch.valid.sum() == rows * columns
    lesion = [index for index, batch in sorted(together.items()) if batch.target.any()]
    assert slices.lesion.tolist() == lesion


@pytest.mark.parametrize("share", [0, 0.5])
def test_batches_of_many_sizes_are_of_one_each_and_drawn_by_the_key_alone(mixed, share):
    slices, again = load(mixed), load(mixed)
    order = order_of(slices, share)
    assert torch.equal(order, order_of(again, share)) and not torch.equal(order, order_of(again, share, seed=1))
    parts = split_order(order, 4, slices.bucket)
    assert all(len(slices.bucket[part].unique()) == 1 and len(part) > 1 for part in parts)
    assert sorted(torch.cat(parts).tolist()) == sorted(order.tolist())
    # Large and small slices come mixed, as the order has them; the slice alone comes twice, beside itself.
    numbers = [int(slices.bucket[part[0]]) for part in parts]
    assert numbers != sorted(numbers) and numbers != sorted(numbers, reverse=True)
    assert [9, 9] in [part.tolist() for part in parts] and order.tolist().count(9) == 2
    if share:
        lesion = [torch.isin(part, slices.lesion).sum() >= len(part) // 2 for part in parts]
        assert all(lesion)
    else:
        assert sorted(order.tolist()) == sorted([*range(len(slices)), 9])


def test_where_all_share_a_size_the_order_is_cut_as_it_stands(paths):
    slices = load(paths)
    order = order_of(slices, 0)
    assert all(map(torch.equal, split_order(order, 4, slices.bucket), [order[:4], order[4:]]))
    assert [batch.indices.tolist() for batch in batches(slices, order, 4)] == [order[:4].tolist(), order[4:].tolist()]


def test_neighbours_stay_in_their_study_and_repeat_at_its_ends():
    assert neighbours([3, 1], 1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 3]]
    assert neighbours([4], 2)[0].tolist() == [0, 0, 0, 1, 2]
    assert neighbours([2, 3], 0).tolist() == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("limit", [EVERYTHING, 1])
def test_neighbouring_slices_are_channels_resident_or_streamed(paths, limit):
    slices = load(paths, limit, neighbours=1)
    (batch,) = batches(slices, torch.tensor([0, 4, 5, 6]), 4)
    expected = [[0, 0, 1], [3, 4, 4], [5, 5, 6], [5, 6, 7]]
    assert torch.equal(batch.image, slices.buckets[0].images[torch.tensor(expected)].float() / 1000)
    assert torch.equal(batch.target[:, 0], slices.buckets[0].masks[[0, 4, 5, 6]].float())


def order_of(slices, share, batch_size=4, seed=0):
    return draw_order(slices, batch_size, share, generator(seed, 1))


def test_without_a_share_of_lesion_each_slice_comes_once(paths):
    slices = load(paths)
    assert torch.equal(order_of(slices, 0), torch.randperm(9, generator=generator(0, 1)))


@given(st.sampled_from([0.1, 0.25, 0.33, 0.5, 0.7, 1.0]), st.integers(1, 10), st.integers(0, 99))
def test_each_batch_has_its_share_of_lesion(paths, share, batch_size, seed):
    slices = load(paths)
    slices.buckets[0].masks[:] = 0
    slices.buckets[0].masks[[2, 7], 5, 5] = 1
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
    slices.buckets[0].masks[:] = 0
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
