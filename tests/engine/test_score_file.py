"""Official result files: read as the `medmnist` package reads them, written so that it takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from medmnist.evaluator import Evaluator
from medmnist.evaluator import Metrics as OfficialMetrics

from engine.contract.data.datasets import datasets
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import DataError, UsageError
from engine.evaluate.metrics import evaluate
from engine.evaluate.score_file import ScoreFileName, parse_name, read_scores, write_scores
from engine.sentences import ScoreFile
from medtui.cli.score import differing

BREAST, RETINA = datasets()["breastmnist"], datasets()["retinamnist"]


def labels_of(real_data: Path, name: str, split: str) -> np.ndarray:
    with np.load(real_data / f"{name}.npz") as archive:
        labels: np.ndarray = archive[f"{split}_labels"][:, 0].astype(np.int64)
    return labels


@pytest.mark.real_data
def test_the_official_example_has_its_published_auc_and_acc(real_data: Path) -> None:
    (path,) = (real_data / "golden").glob("*.csv")
    assert parse_name(path.name) == ScoreFileName("breastmnist", 28, "test")
    scores = read_scores(path, 156, 2)
    np.testing.assert_array_equal(scores, pd.read_csv(path, index_col=0, header=None).sort_index().values)
    metrics = evaluate(labels_of(real_data, "breastmnist", "test"), scores, "binary", BREAST.class_names).metrics
    assert f"{metrics.auc:.5f}" == "0.91291"
    assert f"{metrics.acc:.5f}" == "0.84615"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 12), st.integers(2, 5)),
        elements=st.floats(0, 1, width=32),
    )
)
def test_written_scores_read_back_exactly(tmp_path: Path, scores: np.ndarray) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, scores)
    back = read_scores(path, *scores.shape)
    assert back.dtype == np.float64
    np.testing.assert_array_equal(back, scores.astype(np.float64))


def test_scores_of_full_precision_survive_the_file(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((50, 3))
    scores[0] = [1e-300, 5e-324, 1 - 2**-53]
    write_scores(tmp_path / "scores.csv", scores)
    np.testing.assert_array_equal(read_scores(tmp_path / "scores.csv", 50, 3), scores)


@pytest.mark.real_data
@pytest.mark.parametrize(("facts", "n"), [(BREAST, 156), (RETINA, 400)], ids=["breastmnist", "retinamnist"])
def test_the_official_evaluator_takes_what_we_write_and_finds_what_we_found(
    facts, n: int, real_data: Path, tmp_path: Path
) -> None:
    scores = np.random.default_rng(3).dirichlet(np.ones(facts.classes), n).astype(np.float32)
    labels = labels_of(real_data, facts.name, "test")
    assert len(labels) == n
    ours = evaluate(labels, scores, facts.task, facts.class_names).metrics
    path = tmp_path / ScoreFileName(facts.name, 28, "test").write(ours.auc, ours.acc, "run-7")
    write_scores(path, scores)
    flag, split = path.name.split("_")[:2]  # as its parse_and_evaluate does, which knows no other root
    y_score = pd.read_csv(path, index_col=0, header=None).sort_index().values
    theirs = Evaluator(flag, split, root=str(real_data)).evaluate(y_score)
    assert ours.auc == pytest.approx(theirs.AUC, abs=1e-12)
    assert ours.acc == pytest.approx(theirs.ACC, abs=1e-12)
    official_name = Evaluator(flag, split, root=str(real_data)).get_standard_evaluation_filename(theirs, "run-7")
    assert path.name == official_name


def test_names_are_the_official_ones_at_every_data_set_size_and_split_and_read_back() -> None:
    official = [facts for facts in datasets().values() if not facts.synthetic]
    assert len(official) == 12
    for facts in official:
        assert facts.sizes == (28, 64, 128, 224)
        for size in facts.sizes:
            for split in ("train", "val", "test"):
                theirs = Evaluator.__new__(Evaluator)  # its constructor wants the file
                theirs.flag, theirs.split, theirs.size_flag = facts.name, split, "" if size == 28 else f"_{size}"
                expected = theirs.get_standard_evaluation_filename(OfficialMetrics(0.91291, 0.84615), "resnet_1")
                name = ScoreFileName(facts.name, size, split)
                assert name.write(0.91291, 0.84615, "resnet_1") == expected
                assert parse_name(expected) == name


def test_a_name_may_contain_anything_after_the_split() -> None:
    assert parse_name("octmnist_test_[AUC]0.672_[ACC]0.892@3.csv") == ScoreFileName("octmnist", 28, "test")
    assert parse_name("octmnist_224_val.csv") == ScoreFileName("octmnist", 224, "val")
    assert parse_name("pathmnist_train_by_me@x.y.csv") == ScoreFileName("pathmnist", 28, "train")


@pytest.mark.parametrize(
    "name",
    [
        "scores.csv",
        "nosuchmnist_test_x.csv",
        "breastmnist.csv",
        "breastmnist_32_test_x.csv",
        "breastmnist_28_test_x.csv",
        "cells_64_test_x.csv",
        "breastmnist_final_x.csv",
        "breastmnist_test_x.txt",
        "BreastMNIST_test_x.csv",
        "",
        "_test_x.csv",
        "breastmnist_test_x.csv\n",
    ],
)
def test_an_uninformative_name_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_name(name)
    assert refusal.value.exit_code == 2
    assert (refusal.value.code, refusal.value.fields["found"]) == (ScoreFile.NAME.code, name)
    assert "breastmnist_test_" in refusal.value.message


@pytest.mark.parametrize("of", ["", "_knn"], ids=["the model", "features"])
@pytest.mark.parametrize("size", [28, 64])
def test_a_result_file_of_own_images_is_refused_which_says_what_evaluates_them(size: int, of: str) -> None:
    name = ScoreFileName("my-images", size, "test").write(1.0, float("nan"), f"20261122_my-images_resnet18_ab{of}")
    with pytest.raises(UsageError) as refusal:
        parse_name(name)
    assert refusal.value.code == ScoreFile.OWN_IMAGES.code
    assert "own images (my-images) cannot be scored without the images' labels" in refusal.value.message
    assert "`medtui evaluate 20261122_my-images_resnet18_ab`" in (refusal.value.hint or "")


# Contents


def test_lines_in_any_order_are_sorted_by_their_index_and_empty_ones_left_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("2,0.5,0.5\n\n0,0.125,0.875\r\n1,1e-3,0.999\n\n")
    assert read_scores(path, 3, 2).tolist() == [[0.125, 0.875], [0.001, 0.999], [0.5, 0.5]]


def test_one_column_of_a_binary_set_is_the_score_of_the_second_class(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("0,0.25\n1,1\n")
    assert read_scores(path, 2, 2).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    with pytest.raises(DataError) as error:
        read_scores(path, 2, 3)
    assert error.value.code == ScoreFile.CLASSES.code


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf0,0.1,0.9\n1,0.2,0.8\n",
        b"\xef\xbb\xbf0,0.1,0.9\r\n1,0.2,0.8\r\n",
        b"0.0,0.1,0.9\n1.0,0.2,0.8\n",
        b"1e0,0.2,0.8\r0,0.1,0.9\r",
        b'"0","0.1","0.9"\n\n"1", 0.2, 0.8\n\n',
    ],
    ids=["BOM", "BOM and CRLF", "index of floats", "CR and exponents", "quotes and empty lines"],
)
def test_a_file_that_another_program_saved_again_has_the_same_scores(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "breastmnist_test_[AUC]0.913_[ACC]0.846@run.CSV"
    path.write_bytes(text)
    assert parse_name(path.name) == ScoreFileName("breastmnist", 28, "test")
    np.testing.assert_array_equal(read_scores(path, 2, 2), [[0.1, 0.9], [0.2, 0.8]])


GOOD = "0,0.1,0.9\n1,0.2,0.8\n"
WITH_A_BAD_LINE = {  # every one of them in line 3
    "words": ("hello,world,again", ScoreFile.LINE),
    "a score of words": ("2,0.5,high", ScoreFile.LINE),
    "an index of words": ("two,0.5,0.5", ScoreFile.LINE),
    "an index between two": ("2.5,0.5,0.5", ScoreFile.LINE),
    "an empty score": ("2,,0.5", ScoreFile.LINE),
    "a score too few": ("2,0.5", ScoreFile.WIDTH),
    "a score too many": ("2,0.5,0.25,0.25", ScoreFile.WIDTH),
    "an index alone": ("2", ScoreFile.WIDTH),
    "an index twice": ("1,0.5,0.5", ScoreFile.INDEX_TWICE),
    "another separator": ("2;0.5;0.5", ScoreFile.LINE),
    "a NUL": ("2,0.5,\x000.5", ScoreFile.LINE),
}


@pytest.mark.parametrize(("line", "sentence"), WITH_A_BAD_LINE.values(), ids=WITH_A_BAD_LINE)
def test_an_invalid_line_is_reported_by_its_number(line: str, sentence: Sentence, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"{GOOD}{line}\n3,0.5,0.5\n")
    with pytest.raises(DataError) as error:
        read_scores(path, 4, 2)
    assert error.value.exit_code == 4
    assert error.value.code == sentence.code
    assert (error.value.fields["path"], error.value.fields["number"]) == (path, 3)


def refused(path: Path, images: int = 2, classes: int = 2) -> DataError:
    with pytest.raises(DataError) as error:
        read_scores(path, images, classes)
    assert error.value.code.startswith("scorefile.")
    assert error.value.fields["path"] == path
    return error.value


@pytest.mark.parametrize("content", ["0\n1,0.5,0.5\n", "0\n1\n", "0,\n1,\n"])
def test_lines_without_scores_are_refused_in_one_sentence(content: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(content)
    refused(path)


def test_a_header_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("id,score_0,score_1\n" + GOOD)
    refused(path)


def test_missing_and_unknown_indices_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    for content in ("0,0.1,0.9\n", "0,0.1,0.9\n2,0.1,0.9\n", "1,0.1,0.9\n2,0.1,0.9\n", GOOD + "2,0.5,0.5\n", ""):
        path.write_text(content)
        assert refused(path).fields["last"] == 1
    path.write_text("0,0.1,0.9\n-1,0.2,0.8\n")
    assert refused(path).fields["last"] == 1


def test_scores_of_another_number_of_classes_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(GOOD)
    fields = refused(path, classes=5).fields
    assert (fields["expected"], fields["found"]) == (5, 2)


NO_TEXT = {
    "UTF-16": b"\xff\xfe0\x00,\x001\x00",
    "a zip": b"PK\x03\x04" + bytes(200),
    "a number of 200,000 digits": b"0," + b"1" * 200_000,
}


@pytest.mark.parametrize("content", NO_TEXT.values(), ids=NO_TEXT)
def test_a_file_that_is_not_scores_as_text_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    refused(path)


def test_a_missing_file_and_a_folder_are_refused_in_one_sentence(tmp_path: Path) -> None:
    refused(tmp_path / "none.csv")
    refused(tmp_path)


def test_non_finite_scores_are_passed_on_to_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("0,nan,0.5\n1,inf,0.5\n")
    scores = read_scores(path, 2, 2)
    metrics = evaluate(np.array([0, 1]), scores, "binary", BREAST.class_names).metrics
    assert np.isnan(metrics.auc)
    assert metrics.reasons["auc"]


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("breastmnist_test_[AUC]0.500_[ACC]0.846@z.csv", {"AUC": ("0.500", 0.5094)}),
        ("breastmnist_test_[AUC]0.509_[ACC]0.846@z.csv", {}),
        ("breastmnist_test_[AUC]0.51_[ACC]0.9@z.csv", {}),
        ("breastmnist_test_[AUC]0.509_[ACC]0.1@z.csv", {"ACC": ("0.1", 0.8462)}),
        ("breastmnist_test_[AUC]nan_[ACC]nan@z.csv", {}),
        ("breastmnist_test.csv", {}),
    ],
)
def test_a_name_that_says_another_score_than_the_file_is_told(name: str, others: dict[str, tuple[str, float]]) -> None:
    assert differing(name, {"AUC": 0.5094, "ACC": 0.8462}) == others
    assert differing(name, {"AUC": None, "ACC": float("nan")}) == {}, "nothing is known"
