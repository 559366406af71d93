from pathlib import Path

import pytest

from tinybert_tf import InputError
from tinybert_tf.data.text.readers import column_names, read_columns


def write(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def message(path: Path, *columns: str) -> str:
    with pytest.raises(InputError) as caught:
        read_columns(path, columns or ("text", "label"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_tsv_has_no_quoting(tmp_path):
    path = write(tmp_path, "a.tsv", 'label\ttext\r\n1\tsay "hi, there\r\n0\tform\x0cfeed\u2028\r\n')
    table = read_columns(path, ["text", "label"])
    assert table["text"] == ['say "hi, there', "form\x0cfeed\u2028"]
    assert table["label"] == ["1", "0"]
    assert table.row_numbers == [2, 3]
    assert len(table) == 2


def test_csv_has_quoting_and_counts_lines(tmp_path):
    path = write(tmp_path, "a.csv", '\ufefftext,label\n"two\nlines, ""quoted""",1\nplain,0\n\n')
    table = read_columns(path, ["text", "label"])
    assert table["text"] == ['two\nlines, "quoted"', "plain"]
    assert table.row_numbers == [2, 4]


def test_jsonl_takes_strings_and_integers(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "one", "label": 1}\n{"label": "zero", "text": "two", "x": null}\n')
    table = read_columns(path, ["text", "label"])
    assert table.columns == {"text": ["one", "two"], "label": ["1", "zero"]}
    assert table.row_numbers == [1, 2]


def test_column_names(tmp_path):
    assert column_names(write(tmp_path, "a.csv", "b,a\n1,2\n")) == ["b", "a"]
    assert column_names(write(tmp_path, "a.jsonl", '{"x": 1, "y": 2}')) == ["x", "y"]


def test_files_that_are_no_text_files(tmp_path):
    assert message(tmp_path / "none.tsv").endswith("none.tsv: no such file")
    (tmp_path / "folder.tsv").mkdir()
    assert "is a directory; expected a .tsv, .csv, .jsonl file" in message(tmp_path / "folder.tsv")
    assert "unknown suffix '.parquet'; expected one of .tsv, .csv, .jsonl" in message(write(tmp_path, "a.parquet", "x"))
    assert "the file is empty" in message(write(tmp_path, "a.tsv", "\n \n"))
    assert "a header line and no rows" in message(write(tmp_path, "b.tsv", "text\tlabel\n"))
    assert "c.tsv:2: byte 0xe9 is not UTF-8" in message(
        write(tmp_path, "c.tsv", b"text\nna\xefve\n".replace(b"\xef", b"\xe9"))
    )
    assert "d.csv:2: a zero byte" in message(write(tmp_path, "d.csv", b"text\n\0\n"))


def test_a_column_that_is_not_there(tmp_path):
    path = write(tmp_path, "a.tsv", "sentence\tlabel\nx\t1\n")
    assert message(path, "sentense").endswith(
        "a.tsv: no column 'sentense'; it has 'sentence', 'label'; did you mean 'sentence'?"
    )
    headless = write(tmp_path, "b.tsv", f"{'word ' * 100}\t1\nx\t1\n")
    assert len(message(headless, "sentence")) < 200 + len(str(headless))


def test_rows_with_too_few_or_too_many_fields(tmp_path):
    assert "a.tsv:3: 1 tab-separated fields, expected 2" in message(write(tmp_path, "a.tsv", "text\tlabel\nx\t1\ny\n"))
    assert "a.csv:2: 3 comma-separated fields, expected 2" in message(write(tmp_path, "a.csv", "text,label\na,b,1\n"))
    assert "b.csv:2: 0 comma-separated fields" in message(write(tmp_path, "b.csv", "text,label\n\na,1\n"))


def test_rows_with_unusable_values(tmp_path):
    assert "a.tsv:2: 'text' is empty" in message(write(tmp_path, "a.tsv", "text\tlabel\n \t1\n"))
    assert "a.csv:3: 'label' is empty" in message(write(tmp_path, "a.csv", "text,label\nx,1\ny,\n"))
    for value in ("true", "null", '["x"]'):
        path = write(tmp_path, "a.jsonl", f'{{"text": "x", "label": {value}}}')
        assert f"a.jsonl:1: 'label' is {value}; expected a string or a number" in message(path)


def test_broken_csv_and_jsonl(tmp_path):
    assert "a.csv:3: not valid CSV" in message(write(tmp_path, "a.csv", 'text,label\nx,1\n"never closed,1\n'))
    assert "column 'text' is there twice" in message(write(tmp_path, "b.csv", "text,text\nx,1\n"))
    assert "a.jsonl:2: not valid JSON" in message(write(tmp_path, "a.jsonl", '{"text": "x", "label": 1}\n{"text":\n'))
    assert "b.jsonl:1: expected a JSON object, got [1]" in message(write(tmp_path, "b.jsonl", "[1]"))
    half = write(tmp_path, "d.jsonl", '{"text": "x \\ud83d\\ude00", "label": 1}\n{"text": "y", "note": "\\uD83D!"}\n')
    assert r"d.jsonl:2: \ud83d is half a character; expected whole ones" in message(half)
    missing = write(tmp_path, "c.jsonl", '{"text": "x", "label": 1}\n{"text": "y"}\n')
    assert "c.jsonl:2: no key 'label'; it has 'text'" in message(missing)


def test_a_cell_of_csv_may_be_as_long_as_the_file(tmp_path):
    text = "word " * 40_000
    assert read_columns(write(tmp_path, "a.csv", f'text,label\n"{text}",1\n'), ["text"])["text"] == [text]


def test_numbers_of_jsonl_that_are_none(tmp_path):
    for value in ("NaN", "-Infinity", "1e999"):
        path = write(tmp_path, "a.jsonl", f'{{"text": "x", "label": {value}}}')
        assert "a.jsonl:1: 'label' is " in message(path)


def test_brackets_of_jsonl_within_brackets(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "x", "label": 1}\n' + "[" * 100_000 + "\n")
    assert message(path).endswith("a.jsonl:2: expected JSON of at most 100 brackets within brackets, got more")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_are_in_no_name_and_no_value(tmp_path, line_end):
    rows = {
        "a.tsv": ["text\tlabel", "x\t1"],
        "a.csv": ["text,label", "x,1"],
        "a.jsonl": ['{"text": "x", "label": "1"}'],
    }
    for name, lines in rows.items():
        table = read_columns(write(tmp_path, name, "\ufeff" + line_end.join([*lines, ""])), ["text", "label"])
        assert table.columns == {"text": ["x"], "label": ["1"]}
