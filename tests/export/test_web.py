"""What `export --format web` writes, and what it refuses; the page itself is opened in test_web_page.py."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

import efficient_sed as es
from efficient_sed.cli.main import main
from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export import web_page as web
from efficient_sed.export.write import build_file, create_target
from efficient_sed.files.folders import write_folder
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.inference.header import Header
from efficient_sed.models.factory import settle_norms
from efficient_sed.models.sed import Provenance
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.change_points import ChangePoints
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.registry import POSTPROCESSING

LABELS = ["siren", "<b>&dog", "Bell"]


@pytest.fixture(scope="module")
def built() -> tuple[Header, bytes]:
    """A random model that was tuned, as ONNX."""
    model = settle_norms(es.create_model("fmn04", classes=LABELS)).eval()
    tuned = Postprocessing(events=Chain((ChangePoints(),)), thresholds=(0.5, 0.02, 0.7), hop_s=model.grid.hop_s)
    model.provenance = Provenance(clip_seconds=1.0, median_frames=1, postprocessing=tuned.to_dict())
    header, content, _ = build_file(model, "a<b>", create_target("web"))
    return header, content


def test_the_folder(built: tuple[Header, bytes], tmp_path: Path) -> None:
    header, content = built
    target, page = create_target("web"), tmp_path / "sub" / "page"
    target.check_output(page, overwrite=False)
    num_bytes = target.save(page, content, header)
    paths = [path for path in page.rglob("*") if path.is_file()]
    files = {path.relative_to(page).as_posix() for path in paths}
    assert {"index.html", "page.css", "shared.js", "app.js", "worker.js", "model.onnx"} < files
    assert num_bytes == sum(path.stat().st_size for path in paths)
    assert not [name for name in files if name.startswith("runtime")]
    html = (page / "index.html").read_text(encoding="utf-8")
    assert "<!--" not in html
    assert "Model a&lt;b&gt;, 3 classes." in html
    assert f"connect-src 'self' {web.PUBLIC_ADDRESS};" in html
    (text,) = re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)
    data = json.loads(text)
    assert (data["labels"], data["ranks"], data["lowest"]) == (LABELS, [2, 0, 1], 0.02)
    assert data["settings"]["chain"] == [{"name": "change_points", "step_s": 0.48, "absolute": None, "relative": 2.0}]
    assert data["settings"]["grid"]["stream"] == {"hop": 12, "lookAhead": 10, "window": 25}
    first, second = target.advice(page)
    assert first == f"serve it by: python -m http.server --directory {page}"
    assert web.PUBLIC_ADDRESS in second
    assert ExportedModel(page / "model.onnx").classes == LABELS
    assert sorted(path.name for path in page.parent.iterdir()) == ["page"]


def test_the_documentation_names_the_version() -> None:
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "web-page.md"
    assert f"npm install --prefix web onnxruntime-web@{web.RUNTIME_VERSION}\n" in page.read_text(encoding="utf-8")


def test_every_method_is_there_in_javascript() -> None:
    assert len(POSTPROCESSING.names()) >= 3
    assert {path.stem for path in (web.PAGE / "methods").iterdir()} == set(POSTPROCESSING.names())


def test_a_page_is_overwritten_and_nothing_else(built: tuple[Header, bytes], tmp_path: Path) -> None:
    header, content = built
    target, page = create_target("web"), tmp_path / "page"
    target.save(page, content, header)
    with pytest.raises(CheckpointError, match=r"page: is there already; give another name, or --force"):
        target.check_output(page, overwrite=False)
    (page / "mine.txt").write_text("kept")
    target.check_output(page, overwrite=True)
    target.save(page, content, dataclasses.replace(header, model_name="second"))
    assert "Model second" in (page / "index.html").read_text(encoding="utf-8")
    assert (page / "mine.txt").read_text() == "kept"
    (page / "index.html").write_text("<html>of somebody else</html>")
    with pytest.raises(CheckpointError, match=r"page: cannot be written \(another file is there already; give another"):
        target.check_output(page, overwrite=True)
    (page / "index.html").unlink()
    with pytest.raises(CheckpointError, match=r"page: a folder of other files; give another name$"):
        target.check_output(page, overwrite=True)
    with pytest.raises(CheckpointError, match=r"mine\.txt: cannot be written \(Not a directory\)$"):
        target.check_output(page / "mine.txt", overwrite=True)


def test_a_folder_that_cannot_be_finished(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File exists"):
        write_folder(tmp_path / "page", {"a": b"", "a/b": b""})
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_time(tmp_path: Path) -> None:
    script = web.RUNTIME["script"]["name"]
    with pytest.raises(
        ConfigError, match=rf"^--runtime {tmp_path}: has no {script}; npm install onnxruntime-web@1\.\d+"
    ):
        web.read_runtime(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / script).write_text("another")
    with pytest.raises(ConfigError, match=rf"^--runtime .*{script}: not that of version {web.RUNTIME_VERSION}; npm "):
        web.read_runtime(tmp_path)
    with pytest.raises(ConfigError, match=r"^--runtime x belongs to --format web, got --format onnx$"):
        create_target("onnx", Path("x"))


def test_what_cannot_be_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["export", "fmn04+tf-128_synthetic", "--format", "web"]
    for words, message in (
        (["--input", "mel"], "--input mel is not allowed: waveform with --format web"),
        (
            ["--precision", "int8", "data=synthetic"],
            "--precision int8 is not for --format web, whose page has one model",
        ),
        (["--runtime", "nowhere"], "--runtime nowhere: has no ort.wasm.bundle.min.mjs; npm install onnxruntime-web@"),
    ):
        assert main([*command, *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["export", "fmn04_synthetic", "--format", "web"]) == 2
    assert "the model was trained on clip labels only" in capsys.readouterr().err
    monkeypatch.setattr(web, "PAGE", tmp_path)
    assert main(command) == 2
    assert "post-processing 'change_points' cannot be exported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
