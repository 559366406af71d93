from __future__ import annotations

from tinybert_tf.pipeline.runs.table import format_table


def test_columns_are_aligned() -> None:
    table = format_table(["", "teacher", "s"], [["layers", 4, 2], ["parameters", "1,234", 12]])
    assert table.splitlines() == [
        "|            | teacher |  s |",
        "|------------|--------:|---:|",
        "| layers     |       4 |  2 |",
        "| parameters |   1,234 | 12 |",
    ]


def test_one_column_and_no_rows() -> None:
    assert format_table(["name"], []) == "| name |\n|------|"
