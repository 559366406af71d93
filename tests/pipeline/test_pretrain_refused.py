"""What `pretrain` refuses: exit status 2, one line that names it, and nothing left on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from tinybert_tf import EncoderConfig, MaskedLM, load_tokenizer, train_wordpiece

EXPECTED = "expected one sentence a line, an empty line between documents"
TEXT = "the film is good\nthe plot is lovely\n\nthis story is bad\nher acting is dull\n"


class Scene:
    """A `pretrain` command that would run, from a teacher or from scratch, until a test breaks one thing of it."""

    def __init__(self, directory: Path, encoder: Path, tinybert: Callable[..., Any]) -> None:
        self.directory = directory
        self.tinybert = tinybert
        self.encoder = directory / "encoder"
        shutil.copytree(encoder, self.encoder)
        self.out = directory / "runs" / "one"
        self.text = self.file(TEXT, "text.txt")

    def file(self, content: str | bytes, name: str = "bad.txt") -> Path:
        """A file beside the others."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def refused(self, *more: object, start: str = "scratch", **changes: object) -> str:
        """The one line that it ends with, without `tinybert: `; nothing may be left behind."""
        starts = {
            "scratch": {"--model": "bert-tiny", "--tokenizer": self.encoder},
            "teacher": {"--teacher": self.encoder},
            "model": {"--model": self.encoder},
        }
        flags = {"--corpus": self.text, "--dev": self.text, "--max-length": 16, "--out": self.out}
        flags |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        given = {**starts[start], **flags}
        before = sorted(self.directory.rglob("*"))
        command = self.tinybert(
            "pretrain", *more, *(part for flag, value in given.items() if value is not None for part in (flag, value))
        )
        assert command.status == 2, command.err
        assert command.out == ""
        (line,) = command.err.splitlines()
        assert line.startswith("tinybert: ")
        assert sorted(self.directory.rglob("*")) == before
        return line.removeprefix("tinybert: ")


@pytest.fixture
def scene(tmp_path: Path, encoder_dir: Path, tinybert: Callable[..., Any]) -> Scene:
    return Scene(tmp_path, encoder_dir, tinybert)


def changed(directory: Path, **values: object) -> None:
    """Change keys of a model's config.json."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# === The corpus ===


BAD_TEXTS = [
    (f"{TEXT}\n\nthe end\n", f":7: an empty line after another one is an empty document; {EXPECTED}"),
    (f"\n{TEXT}", f":1: an empty line before the first sentence is an empty document; {EXPECTED}"),
    ("", f": the file is empty; {EXPECTED}"),
    (
        f"{TEXT}{'good ' * 200_000}\n",
        f":6: a line of more than 100,000 characters; {EXPECTED}, and at most 100,000 characters in a sentence",
    ),
    (f"{TEXT}a \0 film\n", ":6: a zero byte, so this is not a text file; expected UTF-8 text"),
    (TEXT.encode() + b"caf\xe9\n", ":6: byte 0xe9 is not UTF-8; expected UTF-8 text"),
    (
        "the film is good\nthe plot is lovely\n",
        ": documents up to its end: 1; expected at least 2, with an empty line between them (rows of "
        "two segments draw from another document; next_sentence=false: of one)",
    ),
    ("the film\n\n\x01\x02\n\na plot\n", ":3: a document without a single token; expected text"),
]
STARTS = [("scratch", "corpus"), ("scratch", "dev"), ("teacher", "corpus")]


def test_a_text_that_cannot_be_used(each_row: Callable[..., None], scene: Scene) -> None:
    def look(content: str | bytes, message: str, start: str, flag: str) -> None:
        path = scene.file(content)
        assert scene.refused(start=start, **{flag: path}) == f"{path}{message}"

    each_row([(*text, *start) for text in BAD_TEXTS for start in STARTS], look)


@pytest.mark.parametrize("flag", ["corpus", "dev"])
def test_a_text_that_is_not_there(scene: Scene, flag: str) -> None:
    missing = scene.directory / "nothing.txt"
    assert scene.refused(**{flag: missing}) == f"{missing}: no such file"
    assert scene.refused(**{flag: scene.encoder}) == f"{scene.encoder}: is a directory; expected a text file"


def test_the_second_of_two_files(scene: Scene) -> None:
    path = scene.file("\0")
    flags = ["--model", "bert-tiny", "--tokenizer", scene.encoder, "--out", scene.out]
    command = scene.tinybert("pretrain", *flags, "--corpus", scene.text, path)
    assert command.status == 2
    assert command.err.splitlines()[-1].startswith(f"tinybert: {path}:1: a zero byte")
    assert not scene.out.parent.exists()


def test_one_document_is_enough_for_masked_tokens_alone(scene: Scene) -> None:
    """Where nothing else is asked for it is the next file that is refused."""
    path = scene.file("the film is good\nthe plot is lovely\n")
    assert "documents up to its end: 1" in scene.refused("--set", "next_sentence=true", start="model", corpus=path)
    empty = scene.file("", "dev.txt")
    assert scene.refused(start="model", corpus=path, dev=empty).startswith(f"{empty}: the file is empty")


@pytest.mark.parametrize("flag", ["corpus", "dev"])
def test_a_text_in_another_language(scene: Scene, flag: str) -> None:
    path = scene.file("\u4f60\u597d\n\n\u4e16\u754c\n")
    assert scene.refused(**{flag: path}) == (
        f"{path.name}: not one token of it is in the vocabulary, so there is none to predict; expected "
        f"text in the tokenizer's language, or another tokenizer"
    )


def test_no_file_at_all(scene: Scene) -> None:
    assert scene.refused(corpus=None) == "pretrain needs --corpus (or a config with corpus.files)."


# === The model ===


def test_more_layers_than_the_teacher_has(scene: Scene) -> None:
    layers = ["--set", "model.num_hidden_layers=3"]
    for init in ("auto", "random", "layers"):
        assert scene.refused(*layers, "--set", f"model.init={init}", start="teacher") == (
            "layer map 'uniform': the student has num_hidden_layers=3, the teacher 2; expected at most as many as the "
            "teacher has, or a layer map of pairs."
        )
    assert scene.refused(*layers, "--set", "model.init=cut", start="teacher") == (
        "model.num_hidden_layers=3: a student cut from its teacher has at most the teacher's 2."
    )
    assert "names student layer 4; the student has layers 0 to 3" in scene.refused(
        "--set", "layer_map=[[1, 1], [4, 2]]", "--set", "model.num_hidden_layers=2", start="teacher"
    )


@pytest.mark.parametrize("start", ["scratch", "teacher"])
def test_widths_that_the_heads_do_not_divide(scene: Scene, start: str) -> None:
    message = "num_attention_heads=2 must divide hidden_size=15."
    refused = scene.refused("--set", "model.hidden_size=15", start=start)
    assert refused == (f"model.{message}" if start == "teacher" else message)


def test_heads_that_cannot_be_compared(scene: Scene) -> None:
    message = scene.refused("--set", "model.num_attention_heads=4", "--set", "model.init=random", start="teacher")
    assert "attention_loss" in message
    assert "4" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.hidden_size=0"], "--set model.hidden_size: expected an integer >= 1, got 0"),
        (["model.init=cut"], "--set model.init: expected auto or random without a teacher, got 'cut'"),
        (["head_only=true"], "--set head_only: expected a model.dir whose encoder is kept, and no teacher, with true"),
        (["train.patience=2"], "--set train.patience: expected none, since pretraining runs to its last step, got 2"),
        (
            ["corpus.mask_probability=1.0"],
            "--set corpus.mask_probability: expected a number > 0 and < 1, got 1.0",
        ),
        (["checkpoint_every=0"], "--set checkpoint_every: expected an integer >= 1, got 0"),
        (["corpus.max_length=4"], "--set corpus.max_length: expected an integer >= 8, got 4"),
        (
            ["corpus.maks_probability=0.1"],
            "--set corpus.maks_probability: unknown key; did you mean corpus.mask_probability?",
        ),
    ],
)
def test_a_setting_that_cannot_be(scene: Scene, settings: list[str], message: str) -> None:
    flags = [part for setting in settings for part in ("--set", setting)]
    changes = {"max_length": None} if "max_length" in settings[0] else {}
    assert scene.refused(*flags, **changes) == message


def test_what_does_not_go_together(scene: Scene) -> None:
    assert scene.refused(start="teacher", tokenizer=scene.encoder) == (
        f"tokenizer: expected none beside a teacher, whose tokenizer is used, got {str(scene.encoder)!r}"
    )
    assert scene.refused("--head-only", start="teacher").startswith("head_only: expected a model.dir")
    sizes = ["--set", "model.hidden_size=8"]
    assert scene.refused(*sizes, start="model") == (
        "model.hidden_size is given beside model.dir, which has its own sizes."
    )
    assert scene.refused(*sizes, start="teacher", model=scene.encoder) == (
        "model.hidden_size is given beside model.dir, which has its own sizes."
    )
    assert scene.refused("--set", "model.init=random", start="teacher", model=scene.encoder) == (
        "model.init='random' is given beside model.dir, whose weights it starts from."
    )
    assert scene.refused("--set", "model.init=layers", "--set", "model.hidden_size=8", start="teacher").startswith(
        "model.init='layers' copies the teacher's layers, and hidden_size differs: student 8, teacher 16;"
    )
    for setting in ("losses=[hidden_state]", "layer_map=top", "projections=per_layer"):
        assert scene.refused("--set", setting, start="model").startswith(f"--set {setting.split('=')[0]}: ")
    for setting in ("mask_probability=0.2", "whole_word=true"):
        key, value = f"corpus.{setting}".split("=")
        assert scene.refused("--set", f"{key}={value}", start="teacher") == (
            f"--set {key}: expected no value beside a teacher, which needs no masked tokens, got {value.capitalize()}"
        )
    assert scene.refused("--set", "teacher.others=[elsewhere]", start="teacher") == (
        "--set teacher.others: expected none: a general distillation has one teacher"
    )
    other = scene.directory / "other"
    train_wordpiece(["a vocabulary of other words"] * 2, vocab_size=60).save_pretrained(other)
    assert scene.refused(start="model", tokenizer=other) == (
        f"tokenizer: another vocabulary than the one in {scene.encoder}, whose token ids the model knows."
    )
    assert (
        scene.refused(model=None)
        == "model: expected a preset or a dir, or a teacher whose sizes it takes, got none of them"
    )


def test_a_tokenizer_is_wanted(scene: Scene) -> None:
    assert scene.refused(tokenizer=None).startswith("tokenizer: a new model needs one (--tokenizer DIR); `tinybert voc")
    for name in ("tokenizer.json", "vocab.txt"):
        (scene.encoder / name).unlink()
    assert str(scene.encoder) in scene.refused(start="teacher")


def test_a_model_that_is_not_there(scene: Scene) -> None:
    assert scene.refused(model="bert-huge").startswith("--model 'bert-huge' is neither a directory nor a size nor a ")
    assert scene.refused(model="tiny") == "model.size: expected none without a teacher, whose shares it is, got 'tiny'"
    assert "no such directory" in scene.refused(start="teacher", teacher="./nothing/at/all")
    (scene.encoder / "model.safetensors").unlink()
    assert str(scene.encoder) in scene.refused(start="teacher")


@pytest.mark.parametrize("start", ["teacher", "model"])
def test_rows_that_are_too_long(scene: Scene, start: str) -> None:
    assert scene.refused(start=start, max_length=25) == (
        f"max_length=25: {scene.encoder} has max_position_embeddings=24; expected at most 24 tokens."
    )
    assert "max_length=513: the model has max_position_embeddings=512" in scene.refused(max_length=513)


def test_rows_that_the_teacher_alone_cannot_read(scene: Scene) -> None:
    tokenizer = load_tokenizer(scene.encoder)
    config = EncoderConfig.from_preset("bert-tiny", vocab_size=tokenizer.vocab_size, hidden_size=16)
    MaskedLM(config).save_pretrained(scene.directory / "student", tokenizer=tokenizer)
    message = scene.refused(start="teacher", model=scene.directory / "student", max_length=32)
    assert message.startswith(f"max_length=32: {scene.encoder} has max_position_embeddings=24;")


def test_a_model_of_single_segments(scene: Scene) -> None:
    tokenizer = load_tokenizer(scene.encoder)
    shutil.rmtree(scene.encoder)
    config = EncoderConfig.from_preset("bert-tiny", vocab_size=tokenizer.vocab_size, type_vocab_size=1)
    MaskedLM(config).save_pretrained(scene.encoder, tokenizer=tokenizer)
    message = f"{scene.encoder}: type_vocab_size=1; rows of two segments need 2 (or next_sentence=false)."
    assert scene.refused(start="teacher") == message
    assert scene.refused("--set", "next_sentence=true", start="model") == message


def test_a_tokenizer_with_more_words_than_the_model(scene: Scene) -> None:
    tokens = load_tokenizer(scene.encoder).vocab_size
    config = EncoderConfig.from_preset("bert-tiny", vocab_size=tokens - 1)
    MaskedLM(config).save_pretrained(scene.directory / "small")
    message = scene.refused(start="model", model=scene.directory / "small", tokenizer=scene.encoder)
    assert f"the tokenizer has {tokens} tokens, the model has vocab_size={tokens - 1}" in message


def test_a_loss_that_is_not_known(scene: Scene) -> None:
    assert "loss 'cosinus': expected one of embedding, " in scene.refused(
        "--set", "losses=[embedding, cosinus]", start="teacher"
    )


# === The run directory ===


def test_a_directory_that_is_taken(scene: Scene) -> None:
    assert scene.refused(out=scene.encoder) == (
        f"out: {scene.encoder} is not empty and holds no run; give a new or an empty directory."
    )
    assert "is a file" in scene.refused(out=scene.text)


def test_an_empty_directory_stays(scene: Scene) -> None:
    scene.out.mkdir(parents=True)
    path = scene.file("\0")
    assert scene.refused(dev=path).startswith(f"{path}:1: a zero byte")
    assert list(scene.out.iterdir()) == []


def test_whole_words_of_a_tokenizer_that_does_not_know_them(scene: Scene) -> None:
    """Before the corpus is tokenized: nothing is left that would refuse the next command."""
    learned = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned.train_from_iterator(TEXT.splitlines(), vocab_size=300, min_frequency=1, special_tokens=special)
    (scene.directory / "bpe").mkdir()
    learned.save_model(str(scene.directory / "bpe"))
    message = scene.refused("--set", "corpus.whole_word=true", tokenizer=scene.directory / "bpe")
    assert message.startswith("a BPE tokenizer does not say which pieces are one word")
