"""Files made to do harm: no code is run, nothing outside is read, memory is bounded, errors are one line."""

from __future__ import annotations

import json
import pickle
import resource
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from reliability.inputs_annotations import prepare_folder, write_sound
from reliability.inputs_containers import (
    _audioset_tables,
    _prepare_arrow,
    _prepare_packed,
    _prepare_pseudo_labels,
)
from reliability.inputs_models import ARCHITECTURE, _prepare_checkpoints
from reliability.inputs_runs import RESULT, _prepare_clips

from efficient_sed.cli.main import main
from efficient_sed.data.clip_teacher import ClipTeacher
from efficient_sed.data.pseudo_labels import PseudoLabels
from efficient_sed.errors import CheckpointError, ConfigError, DataError, EfficientSedError
from efficient_sed.experiment import presets
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.expand import expand_sweep
from efficient_sed.files import packaged
from efficient_sed.metrics.psds.clips import PsdsClips
from efficient_sed.models.factory import create_model
from efficient_sed.models.weights.cards import SYNTHETIC_DETECTOR, read_card
from efficient_sed.models.weights.checkpoint import load_model, save_model

SECRET = "xyzzy plugh"
MARKUP = (
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onload="alert(1)', "&lt;b&gt;",
    "[red]x[/red] [/bold]", "$\\frac{$ \\x", "{0} %s", "a'b`c",
)  # fmt: skip
ESCAPES = "\x1b[31m\x1b]0;title\x07 \u202e \r\n"


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    """Limit the memory to two gibibytes more than is used; allocating more raises an error no test expects."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**30, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command ends with."""
    assert main([str(argument) for argument in arguments]) == 2
    err = capsys.readouterr().err.splitlines()
    lines = [line for line in err if line.startswith("efficient-sed: ")]
    assert len(lines) == 1
    assert lines[0].isprintable()
    return lines[0]


@pytest.mark.parametrize("suffix", ["pt", "ckpt"])
def test_code_in_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    write_sound(tmp_path / "a.wav")
    torch.save(
        {"state_dict": Code(tmp_path / "ran"), "hyper_parameters": Code(tmp_path / "ran")}, tmp_path / f"evil.{suffix}"
    )
    assert "it holds code, which is never run" in refused(
        capsys, "detect", tmp_path / "a.wav", "--model", tmp_path / f"evil.{suffix}"
    )
    assert not (tmp_path / "ran").exists()


def test_code_in_arrays_and_dictionaries(tmp_path: Path) -> None:
    code, good = np.array([[Code(tmp_path / "ran")]], dtype=object), np.zeros((1, 1), np.float32)
    np.save(tmp_path / "evil.npy", code, allow_pickle=True)
    np.save(tmp_path / "good.npy", good)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Code(tmp_path / "ran")}))
    (tmp_path / "good.pkl").write_bytes(pickle.dumps({"a": 0}))
    for logits, index in (("evil", "good"), ("good", "evil")):
        with pytest.raises(
            DataError, match=r"evil\.(npy: not an array|pkl: not a pickled dictionary .* nothing in it was run)"
        ):
            ClipTeacher(tmp_path / f"{logits}.npy", tmp_path / f"{index}.pkl", ["a"])
    np.savez(tmp_path / "evil.npz", meta=code)
    with pytest.raises(DataError, match=r"evil\.npz: damaged"):
        PsdsClips.load(tmp_path / "evil.npz")
    assert not (tmp_path / "ran").exists()


def test_a_dictionary_of_ten_bytes_takes_no_gigabytes(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.zeros((1, 1), np.float32))
    (tmp_path / "bomb.pkl").write_bytes(
        b"\x80\x04}r\xff\xff\xff\x3f."
    )  # an empty dictionary, at place 2^30 of the memo
    with pytest.raises(DataError, match=r"bomb\.pkl: not a pickled dictionary .* \(it numbers 1073741823 entries\)"):
        ClipTeacher(tmp_path / "good.npy", tmp_path / "bomb.pkl", ["a"])


def preset(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "evil.yaml").write_text(text)
    usual = packaged.resource_folder
    for module in (packaged, presets):
        monkeypatch.setattr(module, "resource_folder", lambda name: folder if name == "configs" else usual(name))


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch ran']",
        "!!python/name:os.system",
        "!!binary aGFsbG8=",
        "\n".join(["", *(f"  a{i}: &a{i} [{f'*a{i - 1}, ' * 9 if i else 1}]" for i in range(20))]),
    ],
)
def test_code_and_bombs_in_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    preset(tmp_path, monkeypatch, f"# @package _global_\ntrain: {value}\n")
    with pytest.raises(ConfigError, match=r"evil\.yaml:\d+: tags and aliases of YAML are not allowed in a preset"):
        compose_run(["experiment=evil"])


def test_grids_without_end() -> None:
    for overrides in (["seed=range(1,1000000000)"], ["seed=range(1,1000)", "train.epochs=range(1,1000)"]):
        with pytest.raises(ConfigError, match="the grid has more than 10,000 points"):
            expand_sweep(overrides)
    with pytest.raises(ConfigError, match="cannot be parsed: nested too deeply"):
        compose_run([f"train.epochs={'[' * 5000}{']' * 5000}"])


def bomb(path: Path, members: dict[str, bytes]) -> None:
    """An archive whose members are followed by two gigabytes of zeros that take two megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
                for _ in range(2**5 if name == list(members)[-1] else 0):
                    file.write(bytes(2**26))


@pytest.mark.long
def test_archives_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.npz", {"meta.npy": b"", "durations.npy": b""})
    with pytest.raises(DataError, match=r"bomb\.npz: damaged \(says that 2\.15 GB are in 2\.\d+ MB\)"):
        PsdsClips.load(tmp_path / "bomb.npz")
    _prepare_checkpoints(tmp_path)
    with zipfile.ZipFile(tmp_path / "original.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb(tmp_path / "bomb.pt", members)
    with pytest.raises(CheckpointError, match=r"bomb\.pt: not a checkpoint of plain tensors: it is damaged"):
        load_model(ARCHITECTURE, tmp_path / "bomb.pt")


def test_an_array_larger_than_memory(tmp_path: Path) -> None:
    _prepare_clips(tmp_path)
    with np.load(tmp_path / "original.npz") as stored, zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for name in stored.files:
            with archive.open(f"{name}.npy", "w") as file:
                shape = (10**11,) if name == "scores" else stored[name].shape
                np.lib.format.write_array_header_2_0(
                    file, {"descr": stored[name].dtype.str, "fortran_order": False, "shape": shape}
                )
                file.write(stored[name].tobytes())
    with pytest.raises(DataError, match=r"bomb\.npz: damaged \(buffer is smaller"):
        PsdsClips.load(tmp_path / "bomb.npz")


def swollen(file: Any, name: str) -> None:
    kind = file[name].dtype
    del file[name]
    file.create_dataset(name, shape=(10**11,), dtype=kind, chunks=(10**6,), compression="gzip")


def test_hdf5_bombs(tmp_path: Path) -> None:
    _prepare_pseudo_labels(tmp_path)
    with h5py.File(tmp_path / "original.h5", "r+") as file:
        swollen(file, "filenames")
    with pytest.raises(DataError, match=r"original\.h5: not a file of pseudo-labels"):
        PseudoLabels(tmp_path / "original.h5", ["cat", "dog", "train"])
    (tmp_path / "packed").mkdir()
    _prepare_packed(tmp_path / "packed")
    shutil.copy(tmp_path / "packed" / "original.h5", tmp_path / "evil.h5")  # the original is still open
    with h5py.File(tmp_path / "evil.h5", "r+") as file:
        swollen(file, "event_onset_s")
    with pytest.raises(DataError, match=r"evil\.h5: (damaged|not readable as HDF5) \('event_onset_s'"):
        compose_run(["data=packed", f"data.root={tmp_path / 'evil.h5'}"]).data.load()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seq": {"name": "gru", "hidden": 10**6, "num_layers": 2}}, "seq.hidden=1000000 is not allowed"),
        ({"seq": {"name": "gru", "hidden": 8192, "num_layers": 100}}, "describes a model that is far larger than"),
        ({"classes": ["\x1b[31m"]}, r"label '\\x1b\[31m' is not text on one line"),
        ({"provenance": {"clip_seconds": 1e12}}, "clip_seconds=1000000000000.0 is not allowed"),
        (
            {"provenance": {"postprocessing": [3]}},
            r"provenance.postprocessing=\[3\] must be a table",
        ),
    ],
)
def test_headers_of_checkpoints(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    _prepare_checkpoints(tmp_path)
    data = (tmp_path / "original.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + size])
    table["__metadata__"]["efficient_sed"] = json.dumps(json.loads(table["__metadata__"]["efficient_sed"]) | change)
    text = json.dumps(table).encode()
    (tmp_path / "evil.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    with pytest.raises(CheckpointError, match=reason):
        load_model(str(tmp_path / "evil.safetensors"))
    (tmp_path / "huge.safetensors").write_bytes((2**40).to_bytes(8, "little") + data[8:])
    with pytest.raises(CheckpointError, match=r"huge\.safetensors: damaged or not a safetensors file"):
        load_model(str(tmp_path / "huge.safetensors"))


@pytest.mark.parametrize("key", ["classifier.strong.bias", "backbone.blocks.0.0.weight"])
def test_a_tensor_of_one_number_that_claims_a_billion(tmp_path: Path, key: str) -> None:
    state = create_model(ARCHITECTURE, num_classes=3).state_dict()
    torch.save(state | {key: torch.zeros(1).expand(10**10)}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match=r"evil\.pt: says that 40 GB are in"):
        load_model(ARCHITECTURE, tmp_path / "evil.pt")


def wav(rate: int = 16_000, channels: int = 1, size: int = 2000, data: bytes = bytes(2000)) -> bytes:
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 % 2**32, 2, 16)
    start = b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVEfmt " + struct.pack("<I", 16)
    return start + head + b"data" + struct.pack("<I", size) + data


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("slow.wav", wav(rate=1), "a sample rate of 1 Hz is not allowed"),
        ("fast.wav", wav(rate=2**31 - 1), "a sample rate of 2147483647 Hz cannot be resampled here"),
        ("wide.wav", wav(channels=65_535), "damaged audio"),
    ],
)
def test_headers_of_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert reason in refused(capsys, "detect", tmp_path / name, "--model", SYNTHETIC_DETECTOR)


def test_a_wav_header_of_four_gigabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there is heard: recorders that lost their power leave such files."""
    (tmp_path / "big.wav").write_bytes(wav(size=2**32 - 1, data=bytes(32_000)))
    assert main(["detect", str(tmp_path / "big.wav"), "--model", SYNTHETIC_DETECTOR, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["duration_s"] == 1.0


@pytest.mark.parametrize("name", ["a/../../secret.wav", "{outside}"])
def test_names_that_lead_outside(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "secret.wav")
    root = tmp_path / "data"
    root.mkdir()
    prepare_folder(root)
    path = name.format(outside=tmp_path / "secret.wav")
    (root / "test.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{path}\t0.1\t0.2\tdog\n")
    with pytest.raises(DataError, match="file names in annotations are relative to it"):
        compose_run(["data=folder", f"data.root={root}"]).data.load()


def test_links_to_what_is_no_sound(tmp_path: Path) -> None:
    """Links are followed, as data sets are often made of them; what is no sound is not quoted."""
    prepare_folder(tmp_path)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "audio" / "test_0.wav").unlink()
    (tmp_path / "audio" / "test_0.wav").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match=r"test_0\.wav: not readable as audio") as caught:
        compose_run(["data=folder", f"data.root={tmp_path}"]).data.load()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["../../secret.arrow", "/etc/passwd", ".."])
def test_arrow_files_elsewhere(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pyarrow")
    _prepare_arrow(tmp_path)
    _audioset_tables(tmp_path)
    (tmp_path / "original" / "eval" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=r"state\.json names .*, which is no file of this folder"):
        compose_run(["data=audioset_strong", f"data.root={tmp_path / 'original'}"]).data.load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "../evil.pt"),
        ("url", "file:///etc/passwd"),
        ("name", "a\x1b[31m"),
        ("scores", []),
    ],
)
def test_cards(tmp_path: Path, key: str, value: Any) -> None:
    card = json.loads((Path(__file__).parents[2] / "pretrained" / "fmn04_strong.json").read_text())
    if key == "scores":
        value = [card["scores"][0] | {"value": 1e308}]
    (tmp_path / "evil.json").write_text(json.dumps(card | {key: value}))
    with pytest.raises(CheckpointError, match=r"evil\.json: not a model card"):
        read_card(tmp_path / "evil.json")


def external(location: str) -> bytes:
    onnx = pytest.importorskip("onnx")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("location", ["../secret", "{outside}", "link"])
def test_exported_models_whose_weights_lie_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], location: str
) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "models").mkdir()
    (tmp_path / "secret").write_text(SECRET * 4)
    (tmp_path / "models" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "models" / "evil.onnx").write_bytes(external(location.format(outside=tmp_path / "secret")))
    line = refused(capsys, "benchmark", tmp_path / "models" / "evil.onnx")
    assert "onnxruntime cannot read it" in line
    assert SECRET not in line


def test_nested_too_deeply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "result.json").write_text("[" * 100_000)
    assert "nested too deeply" in refused(capsys, "plot", tmp_path / "runs")
    (tmp_path / "runs" / "result.json").write_text(json.dumps(RESULT).replace("0.4", "1" + "0" * 4000))
    assert "is too large a number" in refused(capsys, "plot", tmp_path / "runs")


@pytest.mark.parametrize("name", MARKUP[::3])
def test_markup_in_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Pages, pictures and tables show the very text."""
    folder = tmp_path / "runs" / name.replace("/", "-")
    folder.mkdir(parents=True)
    changed = RESULT | {"model": name, "backbone": name, "head": name, "data": {"name": name, "manifest_hash": name}}
    (folder / "result.json").write_text(
        json.dumps(changed | {"metrics": RESULT["metrics"] | {"variant": {name: name}, name: 0.5}})
    )
    assert main(["plot", str(tmp_path / "runs"), "--output", str(tmp_path / "plots" / "frontier.png")]) == 0
    page = (tmp_path / "plots" / "frontier.html").read_text()
    assert page.count("<script") == page.count("</script") == 2
    assert "<img" not in page
    assert name[:6] in capsys.readouterr().out
    assert (tmp_path / "plots" / "frontier.png").stat().st_size > 10_000


def test_control_characters_in_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "result.json").write_text(json.dumps(RESULT | {"model": ESCAPES}))
    assert "model=" in refused(capsys, "plot", tmp_path / "runs", "--output", tmp_path / "plots" / "frontier.png")


def test_markup_in_labels_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    save_model(create_model(ARCHITECTURE, classes=MARKUP), tmp_path / "model.safetensors")
    recording = tmp_path / "<img src=x onerror=alert(1)> [red] \x1b[31m\n.wav"
    write_sound(recording)
    command = ["detect", str(recording), "--model", str(tmp_path / "model.safetensors"), "--threshold", "0.05"]
    for output_format in ("table", "tsv", "json", "rttm", "audacity", "jams"):
        status = main([*command, "--format", output_format])
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err
        if output_format in ("tsv", "rttm"):  # which could hold the name only as it is
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert "it cannot hold the name" in err
        else:
            assert status == 0
            assert "onerror=alert(1)" in out
    assert main([*command, "--report", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<script") == page.count("</script") == 2
    assert "<img" not in page


def test_errors_are_one_line_whatever_they_quote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert r"\x1b[31m\x1b]0;title\x07 \u202e \r\n" in refused(capsys, "detect", tmp_path / f"{ESCAPES}.wav")
    assert r"seed='\n' must be" in refused(capsys, "train", "seed=\n")
    assert len(refused(capsys, "train", f"backbone={'x' * 10**6}")) < 2000
    assert str(EfficientSedError("Größe 日本 é")) == "Größe 日本 é"
