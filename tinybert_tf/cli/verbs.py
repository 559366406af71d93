"""All verbs, in the order of the help."""

from __future__ import annotations

from tinybert_tf.cli.answers import EVALUATE, PREDICT
from tinybert_tf.cli.cache import CACHE
from tinybert_tf.cli.deployment import EXPORT, SERVE
from tinybert_tf.cli.distilling import ABLATE, CACHE_TEACHER, COMPRESS, DISTILL, EXPLAIN
from tinybert_tf.cli.learning import FINETUNE, PRETRAIN
from tinybert_tf.cli.preparation import AUGMENT, QUICKSTART, VOCAB

VERBS = {
    verb.name: verb
    for verb in (
        QUICKSTART,
        FINETUNE,
        DISTILL,
        COMPRESS,
        CACHE_TEACHER,
        CACHE,
        EXPLAIN,
        ABLATE,
        PRETRAIN,
        EVALUATE,
        PREDICT,
        EXPORT,
        SERVE,
        AUGMENT,
        VOCAB,
    )
}
