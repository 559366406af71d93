"""A small SQuAD file made of a CoNLL file: each entity becomes a question about its sentence.

    python -m benchmarks.snips_questions train.conll train.json --rows 4000

The question asks for the entity's type ("what is the playlist?"), the answers are the entities of that type. Each
sentence has one question; every tenth asks for a type that the sentence does not have, and has no answer, as in
SQuAD 2.0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tinybert_tf.data.tags.tagging import TaggedDataset, entities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conll", help="sentences with tags")
    parser.add_argument("output", help="SQuAD's JSON")
    parser.add_argument("--rows", type=int, default=4000, metavar="N", help="questions at most (default 4000)")
    arguments = parser.parse_args()
    dataset = TaggedDataset.from_file(arguments.conll)
    types = sorted({name.partition("-")[2] for name in dataset.label_names()} - {""})
    paragraphs = []
    for row, tags in enumerate(dataset.tags or []):
        text, spans = dataset.written(row)
        found = entities(tags, text, spans)
        if found and len(paragraphs) < arguments.rows:
            paragraphs.append({"context": text, "qas": [question(len(paragraphs), found, types)]})
    Path(arguments.output).write_text(
        json.dumps({"version": "2.0", "data": [{"title": arguments.conll, "paragraphs": paragraphs}]}), encoding="utf-8"
    )
    print(f"{len(paragraphs)} questions")


def question(number: int, found: list[dict[str, Any]], types: list[str]) -> dict[str, Any]:
    """The question of a sentence with these entities."""
    if number % 10 == 9:
        others = [kind for kind in types if kind not in {entity["type"] for entity in found}]
        kind, answers = others[number % len(others)], []
    else:
        kind = found[number % len(found)]["type"]
        answers = [{"text": each["text"], "answer_start": each["start"]} for each in found if each["type"] == kind]
    asked = f"what is the {kind.replace('_', ' ')}?"
    return {"id": str(number), "question": asked, "answers": answers, "is_impossible": not answers}


if __name__ == "__main__":
    main()
