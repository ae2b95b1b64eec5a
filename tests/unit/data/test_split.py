import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesionbench.data.split import SUBSETS, Split, make_folds, read_split_file, write_fold
from lesionbench.errors import UserError

NAMES = [f"study_{number:04d}" for number in range(255, 305)]
HOLDOUT = Split()
CROSS = replace(HOLDOUT, protocol="cross-validation")

ratios = st.lists(st.integers(1, 20) | st.sampled_from([0.1, 0.25, 0.7]), min_size=3, max_size=3)
seeds = st.integers(0, 10**6)


def alone(studies):
    """Studies that are each a patient's only one."""
    return {study: study for study in studies}


STUDIES = alone(NAMES)


def sizes(fold):
    return [len(getattr(fold, subset)) for subset in SUBSETS]


def members(fold):
    return sorted(fold.train + fold.validation + fold.test)


@pytest.mark.parametrize("ratio", [[7, 1, 2], [0.7, 0.1, 0.2], [70, 10, 20]])
def test_fifty_studies_are_divided_as_in_the_paper(ratio):
    (fold,) = make_folds(STUDIES, replace(HOLDOUT, ratio=ratio))
    assert sizes(fold) == [35, 5, 10]


def test_the_division_is_the_same_on_every_machine():
    """The expected names are SHA-256's own order; another result would silently change everybody's split."""
    (fold,) = make_folds(alone(f"study_{number:04d}" for number in range(1, 11)), HOLDOUT)
    assert (fold.validation, fold.test) == (("study_0008",), ("study_0002", "study_0004"))


@given(st.integers(3, 120), ratios, seeds)
def test_a_holdout_is_a_partition_in_the_proportion_of_the_ratio(count, ratio, seed):
    studies = [f"s{number}" for number in range(count)]
    (fold,) = make_folds(alone(studies), replace(HOLDOUT, ratio=ratio, seed=seed))
    assert members(fold) == sorted(studies)
    quotas = [count * weight / sum(ratio) for weight in ratio]
    assert min(sizes(fold)) >= 1
    if min(quotas) >= 1:
        assert all(abs(size - quota) < 1 for size, quota in zip(sizes(fold), quotas, strict=True))


@given(st.integers(2, 12), st.integers(0, 60), ratios, seeds)
def test_cross_validation_tests_each_study_once(folds, more, ratio, seed):
    studies = [f"s{number}" for number in range(max(folds, 4) + more)]
    made = make_folds(alone(studies), replace(CROSS, folds=folds, ratio=ratio, seed=seed))
    assert [fold.index for fold in made] == list(range(folds))
    assert sorted(study for fold in made for study in fold.test) == sorted(studies)
    for fold in made:
        assert members(fold) == sorted(studies)
        assert min(sizes(fold)) >= 1
        expected = (len(studies) - len(fold.test)) * ratio[1] / (ratio[0] + ratio[1])
        assert abs(len(fold.validation) - expected) < 1
    tested = [len(fold.test) for fold in made]
    assert max(tested) - min(tested) <= 1


@given(st.randoms(use_true_random=False), st.sampled_from([HOLDOUT, CROSS]))
def test_the_order_of_the_studies_does_not_matter(shuffler: random.Random, split):
    shuffled = NAMES.copy()
    shuffler.shuffle(shuffled)
    assert make_folds(alone(shuffled), split) == make_folds(STUDIES, split)


def test_another_seed_is_another_split():
    assert len({make_folds(STUDIES, replace(HOLDOUT, seed=seed))[0].test for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("split", "needed"), [(HOLDOUT, 3), (CROSS, 5), (replace(CROSS, folds=2), 4), (replace(CROSS, folds=3), 3)]
)
def test_too_few_studies_are_refused_with_the_number_needed(split, needed):
    assert make_folds(alone(NAMES[:needed]), split)
    with pytest.raises(UserError, match=f"at least {needed} annotated studies, the data set has {needed - 1}"):
        make_folds(alone(NAMES[: needed - 1]), split)


def write(path, *rows, header="study,subset"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_written_fold_is_read_back_as_a_users_file(tmp_path):
    (fold,) = make_folds(STUDIES, HOLDOUT)
    path = tmp_path / "fold-0.csv"
    write_fold(fold, path)
    assert make_folds(STUDIES, replace(HOLDOUT, file=str(path))) == [fold]
    assert path.read_text().splitlines()[:2] == ["study,subset", f"{fold.train[0]},train"]


def test_a_users_file_may_come_from_a_spreadsheet(tmp_path):
    path = tmp_path / "split.csv"
    path.write_bytes(
        "\ufefffold, subset ,study,note\r\n1,test,a,\r\n1,train,b,\r\n1,validation,c,x\r\n"
        "0, test,b,\r\n0,train,c,\r\n0,validation,a,\r\n,,,\r\n".encode()
    )
    first, second = read_split_file(path, alone(["a", "b", "c"]))
    assert (first.index, first.train, first.validation, first.test) == (0, ("c",), ("a",), ("b",))
    assert (second.index, second.test) == (1, ("a",))


def test_all_that_is_wrong_with_a_users_file_is_said_at_once(tmp_path):
    path = write(tmp_path / "split.csv", "a,train", "a,test", "x,train")
    with pytest.raises(UserError) as error:
        read_split_file(path, alone(["a", "b"]))
    for problem in ("a: more than once", "x: not an annotated study", "b: missing", "validation: without any study"):
        assert f"fold 0: {problem}" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a:train"], "study:subset", "needs the columns study and subset.*its columns are: study:subset"),
        ([], "study,subset", "its lines below them: 0"),
        (["a,training"], "study,subset", "study 'a': subset 'training'"),
        (["a"], "study,subset", "study 'a': subset None"),
        (["a,train,first"], "study,subset,fold", "fold 'first'"),
        (["a,train,-1"], "study,subset,fold", "fold '-1'"),
    ],
)
def test_a_malformed_users_file_is_refused(tmp_path, rows, header, message):
    with pytest.raises(UserError, match=message):
        read_split_file(write(tmp_path / "split.csv", *rows, header=header), alone(["a"]))


def test_a_missing_or_unreadable_users_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_split_file(tmp_path / "none.csv", alone(["a"]))
    (tmp_path / "split.csv").write_bytes("study,subset\nétude,train\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        read_split_file(tmp_path / "split.csv", alone(["a"]))


PATIENTS = {f"scan_{number}": f"p{number % 7}" for number in range(20)}


@given(st.lists(st.integers(0, 8), min_size=12, max_size=40), st.sampled_from([HOLDOUT, CROSS]), seeds)
def test_no_patient_is_in_two_parts(numbers, split, seed):
    patients = {f"s{index}": f"p{number}" for index, number in enumerate([*range(5), *numbers])}
    folds = make_folds(patients, replace(split, seed=seed))
    for fold in folds:
        assert members(fold) == sorted(patients)
        parts = [{patients[study] for study in getattr(fold, subset)} for subset in SUBSETS]
        assert all(parts) and sum(map(len, parts)) == len(set(patients.values()))
    if split is CROSS:
        assert sorted(study for fold in folds for study in fold.test) == sorted(patients)


def test_patients_are_divided_as_studies_of_their_names_would_be():
    (fold,) = make_folds(PATIENTS, HOLDOUT)
    (single,) = make_folds(alone(set(PATIENTS.values())), HOLDOUT)
    assert {PATIENTS[study] for study in fold.test} == set(single.test)


def test_too_few_patients_are_refused_although_there_are_enough_studies():
    patients = {f"s{number}": f"p{number % 2}" for number in range(10)}
    with pytest.raises(UserError, match="at least 3 patients with annotated studies, the data set has 2"):
        make_folds(patients, HOLDOUT)


def test_a_users_file_that_divides_a_patient_is_refused_with_names(tmp_path):
    patients = {"a": "p", "b": "p", "c": "c", "d": "d"}
    path = write(tmp_path / "split.csv", "a,train", "b,test", "c,validation", "d,test")
    with pytest.raises(UserError, match=r"(?s)all studies of a patient in the same one.*fold 0: p \(a, b\): of one"):
        read_split_file(path, patients)
    write(path, "a,train", "b,train", "c,validation", "d,test")
    assert read_split_file(path, patients)[0].train == ("a", "b")


def test_the_table_of_the_data_set_may_hold_the_split(tmp_path):
    path = write(
        tmp_path / "t.csv", "a,a.nii,train", "b,b.nii,", "c,c.nii,validation", "d,d.nii,test", header="study,ct,subset"
    )
    (fold,) = read_split_file(path, alone(["a", "c", "d"]))
    assert members(fold) == ["a", "c", "d"]


def test_names_that_a_spreadsheet_has_made_numbers_are_told(tmp_path):
    path = write(tmp_path / "t.csv", "1,train", "02,validation", "3,test")
    with pytest.raises(UserError, match=r"1 for 001, 3 for 03: lost the zeros before it, as spreadsheets do"):
        read_split_file(path, alone(["001", "02", "03"]))


def test_letters_with_accents_are_the_same_however_a_system_writes_them(tmp_path):
    path = write(tmp_path / "t.csv", "Mu\u0308ller,train", "b,validation", "c,test")
    assert read_split_file(path, alone(["M\u00fcller", "b", "c"]))[0].train == ("M\u00fcller",)


_COUNTS = {"north": 5, "south": 4, "west": 3}
SETS = {f"{name}{number}": name for name, count in _COUNTS.items() for number in range(count)}
BY_SET = replace(HOLDOUT, protocol="leave-one-set-out")


def test_each_set_is_tested_once_by_networks_that_learned_from_all_others():
    made = make_folds(alone(list(SETS)), BY_SET, SETS)
    assert [{SETS[study] for study in fold.test} for fold in made] == [{"north"}, {"south"}, {"west"}]
    for fold in made:
        assert members(fold) == sorted(SETS) and min(sizes(fold)) >= 1
        assert not {SETS[study] for study in (*fold.train, *fold.validation)} & {SETS[study] for study in fold.test}


def test_patients_stay_together_where_a_set_is_left_out():
    patients = {study: study[:-1] + str(int(study[-1]) // 2) for study in SETS}
    for fold in make_folds(patients, BY_SET, SETS):
        parts = [{patients[study] for study in part} for part in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1] and not (parts[0] | parts[1]) & parts[2]


@pytest.mark.parametrize(
    ("sets", "patients", "problem"),
    [
        ({}, {}, "no set is known of north0, north1"),
        (SETS | {"west2": None}, {}, "no set is known of west2"),
        (dict.fromkeys(SETS, "north"), {}, "there is one set alone"),
        (SETS, {"north0": "p", "west0": "p"}, "p has studies in several sets"),
    ],
)
def test_sets_that_cannot_be_left_out_are_told_with_what_to_do(sets, patients, problem):
    with pytest.raises(UserError, match=rf"split\.protocol: leave-one-set-out: {problem}(?s:.*)\{{set\}}.*column set"):
        make_folds(alone(list(SETS)) | patients, BY_SET, sets)
