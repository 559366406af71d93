"""What the class of a loss declares, and the checks of it when Python makes the class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from keras import ops

from tinybert_tf import features
from tinybert_tf.errors import InputError

# The values of `layers`, and the part of a layer map that each of them reads.
LAYERS = {"mapped": "layers", "consecutive": "layers", "embedding": "embedding output", "all": "every layer"}

# The values of `mean_over`, and the number of each in a batch, from the real tokens of each row, `(rows,)`.
COUNTS: dict[str, Callable[[Any], Any]] = {
    "rows": lambda lengths: ops.sum(ops.ones_like(lengths)),
    "tokens": ops.sum,
    "token_pairs": lambda lengths: ops.sum(ops.square(lengths)),
}


def check_declared(loss: Any) -> None:
    """Check the class of a loss.

    A `feature` or a `call` may be missing: a subclass can add it, and only a loss that is made needs both.

    Raises:
        InputError: an unknown `layers` or `mean_over`, features that do not go together, a `call` without one of
            its three arguments.
    """
    _check_known(loss, "layers", LAYERS)
    if isinstance(loss.mean_over, str):  # else a property
        _check_known(loss, "mean_over", COUNTS)
    feature = getattr(loss, "feature", None)
    if feature is not None and not hasattr(feature, "__get__"):  # a property has its value when the loss is made
        check_features(loss.__name__, feature, loss.projected)
    _check_call(loss)


def _check_known(loss: Any, variable: str, known: Iterable[str]) -> None:
    value = getattr(loss, variable)
    if value not in tuple(known):
        raise InputError(f"{loss.__name__}.{variable} is {value!r}; expected one of {', '.join(known)}.")


def check_features(name: str, feature: Any, projected: bool) -> None:
    """Check the `feature` of the loss class `name`: a key of the output dict, or a tuple of keys.

    Raises:
        InputError: it is neither; some keys exist layer by layer and some once; several keys of a loss that is
            `projected`.
    """
    names = (feature,) if isinstance(feature, str) else feature
    if not isinstance(names, tuple | list) or not all(isinstance(each, str) for each in names):
        raise InputError(f"{name}.feature is {feature!r}; expected a key of the output dict, or a tuple of keys.")
    if len({features.is_per_layer(each) for each in names}) > 1:
        raise InputError(f"{name} compares {feature}: some exist layer by layer, some once; expected two losses.")
    if projected and not isinstance(feature, str):
        raise InputError(f"{name} compares {feature}; a projection is for a loss of one feature.")


def _check_call(loss: Any) -> None:
    parameters = inspect.signature(loss.call).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    missing = [name for name in ("student", "teacher", "mask") if name not in parameters]
    if missing and not takes_all:
        raise InputError(
            f"{loss.__name__}.call takes no `{missing[0]}`; expected `call(self, *, student, teacher, mask)`."
        )
