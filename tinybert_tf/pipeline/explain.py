"""`tinybert explain`: what a distillation would do, without doing it."""

from __future__ import annotations

from tinybert_tf.checkpoints.directory import resolve_directory
from tinybert_tf.checkpoints.hf_directory import CONFIG_FILE, read_config
from tinybert_tf.config.load import dump_config
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.distillation.layer_map import LayerMap
from tinybert_tf.evaluation.cost import classifier_parameters
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.limits import check_limits
from tinybert_tf.pipeline.splits import read_datasets
from tinybert_tf.pipeline.stages import Stage
from tinybert_tf.pipeline.student import SIZES, resolved_init, student_config
from tinybert_tf.pipeline.table import format_table


def explain_distill(config: DistillConfig) -> str:
    """The resolved config, both models' sizes, and for each stage its steps, losses and layer map.

    Reads the files and the teacher's `config.json`, not its weights.

    Raises:
        InputError: as `run_distill`, as far as these show it.
    """
    datasets = read_datasets(config.data)
    directory = resolve_directory(config.teacher.dir, [CONFIG_FILE])
    teacher_values = read_config(directory)
    teacher = EncoderConfig.from_dict(teacher_values, source=str(directory / CONFIG_FILE))
    num_labels = len(teacher_values.get("id2label") or datasets["train"].label_names())
    student = student_config(config.student, teacher)
    for config_of, source in ((teacher, directory), (student, "student")):
        check_limits(config_of, 0, config.data.max_length, source)
    init = resolved_init(config.student, student, teacher)
    parts = [
        dump_config(config).rstrip(),
        "",
        _sizes_table(teacher, student, num_labels),
        "",
        f"student starts from: {init}",
    ]
    for section in config.stages:
        stage = Stage.from_config(section, config.train)
        values = section.resolved(config.train)
        steps = -(-len(datasets["train"]) // values.batch_size) * stage.epochs
        steps = steps if stage.max_steps is None else min(steps, stage.max_steps)
        layer_map = LayerMap.resolve(stage.layer_map, student.num_hidden_layers, teacher.num_hidden_layers)
        losses = " + ".join(f"{loss.weight:g} x {loss.name}" for loss in stage.losses)
        parts += [
            "",
            f"stage {stage.name}: {steps} steps of {values.batch_size}, learning rate {stage.learning_rate:g}",
            f"loss = {losses}",
            str(layer_map),
        ]
    return "\n".join(parts)


def _sizes_table(teacher: EncoderConfig, student: EncoderConfig, num_labels: int) -> str:
    rows: list[list[object]] = [[name, getattr(teacher, name), getattr(student, name)] for name in SIZES]
    counts = [
        classifier_parameters(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            intermediate_size=config.intermediate_size,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=config.type_vocab_size,
            num_labels=num_labels,
        )
        for config in (teacher, student)
    ]
    rows.append(["parameters", *(f"{count:,}" for count in counts)])
    return format_table(["", "teacher", "student"], rows)
