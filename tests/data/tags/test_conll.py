"""CoNLL files: what is read, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybert_tf import InputError
from tinybert_tf.data.tags.conll import Sentence, read_conll


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.conll"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_sentences_and_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "\nin\tO\nNew\tB-loc\nYork\tI-loc\n\n\nnow\tO\n")
    assert read_conll(path) == [
        Sentence(["in", "New", "York"], ["O", "B-loc", "I-loc"], 2),
        Sentence(["now"], ["O"], 7),
    ]
    assert read_conll(path, has_tags=False)[0] == Sentence(["in", "New", "York"], [], 2)


def test_first_and_last_of_four_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "-DOCSTART- -X- -X- O\r\n\r\nEU NNP B-NP B-ORG\r\nrejects VBZ B-VP O\r\n")
    assert read_conll(path) == [Sentence(["EU", "rejects"], ["B-ORG", "O"], 3)]


def test_a_token_may_hold_a_space_where_there_are_tabs(tmp_path: Path) -> None:
    assert read_conll(write(tmp_path, "New York\tB-loc\n"))[0].words == ["New York"]


def test_tokens_alone(tmp_path: Path) -> None:
    assert read_conll(write(tmp_path, "in\nYork\n"), has_tags=False) == [Sentence(["in", "York"], [], 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("in\tO\nYork\n", r"a\.conll:2: 'York'; expected a token and its tag, with a tab or a space between"),
        ("in\tO\nYork\t\n", r"a\.conll:2: 'York\\t'; expected a token and its tag"),
        ("in\tO\n\n\tB-loc\n", r"a\.conll:3: '\\tB-loc'; expected a token and its tag"),
        ("in\tO\nYork\tLOC\n", r"a\.conll:2: tag 'LOC'; expected O, B-<type> or I-<type>"),
        ("York\tB-\n", r"a\.conll:1: tag 'B-'; expected O, B-<type> or"),
        ("York\tE-loc\n", r"a\.conll:1: tag 'E-loc'; expected O, B-<type> or"),
        ("in\tO\nYork\tI-loc\n", r"a\.conll:2: tag 'I-loc' after 'O'; it continues an entity: expected B-loc"),
        ("in\tB-org\nYork\tI-loc\n", r"a\.conll:2: tag 'I-loc' after 'B-org'; .*: expected .* or 'B-loc' here"),
        ("York\tB-loc\n\nYork\tI-loc\n", r"a\.conll:3: tag 'I-loc' after 'O'"),
        ("\n\n", r"a\.conll: no sentence; expected lines of a token and its tag"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_conll(write(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such file"):
        read_conll(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a directory; expected a CoNLL file"):
        read_conll(tmp_path)


@pytest.mark.parametrize(("name", "sentences", "entities"), [("wnut17/dev", 1009, 836), ("snips/test", 700, None)])
def test_real_files_are_read_whole(data_dir: Path, name: str, sentences: int, entities: int | None) -> None:
    found = read_conll(data_dir / f"{name}.conll")
    assert len(found) == sentences
    if entities is not None:
        assert sum(tag.startswith("B-") for sentence in found for tag in sentence.tags) == entities


def test_a_line_that_lost_a_column(tmp_path: Path) -> None:
    path = write(tmp_path, "EU NNP B-NP B-ORG\n\nGerman JJ  B-NP   B-MISC\nrejects VBZ B-VP\n")
    with pytest.raises(InputError, match=r":4: 'rejects VBZ B-VP' has 3 columns; expected 4, as line 1 has"):
        read_conll(path)
    assert read_conll(path, has_tags=False)[1].words == ["German", "rejects"]


def test_comments_are_one_column_before_the_first_word(tmp_path: Path) -> None:
    path = write(tmp_path, "# global\n\n# id = 7\n# text = in York\n#in\tO\n#York\tB-loc\n\n#\tO\n")
    assert read_conll(path) == [Sentence(["#in", "#York"], ["O", "B-loc"], 5), Sentence(["#"], ["O"], 8)]
    assert [sentence.words for sentence in read_conll(path, has_tags=False)] == [["#in", "#York"], ["#"]]
    assert read_conll(write(tmp_path, "#7\n# O\n#York B-loc\n"))[0].words == ["#", "#York"]


def test_a_line_of_one_column_inside_a_sentence_is_no_comment(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a\.conll:2: '# text'; expected a token and its tag, with a tab or a space between"
    ):
        read_conll(write(tmp_path, "in\tO\n# text\nYork\tB-loc\n"))


def test_tokens_alone_may_begin_with_a_hash(tmp_path: Path) -> None:
    assert read_conll(write(tmp_path, "#in\nYork\n"), has_tags=False)[0].words == ["#in", "York"]


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u200b"])
def test_a_token_may_be_a_blank(tmp_path: Path, blank: str) -> None:
    path = write(tmp_path, f"\ufeffin\tO\r\n{blank}\tO\r\nYork\tB-loc\r\n")
    assert read_conll(path) == [Sentence(["in", blank, "York"], ["O", "O", "B-loc"], 1)]


def test_tokens_of_a_real_file_that_begin_with_a_hash(data_dir: Path) -> None:
    counts = {"train": 828, "dev": 22, "test": 247}
    for name, count in counts.items():
        sentences = read_conll(data_dir / "wnut17" / f"{name}.conll")
        assert sum(word.startswith("#") for sentence in sentences for word in sentence.words) == count
