"""Every shipped config loads, names what it needs, and builds the student and the stages it promises."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tinybert_tf import Corpus, EncoderConfig, PretrainingBatches, SequenceClassifier, Stage, Teacher, load_tokenizer
from tinybert_tf.cli.from_config import load
from tinybert_tf.cli.parser import parse_arguments
from tinybert_tf.cli.verbs import VERBS
from tinybert_tf.config.ablation import AblationConfig
from tinybert_tf.config.load import load_config
from tinybert_tf.config.pretraining import PretrainConfig
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.metrics import choose_metric
from tinybert_tf.pipeline.ablation.published import PUBLISHED
from tinybert_tf.pipeline.ablation.variants import plan_variants
from tinybert_tf.pipeline.parts.splits import own_files
from tinybert_tf.pipeline.parts.stages import build_distiller
from tinybert_tf.pipeline.parts.student import resolved_init, student_config

CONFIGS = Path(__file__).parents[1] / "configs"
STUDENTS = {"tinybert-4l-312d": (4, 312), "tinybert-6l-768d": (6, 768)}


@dataclass(frozen=True)
class Task:
    """What the paper (section 4.2), its authors' code (`copies`) and GLUE (`rows` of train.tsv) say of a task.

    WNLI is not among them: the paper leaves it out.
    """

    rows: int
    copies: int
    epochs: int
    max_length: int
    text: tuple[str, ...]
    label: str
    metric: str = "accuracy"
    task: str = "sequence_classification"


PAIR = ("sentence1", "sentence2")
GLUE = {
    "cola": Task(8_551, 30, 50, 64, ("sentence",), "label", "matthews_correlation"),
    "sst2": Task(67_349, 20, 20, 64, ("sentence",), "label"),
    "mrpc": Task(3_668, 30, 20, 128, ("#1 String", "#2 String"), "Quality", "f1"),
    "stsb": Task(5_749, 30, 20, 128, PAIR, "score", "pearson", "regression"),
    "qqp": Task(363_846, 10, 10, 128, ("question1", "question2"), "is_duplicate", "f1"),
    "mnli": Task(392_702, 10, 10, 128, PAIR, "gold_label"),
    "qnli": Task(104_743, 20, 10, 128, ("question", "sentence"), "label"),
    "rte": Task(2_490, 30, 20, 128, PAIR, "label"),
}
GLUE_CONFIGS = [f"{task}-{student}.yaml" for task in GLUE for student in STUDENTS]
GENERAL_CONFIGS = [f"general-distillation-{student}.yaml" for student in STUDENTS]
PRETRAIN_CONFIGS = ["bert-pretraining.yaml", *GENERAL_CONFIGS]
ABLATION = "ablation-mrpc-tinybert-4l-312d.yaml"


@pytest.fixture(scope="module")
def bert_base() -> Teacher:
    """BERT-base's shape, with few words."""
    return Teacher(SequenceClassifier(EncoderConfig.from_preset("bert-base", vocab_size=20)), precision="float32")


def read(name: str) -> str:
    return (CONFIGS / name).read_text(encoding="utf-8")


def commands(name: str) -> list[list[str]]:
    """The `tinybert` commands in a config's comment."""
    comment = "\n".join(line[1:] for line in read(name).splitlines() if line.startswith("#"))
    found = re.findall(r"^ *(tinybert .*)$", comment.replace("\\\n", " "), re.M)
    return [shlex.split(command)[1:] for command in found]


def test_every_config_is_listed_here() -> None:
    names = [*GLUE_CONFIGS, *PRETRAIN_CONFIGS, "sst2.yaml", ABLATION]
    assert sorted(path.name for path in CONFIGS.glob("*.yaml")) == sorted(names)


def test_the_comment_names_the_config_itself() -> None:
    for path in CONFIGS.glob("*.yaml"):
        verb = "pretrain" if path.name in PRETRAIN_CONFIGS else "ablate" if path.name == ABLATION else "distill"
        assert f"tinybert {verb} configs/{path.name}" in path.read_text(encoding="utf-8")


# === The configs of the paper ===


@pytest.mark.parametrize("name", GLUE_CONFIGS)
def test_the_papers_schedule(name: str) -> None:
    task, _, student = name.removesuffix(".yaml").partition("-")
    wanted = GLUE[task]
    config = load_config(DistillConfig, CONFIGS / name)
    assert (config.data.text, config.data.label, config.data.max_length) == (
        wanted.text, wanted.label, wanted.max_length
    )  # fmt: skip
    assert config.task == wanted.task
    assert choose_metric(config.task, config.metric) == wanted.metric
    assert config.out == f"runs/{task}-{student}"
    assert config.teacher.dir == f"runs/{task}-teacher"
    assert (config.student.dir, config.student.preset) == (f"runs/general-{student}", None)

    intermediate, prediction = (Stage.from_config(section, config.train) for section in config.stages)
    assert [section.resolved(config.train).batch_size for section in config.stages] == [32, 32]
    assert [loss.name for loss in intermediate.losses] == ["embedding_loss", "attention_loss", "hidden_state_loss"]
    assert [loss.name for loss in prediction.losses] == ["prediction_loss"]
    assert (intermediate.epochs, intermediate.learning_rate) == (wanted.epochs, 5e-5)
    assert (intermediate.schedule, intermediate.warmup_fraction) == ("constant", 0.0)
    assert (prediction.epochs, prediction.learning_rate) == (3, 3e-5)
    assert (prediction.schedule, prediction.warmup_fraction) == ("linear", 0.1)
    assert {stage.layer_map for stage in (intermediate, prediction)} == {"uniform"}
    assert {stage.max_steps for stage in (intermediate, prediction)} == {None}

    augmented = f"data/augmented/{task}.tsv"
    is_score = task == "stsb"  # trained on its own labels, without augmentation, in the second stage
    assert [section.train for section in config.stages] == [augmented, None if is_score else augmented]
    assert own_files(config, [intermediate, prediction]) == {augmented: False}
    assert prediction.needs_labels is is_score


def cost(task: str) -> tuple[int, int]:
    """Rows that pass through teacher and student in both stages, and steps of 32."""
    wanted = GLUE[task]
    augmented = wanted.rows * (len(wanted.text) * wanted.copies + 1)  # of a pair, each side has its copies
    last = wanted.rows if task == "stsb" else augmented
    steps = -(-augmented // 32) * wanted.epochs + -(-last // 32) * 3
    return augmented * wanted.epochs + last * 3, steps


@pytest.mark.parametrize("name", GLUE_CONFIGS)
def test_what_it_costs(name: str) -> None:
    task, _, _ = name.partition("-")
    wanted = GLUE[task]
    passes, steps = cost(task)
    comment = " ".join(read(name).replace("\n# ", " ").split())
    unit = "texts" if len(wanted.text) == 1 else "pairs"
    copies = f"{wanted.copies}" if unit == "texts" else f"2 x {wanted.copies}"
    rows = wanted.rows * (len(wanted.text) * wanted.copies + 1)
    augmented = f"{rows:,} {unit} ({wanted.rows:,} x ({copies} + 1))"
    assert f"up to {augmented}, {steps:,} steps" in comment
    millions = float(re.search(rf"pass over ([\d.]+) million {unit}", comment)[1])  # type: ignore[index]
    assert millions == pytest.approx(passes / 1e6, rel=0.005)


def test_the_table_of_all() -> None:
    rows = [line for line in read("README.md").splitlines() if line.startswith("| `")]
    assert len(rows) == len(GLUE)
    for row, (name, wanted) in zip(rows, GLUE.items(), strict=True):
        passes, steps = cost(name)
        key, _, metric, count, copies, epochs, texts, taken = (cell.strip() for cell in row.strip("|").split("|"))
        assert (key, metric, count) == (f"`{name}`", wanted.metric, f"{wanted.rows:,}")
        assert (int(copies), epochs) == (wanted.copies, f"{wanted.epochs} + 3")
        assert (texts, taken) == (f"{passes / 1e6:.1f} M", f"{steps / 1e6:.2f} M")


def parsed(command: Sequence[str]) -> argparse.Namespace:
    """A command line's arguments; the verb comes first."""
    return parse_arguments(VERBS[command[0]], command[1:])


@pytest.mark.parametrize("name", GLUE_CONFIGS)
def test_the_commands_before_it(name: str) -> None:
    """Its teacher and its augmented file are made from the files and columns that it names itself."""
    task, _, student = name.removesuffix(".yaml").partition("-")
    config = load_config(DistillConfig, CONFIGS / name)
    finetune, augment, distill = (parsed(command) for command in commands(name))
    assert (finetune.verb, augment.verb, distill.verb) == ("finetune", "augment", "distill")
    assert (finetune.train, finetune.dev, finetune.out) == (config.data.train, config.data.dev, config.teacher.dir)
    for text in (finetune.text, augment.text):
        assert tuple(text.split(",")) == config.data.text
    assert finetune.label == config.data.label
    assert (finetune.task or "sequence_classification", finetune.metric) == (config.task, config.metric)
    assert int(finetune.max_length) == config.data.max_length
    assert (augment.input, augment.output) == (config.data.train, config.stages[0].train)
    assert augment.copies == GLUE[task].copies
    assert f"`--student {student}`" in read(name)


def test_mnli_keeps_its_dev_sets_apart() -> None:
    for student in STUDENTS:
        data = load_config(DistillConfig, CONFIGS / f"mnli-{student}.yaml").data
        assert (data.dev, data.test) == ("data/MNLI/dev_matched.tsv", "data/MNLI/dev_mismatched.tsv")


@pytest.mark.parametrize("student", STUDENTS)
def test_the_students_start(student: str, bert_base: Teacher, tmp_path: Path) -> None:
    """A general student's directory, or the preset that the comment names: the same sizes, and stages that fit them."""
    layers, width = STUDENTS[student]
    path = CONFIGS / f"rte-{student}.yaml"
    general = SequenceClassifier(EncoderConfig.from_preset(student, vocab_size=20))
    general.save_pretrained(tmp_path)
    config = load_config(DistillConfig, path, {"student.dir": str(tmp_path)})
    sizes = student_config(config.student, bert_base.config)
    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads) == (layers, width, 12)
    assert resolved_init(config.student, sizes, bert_base.config) == "dir"

    arguments = parsed(["distill", str(path), "--student", student])
    from_teacher = load(VERBS["distill"].flags, DistillConfig, arguments).student
    assert student_config(from_teacher, bert_base.config) == sizes
    assert resolved_init(from_teacher, sizes, bert_base.config) == "cut"

    stages = [Stage.from_config(section, config.train) for section in config.stages]
    inside, _ = (build_distiller(bert_base, general, stage) for stage in stages)
    assert inside.layer_map.layer_pairs()[-1] == (layers, 12)
    assert bool(inside.projections.weights) == (width != 768)


# === The configs of pretraining ===

# Of the papers: appendix A.2 of arXiv 1810.04805, section 4.2 of arXiv 1909.10351.
WORDS = {"bert-pretraining.yaml": 3_300, **dict.fromkeys(GENERAL_CONFIGS, 2_500)}
# `PretrainingBatches` makes a row of so many words of English Wikipedia, by `max_length`; of books nearly as many.
WORDS_IN_A_ROW = {128: 77.0, 512: 262.0}


def test_words_in_a_row(data_dir: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(data_dir / "vocab" / "bert-base-uncased")
    text = data_dir / "corpus" / "wiki.txt"
    corpus = Corpus.tokenize(text, tokenizer, tmp_path / "tokens")
    for max_length, words in WORDS_IN_A_ROW.items():
        batches = PretrainingBatches(corpus, tokenizer, max_length=max_length)
        found = len(text.read_text(encoding="utf-8").split()) / batches.num_rows
        assert found == pytest.approx(words, rel=0.03)


@pytest.mark.parametrize("name", PRETRAIN_CONFIGS)
def test_berts_schedule(name: str) -> None:
    config = load_config(PretrainConfig, CONFIGS / name)
    values = config.train
    assert (values.batch_size, values.learning_rate, values.weight_decay) == (256, 1e-4, 0.01)
    assert (values.schedule, config.checkpoint_every) == ("linear", 1000)
    assert not config.corpus.whole_word
    assert not config.head_only


def test_bert_from_scratch() -> None:
    config = load_config(PretrainConfig, CONFIGS / "bert-pretraining.yaml")
    assert (config.model.preset, config.model.dir, config.teacher) == ("bert-base", None, None)
    sizes = EncoderConfig.from_preset(config.model.preset)
    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.intermediate_size) == (12, 768, 3072)
    assert config.next_sentence
    assert (config.corpus.max_length, config.corpus.mask_probability) == (512, 0.15)
    assert config.corpus.max_length <= sizes.max_position_embeddings
    assert config.train.max_steps == 1_000_000
    assert config.train.max_steps * config.train.warmup_fraction == 10_000
    # `epochs` does not end it before `max_steps` does.
    assert epochs_of("bert-pretraining.yaml", config.train.max_steps) < config.train.epochs


@pytest.mark.parametrize("student", STUDENTS)
def test_general_distillation(student: str, bert_base: Teacher) -> None:
    """The paper's losses on a teacher of BERT-base's shape; its student is what the task's configs start from."""
    config = load_config(PretrainConfig, CONFIGS / f"general-distillation-{student}.yaml")
    assert [loss.name for loss in config.losses] == ["embedding", "attention", "hidden_state"]
    assert (config.layer_map, config.train.epochs, config.train.max_steps) == ("uniform", 3, None)
    assert config.corpus.max_length == 128
    sizes = student_config(config.model, bert_base.config)
    assert (sizes.num_hidden_layers, sizes.hidden_size) == STUDENTS[student]
    assert resolved_init(config.model, sizes, bert_base.config) == "random"
    for task in GLUE:
        started = load_config(DistillConfig, CONFIGS / f"{task}-{student}.yaml")
        assert started.student.dir == config.out
        assert "`tinybert pretrain --teacher`" in read(f"{task}-{student}.yaml")


def epochs_of(name: str, steps: int) -> float:
    """Passes over the paper's text that so many steps are."""
    config = load_config(PretrainConfig, CONFIGS / name)
    rows = WORDS[name] * 1e6 / WORDS_IN_A_ROW[config.corpus.max_length]
    return steps * config.train.batch_size / rows


@pytest.mark.parametrize("name", PRETRAIN_CONFIGS)
def test_what_pretraining_costs(name: str) -> None:
    comment = " ".join(read(name).replace("\n# ", " ").split())
    config = load_config(PretrainConfig, CONFIGS / name)
    millions = float(re.search(r"(\d+) million rows of up to (\d+) tokens", comment)[1])  # type: ignore[index]
    steps = int(re.search(r"([\d,]+) steps", comment.partition("Cost: ")[2])[1].replace(",", ""))  # type: ignore[index]
    assert f"million rows of up to {config.corpus.max_length} tokens" in comment
    assert millions * 1e6 == pytest.approx(steps * config.train.batch_size, rel=0.01)
    passes = 20 if config.train.max_steps else config.train.epochs
    assert epochs_of(name, steps) == pytest.approx(passes, rel=0.02)
    assert (f"on the paper's text {passes} passes" in comment) is bool(config.train.max_steps)
    listed = " ".join(read("README.md").split())
    cost = f"{WORDS[name]:,} million words, {millions:.0f} M rows of up to {config.corpus.max_length} tokens"
    assert f"{cost}, {steps / 1e6:.2f} M steps" in listed
    assert f"`{name}`" in listed


@pytest.mark.parametrize("name", PRETRAIN_CONFIGS)
def test_the_commands_of_pretraining(name: str) -> None:
    config = load_config(PretrainConfig, CONFIGS / name)
    every = [parsed(command) for command in commands(name)]
    own = [arguments for arguments in every if arguments.verb == "pretrain"]
    assert {arguments.config for arguments in own} == {f"configs/{name}"}
    for arguments in own:
        arguments.config = str(CONFIGS / name)
        made = load(VERBS["pretrain"].flags, PretrainConfig, arguments)
        assert (made.corpus.files, made.train.learning_rate) == (config.corpus.files, config.train.learning_rate)
    (other,) = (arguments for arguments in every if arguments.verb != "pretrain")
    if name in GENERAL_CONFIGS:
        assert (other.verb, load_config(DistillConfig, CONFIGS.parent / other.config).student.dir) == (
            "distill", config.out
        )  # fmt: skip
        return
    assert (other.verb, tuple(other.corpus), other.out) == ("vocab", config.corpus.files, config.tokenizer)
    assert other.size == EncoderConfig.from_preset("bert-base").vocab_size
    _, short, long = (load(VERBS["pretrain"].flags, PretrainConfig, arguments) for arguments in own)
    assert (short.corpus.max_length, long.corpus.max_length) == (128, 512)
    assert (long.model.dir, long.model.preset, long.next_sentence) == (short.out, None, True)
    assert (short.train.max_steps, short.train.max_steps + long.train.max_steps) == (900_000, config.train.max_steps)


# === The paper's ablation ===


def test_the_papers_ablation(bert_base: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variants fit their base, each stands in the paper's tables, and none of these is left out."""
    monkeypatch.chdir(CONFIGS.parent)
    general = SequenceClassifier(EncoderConfig.from_preset("tinybert-4l-312d", vocab_size=20))
    general.save_pretrained(tmp_path)
    config = load_config(AblationConfig, f"configs/{ABLATION}", {"student.dir": str(tmp_path)})
    base = load_config(DistillConfig, f"configs/{config.paper}-tinybert-4l-312d.yaml", {"student.dir": str(tmp_path)})
    assert config.distillation == dataclasses.replace(base, out=f"runs/{ABLATION.removesuffix('.yaml')}")
    variants = plan_variants(config)
    assert [each.change for each in variants] == [each.name for each in variants]
    assert {each.name for each in variants} == PUBLISHED["mrpc"].keys() - {"uniform"}

    steps = {each.name: ablation_steps(each.config) for each in variants}
    by_steps = {each: [name for name, count in steps.items() if count == each] for each in steps.values()}
    comment = " ".join(read(ABLATION).replace("\n# ", " ").split())
    assert f"Cost: {len(variants) * len(config.seeds)} runs" in comment
    usual, fewer = max(by_steps), {name: count for name, count in steps.items() if count < max(by_steps)}
    assert usual == cost("mrpc")[1]
    assert fewer.keys() == {"no_augmentation", "no_prediction"}
    for count in (usual, *fewer.values()):
        assert f"{count:,}" in comment
    assert f"`{ABLATION}`" in read("README.md")


def ablation_steps(config: DistillConfig) -> int:
    """Steps of both stages, on MRPC or on its augmented file."""
    task = GLUE["mrpc"]
    augmented = task.rows * (2 * task.copies + 1)
    values = [section.resolved(config.train) for section in config.stages]
    rows = [task.rows if section.train is None else augmented for section in config.stages]
    return sum(-(-count // each.batch_size) * each.epochs for count, each in zip(rows, values, strict=True))


# === The config of this library ===


def test_half_the_teachers_layers(bert_base: Teacher) -> None:
    config = load_config(DistillConfig, CONFIGS / "sst2.yaml")
    sizes = student_config(config.student, bert_base.config)
    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.num_attention_heads) == (6, 768, 12)
    assert resolved_init(config.student, sizes, bert_base.config) == "cut"
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    assert [(stage.name, stage.epochs) for stage in stages] == [("intermediate", 3), ("prediction", 3)]
