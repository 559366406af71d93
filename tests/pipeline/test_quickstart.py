"""The quickstart keeps its promises: data that counting words cannot read, a teacher that can, a student that gains."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.cli import main
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.pipeline.distill import run_distill
from tinybert_tf.pipeline.quickstart import ROWS, data_files, run_quickstart, write_reviews

README = Path(__file__).parents[2] / "README.md"
SPREAD = 0.02  # of an accuracy: seeds differ by up to one point, processors by less
MINUTES = 4  # of a machine with two cores that does nothing else


def read_rows(path: Path) -> tuple[list[str], list[str]]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [row[0] for row in rows], [row[1] for row in rows]


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="not empty"):
        run_quickstart(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_another_seed_is_refused_before_anything_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("mine", encoding="utf-8")
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "config.yaml").write_text("out: teacher\nseed: 1", encoding="utf-8")
    with pytest.raises(InputError, match="another config"):
        run_quickstart(tmp_path, seed=2)
    assert (tmp_path / "data" / "train.tsv").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("seed", [-1, 5_000_000_000])
def test_a_seed_out_of_range_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        run_quickstart(tmp_path / "out", seed)
    assert not (tmp_path / "out").exists()


def test_no_review_is_in_two_files(tmp_path: Path) -> None:
    data = data_files(tmp_path)
    write_reviews(data, seed=1)
    texts = [set(read_rows(Path(str(path)))[0]) for path in (data.train, data.dev, data.test)]
    assert [len(each) for each in texts] == [10_000, 1_000, 1_000]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The directory of `tinybert quickstart`, and the processor seconds it took."""
    directory = tmp_path_factory.mktemp("quickstart") / "out"
    begin = time.process_time()
    assert main(["quickstart", "--out", str(directory)]) == 0
    return directory, time.process_time() - begin


@pytest.mark.slow
def test_it_takes_less_than_four_minutes_of_two_cores(quickstart: tuple[Path, float]) -> None:
    assert quickstart[1] < 2 * 60 * MINUTES


@pytest.mark.slow
def test_readme_shows_what_it_prints(quickstart: tuple[Path, float]) -> None:
    """The accuracies of README's table within their spread, and the same numbers of parameters."""
    lines = README.read_text(encoding="utf-8").splitlines()
    table = {cells[1].strip(): cells for line in lines if len(cells := line.split("|")) == 8}
    metrics = json.loads((quickstart[0] / "distilled" / "metrics.json").read_text(encoding="utf-8"))
    for name in ("teacher", "student", "baseline"):
        for measured, cell in zip((metrics[name], metrics[name]["test"]), table[name][2:4], strict=True):
            score, error = (float(number.strip().rstrip("%")) / 100 for number in cell.split("±"))
            assert measured["accuracy"] == pytest.approx(score, abs=SPREAD)
            assert error == pytest.approx(math.sqrt(score * (1 - score) / ROWS["test"]), abs=6e-4)  # one digit is shown
            found = measured["accuracy"]
            expected = math.sqrt(found * (1 - found) / ROWS["test"])
            assert measured["standard_error"]["accuracy"] == pytest.approx(expected, rel=0.1)
        assert float(table[name][4].split()[0]) == round(metrics[name]["parameters"] / 1e6, 2)


@pytest.mark.slow
def test_counting_words_stays_below_75_percent_and_the_teacher_passes_95(quickstart: tuple[Path, float]) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    directory, _ = quickstart
    train, labels = read_rows(directory / "data" / "train.tsv")
    test, test_labels = read_rows(directory / "data" / "test.tsv")
    counts = CountVectorizer().fit(train)
    regression = LogisticRegression(max_iter=1000).fit(counts.transform(train), labels)
    assert regression.score(counts.transform(test), test_labels) < 0.75

    metrics = json.loads((directory / "distilled" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["teacher"]["test"]["accuracy"] > 0.95


@pytest.mark.slow
def test_the_distilled_student_beats_itself_alone_on_the_mean_of_three_seeds(
    quickstart: tuple[Path, float], tmp_path: Path
) -> None:
    directory, _ = quickstart
    results = [json.loads((directory / "distilled" / "metrics.json").read_text(encoding="utf-8"))]
    config = load_config(DistillConfig, directory / "distilled" / "config.yaml")
    for seed in (2, 3):
        train = dataclasses.replace(config.train, seed=seed)
        results.append(run_distill(dataclasses.replace(config, train=train, out=str(tmp_path / str(seed)))))
    distilled, alone = (
        np.mean([result[name]["test"]["accuracy"] for result in results]) for name in ("student", "baseline")
    )
    print(f"mean of three seeds: distilled {distilled:.1%}, alone {alone:.1%}")
    assert distilled > alone
