"""`tinybert explain`: describes what a distillation or a compression would do, without doing it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tinybert_tf import features
from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, config_path, read_config
from tinybert_tf.compression.structured_pruning import SIZES as PRUNED_SIZES
from tinybert_tf.compression.structured_pruning import pruned_config
from tinybert_tf.config.chosen import with_choices
from tinybert_tf.config.compression import CompressConfig
from tinybert_tf.config.load import dump_config
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.schema import DistillConfig, Train
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.evaluation.config_cost import parameters_of
from tinybert_tf.labels import Labels
from tinybert_tf.metrics import choose_metric
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.heads.tasks import TASK_MODELS
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.sizes import sized
from tinybert_tf.pipeline.parts.chosen import Choice, texts_to_make, training_of_student, values_of
from tinybert_tf.pipeline.parts.default_student import candidates, describe_rule
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.planned import planned_epochs
from tinybert_tf.pipeline.parts.splits import WITH_UNLABELLED, own_files, read_datasets, train_split
from tinybert_tf.pipeline.parts.stages import Stage
from tinybert_tf.pipeline.parts.student import SIZES, resolved_init, student_config
from tinybert_tf.pipeline.runs.table import format_table

# The features with an axis of heads, and the size of their last axis.
HEAD_FEATURES: dict[Any, Callable[[EncoderConfig], int | None]] = {
    features.ATTENTION_SCORES: lambda sizes: None,
    **dict.fromkeys((features.QUERIES, features.KEYS, features.VALUES), lambda sizes: sizes.head_size),
}


def explain_distill(config: DistillConfig) -> str:
    """Describe the resolved config, both models' sizes, and each stage: its steps, data, losses, layer map, early end.

    For a compression, also describe its steps in their order.

    It reads the files and the teacher's `config.json`, not its weights. If the config leaves the student's size open,
    it describes all sizes of which `distill` chooses one; they have the same layers.

    Raises:
        InputError: as `run_distill`, as far as these files show it.
    """
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    datasets = read_datasets(config.data, own_files(config, stages), config.task)
    directory = resolve_directory(config.teacher.dir, [CONFIG_FILE])
    teacher_values = read_config(directory)
    teacher = EncoderConfig.from_dict(teacher_values, source=str(config_path(directory)))
    labels = _labels(config, teacher_values, str(config_path(directory)), datasets)
    metric = choose_metric(config.task, config.metric, len(labels))
    student = student_config(config.student, teacher)
    for config_of, source in ((teacher, directory), (student, "student")):
        check_limits(config_of, 0, config.data.max_length, source)
    init = resolved_init(config.student, student, teacher)
    rows = {name: _num_rows(config, dataset) for name, dataset in datasets.items()}
    config, chosen = _settled(config, datasets["train"], rows, student)
    stages = [Stage.from_config(section, config.train) for section in config.stages]
    parts = [
        dump_config(resolved(config)).rstrip(),
        "",
        _sizes_table(config.task, {"teacher": teacher, **_students(config, teacher)}, len(labels)),
        "",
        *([f"student: {describe_rule(candidates(teacher))}"] if config.student.is_open else []),
        f"student starts from: {init}",
        f"best epoch: by dev {metric}",
        *(f"chosen: {choice}" for choice in chosen),
    ]
    total_steps: int | None = 0
    for section, stage in zip(config.stages, stages, strict=True):
        split = train_split(section, stage, config.data)
        source = datasets[split].source if split in datasets else f"{split}, at most"
        depths = student.num_hidden_layers, teacher.num_hidden_layers
        layer_map = LayerMap.for_losses(stage.layer_map, stage.losses, *depths)
        _check_heads(stage, student, teacher)
        values = section.resolved(config.train)
        steps = _num_steps(stage, rows[split], values)
        total_steps = None if total_steps is None or steps is None else total_steps + steps
        parts += ["", *_stage_lines(stage, source, rows[split], values, metric), layer_map.table(stage.losses)]
    if isinstance(config, CompressConfig):
        parts += ["", *_training_lines(config, total_steps), "", *_compression_lines(config, student, total_steps)]
    return "\n".join(parts)


def _num_rows(config: DistillConfig, dataset: Any) -> int:
    """Return the number of rows that a data set is encoded as."""
    tokenizer = functools.partial(load_tokenizer, config.teacher.dir)
    return find_task(config.task).num_rows(dataset, tokenizer, config.data.max_length)


def _settled(
    config: DistillConfig, train: Any, rows: dict[str, int], student: EncoderConfig
) -> tuple[DistillConfig, list[Choice]]:
    """Return the config with what a run would choose, and the choices; `rows` gets the rows of `WITH_UNLABELLED`."""
    texts = texts_to_make(config, train)
    config = with_choices(config, values_of(texts))
    labelled, data = rows["train"], config.data
    more = labelled * int(data.augment or 0) + sum(rows[path] for path in data.unlabelled or ())
    rows[WITH_UNLABELLED] = labelled + more
    training = training_of_student(config, labelled, more, student.hidden_size)
    return with_choices(config, values_of(training)), [*texts, *training]


def _check_heads(stage: Stage, student: EncoderConfig, teacher: EncoderConfig) -> None:
    """Refuse losses that compare heads between models with different numbers of heads.

    Raises:
        InputError: as the loss.
    """
    for loss in stage.losses:
        width = HEAD_FEATURES.get(loss.feature)
        if width is not None and loss.layers != "all":
            heads = ((None, sizes.num_attention_heads, None, width(sizes)) for sizes in (student, teacher))
            loss.check_shapes(*map(keras.KerasTensor, heads))


def _training_lines(config: CompressConfig, total_steps: int | None) -> list[str]:
    """List each time that the student goes through all stages, and the optimizer steps of all of them."""
    rounds = 0 if config.structure is None else config.structure.rounds
    names = ["structure"] if rounds == 1 else [f"structure-{number}" for number in range(1, rounds + 1)]
    names += [name for name in ("pruning", "quantization") if getattr(config, name) is not None]
    stages = ", ".join(stage.name for stage in config.stages)
    steps = "" if total_steps is None else f", {total_steps} steps"
    lines = [f"{name}: {stages}{steps}" for name in names]
    return lines if total_steps is None else [*lines, f"all training: {len(names) * total_steps} steps"]


def _compression_lines(config: CompressConfig, student: EncoderConfig, total_steps: int | None) -> list[str]:
    """Describe each section in a line, in the order of their steps.

    Raises:
        InputError: sizes are above the student's, or pruning begins or ends after the last step.
    """
    lines = []
    if config.structure is not None:
        kept = {name: getattr(config.structure, name) for name in PRUNED_SIZES}
        pruned_config(student, **kept)
        sizes = ", ".join(f"{name}={size}" for name, size in kept.items() if size is not None)
        rounds = config.structure.rounds
        lines.append(f"structure: {sizes} a layer, in {rounds} round{'s' * (rounds > 1)}, each through all stages")
    if config.pruning is not None:
        pruning = config.pruning
        if total_steps is not None:
            pruning.steps(total_steps)
        begin, end = (
            f"{100 * at:g}% of the steps" if at <= 1 else f"step {at:.0f}" for at in (pruning.begin, pruning.end)
        )
        lines.append(
            f"pruning: {100 * pruning.sparsity:g}% of each kernel zero ({pruning.pattern}), {pruning.schedule} from "
            f"{begin} to {end}, through all stages"
        )
    if config.quantization is not None:
        texts = config.quantization.calibration_texts
        lines.append(f"quantization: int{config.quantization.bits}, ranges from {texts} texts, through all stages")
    if config.clustering is not None:
        lines.append(f"clustering: {config.clustering.num_clusters} values a matrix, after training")
    if config.export is not None:
        lines.append(f"export: {config.export.format}, {config.export.quantize or 'as it is'}")
    elif config.quantization is not None:
        lines.append("export: litert, int8")
    return lines


def _labels(
    config: DistillConfig, teacher_values: Mapping[str, Any], source: str, datasets: Mapping[str, Any]
) -> Labels:
    """Return the teacher's labels, or the training file's if its config names none; all files' labels must be known."""
    task = find_task(config.task)
    given = Labels.from_config(teacher_values, source) or Labels.of(task.label_names(datasets["train"]))
    labels = labels_for(given, datasets.values(), config.task, config.data.positive)
    for dataset in datasets.values():
        task.check(dataset, labels)
    return labels


def _num_steps(stage: Stage, rows: int, train: Train) -> int | None:
    """Return the stage's number of steps; None with batches of so many tokens, as only tokenizing would tell."""
    return None if train.batch_tokens is not None else stage.total_steps(-(-rows // train.batch_size))


def _stage_lines(stage: Stage, source: str, rows: int, train: Train, metric: str) -> list[str]:
    """Describe the stage's steps, data, early end and loss."""
    steps = _num_steps(stage, rows, train)
    if steps is None:
        amount, warmup = f"batches of {train.batch_tokens} tokens", f"{stage.warmup_fraction:.0%}"
    else:
        amount, warmup = f"{steps} steps of {train.batch_size}", f"{int(stage.warmup_fraction * steps)} steps"
    epochs = planned_epochs(stage)
    ends = [] if epochs is None else [f"{epochs} times"]
    if stage.max_steps is not None:
        ends.append(f"at most {stage.max_steps} steps" if ends else f"for {stage.max_steps} steps")
    early_end = stage.early_end(metric)
    return [
        f"stage {stage.name}: {amount}, learning rate {stage.learning_rate:g}, "
        f"{stage.schedule} after {warmup} of warm-up",
        f"data = {rows} rows of {source}, {', '.join(ends)}",
        *([f"ends early after {early_end}"] if early_end else []),
        "loss = " + " + ".join(f"{loss.weight:g} x {loss.name}" for loss in stage.losses),
    ]


def _students(config: DistillConfig, teacher: EncoderConfig) -> dict[str, EncoderConfig]:
    """Return the student's sizes under `student`, or all that `distill` chooses from by their names."""
    if not config.student.is_open:
        return {"student": student_config(config.student, teacher)}
    return {name: sized(name, teacher) for name in candidates(teacher)}


def _sizes_table(task: str, models: Mapping[str, EncoderConfig], num_labels: int) -> str:
    """Make a table of the models, a column each."""
    rows: list[list[object]] = [[name, *(getattr(config, name) for config in models.values())] for name in SIZES]
    head = TASK_MODELS[task].model_class
    counts = (parameters_of(config, head.num_outputs(num_labels), head.add_pooler) for config in models.values())
    rows.append(["parameters", *(f"{count:,}" for count in counts)])
    return format_table(["", *models], rows)
