from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tinybert_tf import InputError
from tinybert_tf.checkpoints import hf_directory
from tinybert_tf.checkpoints.hf_directory import read_config, write_directory

TENSORS = {"a": np.arange(3, dtype=np.float32)}


def test_write_then_read(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "model"
    write_directory(directory, {"vocab_size": 5, "hidden_act": "gelu"}, TENSORS)
    assert read_config(directory) == {"hidden_act": "gelu", "vocab_size": 5}
    text = (directory / "config.json").read_text()
    assert text == '{\n  "hidden_act": "gelu",\n  "vocab_size": 5\n}\n'
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    assert len({path.stat().st_mode for path in directory.iterdir()}) == 1
    with safe_open(directory / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        np.testing.assert_array_equal(file.get_tensor("a"), TENSORS["a"])


def test_an_interrupted_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_directory(tmp_path, {"version": 1}, TENSORS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails_half_way(tensors: dict, path: Path, metadata: dict) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(hf_directory, "save_file", fails_half_way)
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be written \(disk full\); what was there"):
        write_directory(tmp_path, {"version": 2}, TENSORS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(InputError, match="model: the directory cannot be made"):
        write_directory(tmp_path / "model", {}, TENSORS)


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a Hugging Face model directory, found no config\.json in it"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"config\.json: not valid JSON"),
        (b"\xff\xfe", r"config\.json: expected UTF-8 text, got byte 0xff at position 0"),
        (b"[1]", r"expected a JSON object, got \[1\]"),
        (b'{"model_type": ["bert"]}', r'model_type: expected a string or null, got \["bert"\]'),
        (b'{"architectures": [3]}', r"architectures: expected a list of strings or null, got \[3\]"),
        (b'{"architectures": "BertModel"}', r"architectures: expected a list of strings or null, got 'BertModel'"),
        (b'{"id2label": ["a"]}', r'id2label: expected an object or null, got \["a"\]'),
        (b'{"classifier_dropout": 1}', r"classifier_dropout: expected a fraction in \[0, 1\) or null, got 1"),
        (b'{"classifier_dropout": NaN}', r"classifier_dropout: expected a fraction in \[0, 1\) or null, got NaN"),
        (b'{"is_decoder": "false"}', r"is_decoder: expected true or false or null, got 'false'"),
    ],
)
def test_a_broken_config(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)
