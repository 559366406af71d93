"""`augment` end to end: what is copied and what is replaced, determinism, interruption, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from tinybert_tf import EncoderConfig, InputError, MaskedLM, load_tokenizer
from tinybert_tf.data.augmentation.augmentation import candidate_tokens
from tinybert_tf.data.text.readers import read_rows
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.pipeline import augment
from tinybert_tf.pipeline.runs.growing_file import GrowingFile

Tinybert = Callable[..., Any]

# `wonderful` is several pieces of the vocabulary; the fifth row has no word that may be replaced.
TEXTS = [
    "the film is good",
    "This Story, in 1999, was AWFUL!",
    "a wonderful picture",
    "her acting looks dull to me",
    "42 of the",
    "i found that the plot seemed lovely in the end",
    "film",
]
LABELS = ["positive", "negative", "positive", "negative", "negative", "positive", "positive"]
GLOVE = "wonderful 1 0\nmarvellous 1 0.1\nsplendid 1 0.2\ntrain 0 1\nbus 0.1 1\n"
FLAGS = ["--copies", 5, "--candidates", 6, "--max-length", 24, "--batch-size", 4, "--precision", "float32"]


def make_masked_lm(directory: Path, tokenizer: Tokenizer, **sizes: int) -> Path:
    config = EncoderConfig(
        **{
            "vocab_size": tokenizer.vocab_size,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 24,
            **sizes,
        },
        initializer_range=0.5,
    )
    keras.utils.set_random_seed(0)
    MaskedLM(config, dtype="float32").save_pretrained(directory, tokenizer=tokenizer)
    return directory


@pytest.fixture(scope="module")
def masked_lm(encoder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained masked LM, its answers far apart, for texts of up to 24 tokens."""
    return make_masked_lm(tmp_path_factory.mktemp("masked_lm"), load_tokenizer(encoder_dir))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """`texts.tsv`: `id`, `text` and `label`."""
    return write_rows(tmp_path / "texts.tsv")


def write_rows(path: Path) -> Path:
    rows = [
        {"id": f"r{number}", "text": text, "label": label}
        for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(path).rows]


@pytest.fixture
def run(tinybert: Tinybert, masked_lm: Path, texts: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs `augment` on `texts` into `output`; flags that are given win over `FLAGS`, and None leaves one out."""

    def run(output: str = "more.tsv", **changes: object) -> Any:
        flags = {
            "--masked-lm": masked_lm,
            "--input": texts,
            "--text": "text",
            "--output": tmp_path / output,
            **dict(zip(FLAGS[::2], FLAGS[1::2], strict=True)),
            **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
        }
        given = [part for flag, value in flags.items() if value is not None for part in (flag, value)]
        return tinybert("augment", *given)

    return run


@pytest.fixture
def written(run: Callable[..., Any], tmp_path: Path) -> Callable[..., bytes]:
    """The bytes that `run` writes."""

    def written(output: str = "more.tsv", **changes: object) -> bytes:
        command = run(output, **changes)
        assert command.status == 0, command.err
        return (tmp_path / output).read_bytes()

    return written


# === The file ===


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_every_row_and_its_copies(run: Callable[..., Any], tmp_path: Path, suffix: str) -> None:
    source = write_rows(tmp_path / f"texts{suffix}")
    command = run(f"more{suffix}", input=source)
    assert command.status == 0, command.err
    rows = rows_of(tmp_path / f"more{suffix}")
    place = 0
    for row in rows_of(source):
        assert rows[place] == row
        copies = [other for other in rows[place + 1 :] if other["id"] == row["id"]]
        assert rows[place + 1 : place + 1 + len(copies)] == copies
        assert {copy["label"] for copy in copies} <= {row["label"]}
        of_words = [copy["text"].lower() for copy in copies]
        assert row["text"].lower() not in of_words
        assert len(set(of_words)) == len(copies) <= 5
        assert bool(copies) is (row["text"] != "42 of the")
        place += 1 + len(copies)
    assert place == len(rows)
    assert all(list(row) == ["id", "text", "label"] for row in rows)
    assert command.out == (
        f"{tmp_path / f'more{suffix}'}: {len(rows)} rows, {len(rows) / len(TEXTS):.1f} for each of {len(TEXTS)}\n"
    )
    assert "augment: without --glove, words of several pieces stay as they are\n" in command.err
    assert sorted(path.name for path in tmp_path.glob("more*")) == [f"more{suffix}"]


def test_fields_that_want_quotes(run: Callable[..., Any], tmp_path: Path) -> None:
    """What stands between the words is kept: commas, quotes, the ends of lines, each kind of them."""
    source = tmp_path / "texts.csv"
    texts = ['the film, "good"', "the film\nis good", "the film\ris good", "the\r\nfilm"]
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "no,te"], *([text, text] for text in texts)])
    command = run("more.csv", input=source)
    assert command.status == 0, command.err
    rows = rows_of(tmp_path / "more.csv")
    assert list(dict.fromkeys(row["no,te"] for row in rows)) == texts
    for row in rows:
        assert re.split(r"[a-z]+", row["text"]) == re.split(r"[a-z]+", row["no,te"])


def test_other_values_of_a_jsonl_row_stay(run: Callable[..., Any], tmp_path: Path) -> None:
    """Numbers, lists and letters beyond ASCII; keys that other rows do not have; a text that is a number."""
    rows = [
        {"text": "the film is good", "label": 1, "of": ["é", None]},
        {"note": {"deep": 0.5}, "text": "a bad plot"},
        {"text": 1999},
    ]
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    command = run("more.jsonl", input=source)
    assert command.status == 0, command.err
    content = (tmp_path / "more.jsonl").read_text(encoding="utf-8")
    assert "é" in content
    written = [json.loads(line) for line in content.splitlines()]
    assert [row for row in written if row in rows] == rows
    without_text = [{key: value for key, value in row.items() if key != "text"} for row in written]
    assert {json.dumps(row) for row in without_text} == {
        json.dumps({key: value for key, value in row.items() if key != "text"}) for row in rows
    }
    assert written[-1] == {"text": 1999}
    assert len(written) > 3


def test_a_pairs_copy_has_the_other_side_as_it_was(run: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "pairs.tsv"
    pairs = [("the film is good", "the film is good", "0"), ("a bad plot", "her acting seemed poor", "1")]
    source.write_text("".join("\t".join(row) + "\n" for row in [("first", "second", "score"), *pairs]))
    command = run("more.tsv", input=source, text="first, second")
    assert command.status == 0, command.err
    rows = [tuple(row.values()) for row in rows_of(tmp_path / "more.tsv")]
    assert len(set(rows)) == len(rows)
    for first, second, score in pairs:
        ours = [row for row in rows if row[2] == score]
        assert ours[0] == (first, second, score)
        of_first = [row for row in ours if row[0] != first]
        of_second = [row for row in ours if row[1] != second]
        assert {row[1] for row in of_first} == {second}
        assert {row[0] for row in of_second} == {first}
        assert ours == [ours[0], *of_first, *of_second]
    # Each side has draws of its own.
    same = [row for row in rows if row[2] == "0"]
    assert [row[0] for row in same if row[0] != row[1] == pairs[0][1]] != [
        row[1] for row in same if row[1] != row[0] == pairs[0][0]
    ]


def test_words_of_several_pieces(run: Callable[..., Any], masked_lm: Path, tmp_path: Path) -> None:
    _, words = load_tokenizer(masked_lm).words("a wonderful picture")
    assert [pieces > 1 for _, _, _, pieces in words] == [False, True, False]
    glove = tmp_path / "words.txt"
    glove.write_text(GLOVE)
    changes = {"replace_probability": 1, "candidates": 2, "copies": 20}
    replaced = {}
    for output, path in (("with.tsv", glove), ("without.tsv", None)):
        command = run(output, glove=path, **changes)
        assert command.status == 0, command.err
        assert ("words of several pieces stay" in command.err) is (path is None)
        texts = [row["text"] for row in rows_of(tmp_path / output) if row["id"] == "r2"][1:]
        replaced[output] = {text.split()[1] for text in texts}
    assert replaced == {"with.tsv": {"marvellous", "splendid"}, "without.tsv": {"wonderful"}}


# === What decides the file ===


def test_the_seed_decides(written: Callable[..., bytes]) -> None:
    first = written("1.tsv")
    assert written("2.tsv") == first
    assert written("3.tsv", seed=2) != first


def test_neither_batches_nor_chunks_decide(written: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    first = written("1.tsv")
    assert written("2.tsv", batch_size=1) == first
    monkeypatch.setattr(augment, "ROWS_PER_CHUNK", 3)
    assert written("3.tsv", batch_size=64) == first


def test_the_authors_variant_is_another(written: Callable[..., bytes]) -> None:
    """The same draws, but the masked LM is asked something else."""
    assert written("1.tsv", variant="authors") != written("2.tsv", variant="paper") == written("3.tsv")


def test_the_models_own_answers(written: Callable[..., bytes], masked_lm: Path, tmp_path: Path) -> None:
    """With one candidate, a word becomes the likeliest whole word at its place: by the model called directly."""
    written("more.tsv", candidates=1, replace_probability=1, copies=1)
    tokenizer = load_tokenizer(masked_lm)
    model = MaskedLM.from_pretrained(masked_lm, dtype="float32")
    may_stand = np.where(candidate_tokens(tokenizer), 0, -np.inf)
    tokens = {number: token for token, number in tokenizer.vocabulary().items()}
    copies = {row["id"]: row["text"] for row in rows_of(tmp_path / "more.tsv")}
    for number, text in enumerate(TEXTS):
        if number in (1, 2):  # digits and punctuation; a word of several pieces
            continue
        ids, words = tokenizer.words(text)
        expected = text.split()
        for place, (start, end, token, _) in enumerate(words):
            if not text[start:end].isalpha() or text[start:end] in ENGLISH_STOP_WORDS:
                continue
            row = np.array([[tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]], np.int32)
            row[0, token + 1] = tokenizer.mask_token_id
            logits = np.asarray(model({"input_ids": row, "attention_mask": np.ones_like(row)})["logits"])[0, token + 1]
            expected[place] = tokens[int((logits + may_stand).argmax())]
        assert copies[f"r{number}"] == " ".join(expected)


# === Interrupted ===


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> Callable[..., None]:
    """Runs `augment` in chunks of 2 rows until the model has answered so many times, and then fails."""
    monkeypatch.setattr(augment, "ROWS_PER_CHUNK", 2)
    answer = augment.PredictMasked.__call__

    def interrupt(answers: int, **changes: object) -> None:
        calls = iter(range(answers))

        def until(self: Any, inputs: Any) -> np.ndarray:
            if next(calls, None) is None:
                raise RuntimeError("the power is gone")
            return answer(self, inputs)

        with monkeypatch.context() as patch:
            patch.setattr(augment.PredictMasked, "__call__", until)
            with pytest.raises(RuntimeError, match="the power is gone"):
                run(batch_size=64, **changes)

    return interrupt


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("more*"))


@pytest.mark.parametrize("torn", ["", "r2\ta wond", "r2\ta wonderful picture\tpositive\n"])
def test_it_goes_on_after_an_interruption(
    run: Callable[..., Any], written: Callable[..., bytes], interrupt: Callable[..., None], tmp_path: Path, torn: str
) -> None:
    """Also where lines were on disk of which the state did not know yet."""
    whole = written("whole.tsv", batch_size=64)
    interrupt(1)
    assert names(tmp_path) == ["more.tsv.partial", "more.tsv.state.json"]
    partial = tmp_path / "more.tsv.partial"
    assert whole.startswith(partial.read_bytes())
    assert json.loads((tmp_path / "more.tsv.state.json").read_text())["rows"] == 2
    with partial.open("a") as file:
        file.write(torn)
    command = run(batch_size=64)
    assert command.status == 0, command.err
    assert "augment: goes on after row 2\n" in command.err
    assert f"{len(whole.splitlines()) - 1} rows" in command.out
    assert (tmp_path / "more.tsv").read_bytes() == whole
    assert names(tmp_path) == ["more.tsv"]


def test_an_interruption_before_the_first_state_and_one_after_the_last(
    run: Callable[..., Any],
    written: Callable[..., bytes],
    interrupt: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = written("whole.tsv", batch_size=64)
    interrupt(0)
    assert names(tmp_path) == ["more.tsv.partial"]

    def killed(_: Any) -> None:
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(GrowingFile, "end", killed)
        with pytest.raises(RuntimeError, match="the power is gone"):
            run(batch_size=64)
    assert names(tmp_path) == ["more.tsv.partial", "more.tsv.state.json"]
    assert written("more.tsv", batch_size=64) == whole
    assert names(tmp_path) == ["more.tsv"]


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    one, other = (GrowingFile(tmp_path / "more.tsv", {}) for _ in range(2))
    refusal = pytest.raises(InputError, match=r"more\.tsv: another process writes this file; wait for it, or give")
    with one.begin("text\n"):
        one.add(1, ["a film\n"])
        with refusal, other.begin("text\n"):
            pass
        one.end()
    with refusal, other.begin("text\n"):
        pass
    assert (tmp_path / "more.tsv").read_text() == "text\na film\n"


def test_another_augmentation_does_not_go_on(
    run: Callable[..., Any], interrupt: Callable[..., None], texts: Path, tmp_path: Path
) -> None:
    interrupt(2)
    state, partial = tmp_path / "more.tsv.state.json", tmp_path / "more.tsv.partial"
    before = state.read_bytes(), partial.read_bytes()
    (tmp_path / "words.txt").write_text(GLOVE)
    other = tmp_path / "other.tsv"
    other.write_bytes(texts.read_bytes().replace(b"film", b"plot"))
    for name, changes in (
        ("seed", {"seed": 7}),
        ("copies", {"copies": 6}),
        ("batch_size", {"batch_size": 32}),
        ("glove", {"glove": tmp_path / "words.txt"}),
        ("input", {"input": other}),
        ("precision", {"precision": "bfloat16"}),
    ):
        command = run(**{"batch_size": 64, **changes})
        assert command.status == 2
        (line,) = command.err.splitlines()
        assert line.startswith(f"tinybert: {state}: an augmentation with another {name} was interrupted here (there ")
        assert line.endswith("remove it, or give another --output")
        assert (state.read_bytes(), partial.read_bytes()) == before
    for content in (b"", b"[1]", b'{"rows": 2}', before[0].replace(b'"bytes": ', b'"bytes": 9')):
        state.write_bytes(content)
        command = run(batch_size=64)
        line = f"tinybert: {state}: not the state of an interrupted augmentation; remove it to begin anew\n"
        assert (command.status, command.err) == (2, line)
    state.unlink()
    assert run(batch_size=64).status == 0  # from the beginning


# === In a distillation ===


def test_a_stage_trains_on_it(
    tinybert: Tinybert,
    written: Callable[..., bytes],
    teacher_run: Path,
    data_flags: list[str],
    opinions: Path,
    tmp_path: Path,
) -> None:
    content = written("more.tsv", input=opinions / "dev.tsv").decode()
    rows = content.count("\n") - 1
    assert rows > 40
    (tmp_path / "run.yaml").write_text(
        "stages:\n"
        f"  - {{name: inside, losses: [hidden_state], train: {tmp_path / 'more.tsv'}, batch_size: {rows}, epochs: 3}}\n"
        "  - {name: outside, losses: [prediction], epochs: 1}\n"
    )
    command = tinybert(
        "explain", tmp_path / "run.yaml", "--teacher", teacher_run, *data_flags, "--out", tmp_path / "run"
    )
    assert command.status == 0, command.err
    assert "more.tsv" in command.out
    (line,) = [line for line in command.out.splitlines() if "inside" in line and "steps" in line]
    assert " 3 steps" in line


# === Refused ===


@pytest.fixture
def refused(run: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """The one line that it ends with, without `tinybert: `; nothing may be left behind."""

    def refused(output: str = "more.tsv", **changes: object) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        command = run(output, **changes)
        assert (command.status, command.out) == (2, "")
        (line,) = command.err.splitlines()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return line.removeprefix("tinybert: ")

    return refused


def test_files_that_cannot_be_used(refused: Callable[..., str], texts: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.tsv"
    there.write_text("mine\n")
    assert refused("there.tsv") == f"{there}: the file exists already; give another name"
    assert refused("texts.tsv") == f"{texts}: the file exists already; give another name"
    suffix = "expected a name that ends in .tsv, as the input's does"
    assert refused("more.csv") == f"{tmp_path / 'more.csv'}: {suffix}"
    missing = tmp_path / "new" / "more.tsv"
    assert refused("new/more.tsv").startswith(f"{missing}: its directory does not exist or cannot be written; ")
    assert refused(input=tmp_path / "no.tsv") == f"{tmp_path / 'no.tsv'}: no such file"
    assert refused(text="txt") == f"{texts}: no column 'txt'; it has 'id', 'text', 'label'; did you mean 'text'?"
    assert refused(text="id,words") == f"{texts}: no column 'words'; it has 'id', 'text', 'label'"
    for columns in ("id,text,label", "text,text"):
        assert refused(text=columns).startswith(f"text={columns!r} names ")
    empty = tmp_path / "empty.tsv"
    empty.write_text("text\ta\nfilm\tb\n \tb\n")
    assert refused(input=empty) == f"{empty}:3: 'text' is empty; expected a text"


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("copies", 0, "--copies: expected an integer >= 1, got '0' (see tinybert augment --help)"),
        ("candidates", 149, "candidates=149: expected at most the vocabulary's "),
        ("replace_probability", 0, "replace_probability: expected a number > 0 and <= 1, got 0.0"),
        ("replace_probability", "nan", "replace_probability: expected a number > 0 and <= 1, got nan"),
        ("batch_size", -1, "--batch-size: expected an integer >= 1, got '-1'"),
        ("seed", -1, "--seed: expected an integer >= 0, got '-1'"),
        ("variant", "mine", "variant: expected one of paper, authors, got 'mine'"),
        ("max_length", 25, "max_length=25: {model} has max_position_embeddings=24; expected at most 24 tokens"),
        ("precision", "double", "precision: expected one of auto, float32, bfloat16, float16, got 'double'."),
        ("copies", "many", "--copies: expected an integer >= 1, got 'many' (see tinybert augment --help)"),
    ],
)
def test_settings_are_refused_by_name(
    refused: Callable[..., str], masked_lm: Path, flag: str, value: object, message: str
) -> None:
    assert refused(**{flag: value}).startswith(message.format(model=masked_lm))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GLOVE + "film 1\n", "{path}:6: 1 values; expected 2, as in the first line"),
        (GLOVE + "film 1 0 0\n", "{path}:6: 3 values; expected 2, as in the first line"),
        (GLOVE + "film 1 x\n", "{path}:6: expected a word and its vector, numbers with one space between"),
        (GLOVE.replace("marvellous 1", "marvellous  1"), "{path}:2: expected a word and its vector, numbers"),
        (GLOVE + "film 1e99 0\n", "{path}:6: expected a word and its vector, numbers with one space between"),
        ("", "{path}: no words; expected lines of a word and its vector"),
        (None, "{path}: no such file"),
    ],
)
def test_bad_word_vectors(refused: Callable[..., str], tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_text(content)
    assert refused(glove=path).startswith(message.format(path=path))


def test_a_model_that_is_no_masked_lm(
    refused: Callable[..., str], encoder_dir: Path, teacher_run: Path, tmp_path: Path
) -> None:
    for model in (encoder_dir, teacher_run):
        line = refused(masked_lm=model)
        assert line.startswith(f"{model} has no masked-LM head (cls.predictions.")
        assert line.endswith(
            " is missing): it cannot predict words. Train a head: "
            f"tinybert pretrain --model {model} --corpus FILE --head-only --out RUN"
        )
    assert "found no config.json in it" in refused(masked_lm=tmp_path)
    assert refused(masked_lm=tmp_path / "none").startswith(f"'{tmp_path / 'none'}': no such directory")


def test_a_masked_lm_with_another_vocabulary(refused: Callable[..., str], masked_lm: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(masked_lm)
    smaller = make_masked_lm(tmp_path / "smaller", tokenizer, vocab_size=tokenizer.vocab_size - 1)
    line = refused(masked_lm=smaller)
    assert line.startswith(f"{smaller}: the tokenizer has {tokenizer.vocab_size} tokens, the model has vocab_size=")
    assert line.endswith("they do not belong together.")
    larger = make_masked_lm(tmp_path / "larger", tokenizer, vocab_size=tokenizer.vocab_size + 128)
    assert refused(masked_lm=larger).startswith(f"{larger}: the tokenizer has {tokenizer.vocab_size} tokens, the model")
    one_segment = make_masked_lm(tmp_path / "one_segment", tokenizer, type_vocab_size=1)
    assert refused(masked_lm=one_segment, variant="authors") == (
        f"variant='authors' has two segments, {one_segment} has type_vocab_size=1; use 'paper'"
    )
