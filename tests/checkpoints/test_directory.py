from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors

from tinybert_tf import InputError
from tinybert_tf.checkpoints.directory import resolve_directory


def _config(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    return folder


def _snapshot(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> list[tuple[str, list[str]]]:
    calls = []

    def snapshot_download(repo_id: str, allow_patterns: list[str]) -> str:
        calls.append((repo_id, allow_patterns))
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve_directory(str(tmp_path), ["*"]) == tmp_path
    assert resolve_directory(_config(tmp_path), ["*"]) == tmp_path


def test_a_run_directory_stands_for_its_model(tmp_path: Path) -> None:
    model = _config(tmp_path / "model")
    assert resolve_directory(tmp_path, ["*"]) == model
    student = _config(tmp_path / "student")
    assert resolve_directory(tmp_path, ["*"]) == student
    _config(tmp_path)
    assert resolve_directory(tmp_path, ["*"]) == tmp_path


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = _config(tmp_path) / "config.json"
    with pytest.raises(InputError, match=r"config\.json: expected a model directory \(with config\.json\), got a file"):
        resolve_directory(path, ["*"])


@pytest.mark.parametrize("name", ["./missing", "/missing/model", "~/model", "a/b/c", "../model", "has space"])
def test_what_looks_like_a_path_never_reaches_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _snapshot(monkeypatch, Path())
    with pytest.raises(InputError, match=r"no such directory; expected a directory with config\.json, or a Hub id"):
        resolve_directory(name, ["*"])
    assert calls == []


def test_an_empty_name_is_not_the_current_directory() -> None:
    with pytest.raises(InputError, match="empty"):
        resolve_directory("", ["*"])


@pytest.mark.parametrize("hub_id", ["bert-base-uncased", "google/bert_uncased_L-2_H-128_A-2"])
def test_a_hub_id_is_downloaded(hub_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _snapshot(monkeypatch, tmp_path)
    assert resolve_directory(hub_id, ("config.json", "*.safetensors")) == tmp_path
    assert calls == [(hub_id, ["config.json", "*.safetensors"])]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (errors.LocalEntryNotFoundError("no\nnetwork"), "the Hub cannot be reached"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE"),
        (errors.HFValidationError("two dashes\nare not allowed"), "two dashes"),
        (OSError("disk full"), "disk full"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_failed_download_is_one_line(failure: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _snapshot(monkeypatch, failure)
    with pytest.raises(InputError) as caught:
        resolve_directory("nobody/nothing", ["*"])
    assert str(caught.value).startswith("'nobody/nothing' is neither a directory nor a reachable Hub id: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
