"""Models on the hub: pushed, loaded wherever a model is named, and what is said where that fails."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from command import Run
from hub_server import TOKEN, Hub, Repo
from result_files import make_result

import efficient_sed as es
from efficient_sed.config.values import to_dict
from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.input_paths import check_places
from efficient_sed.experiment.result_file import read_result, write_result
from efficient_sed.inference.results_folder import identify_model
from efficient_sed.models.sed import Provenance, SedModel
from efficient_sed.models.weights import cards
from efficient_sed.models.weights.initial import load_initial, load_initial_model
from efficient_sed.registry import BACKBONES

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of httpx, to huggingface_hub
CLASSES = ["dog", "siren"]
SETTINGS = [
    "backbone=fmn04",
    "seq=none",
    "data=folder",
    "data.root=/home/me/sounds",
    "train.epochs=3",
    "task=detection",
]
SOUND = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))


def logits(model: SedModel) -> list[torch.Tensor]:
    with torch.inference_mode():
        return list(model(model.frontend(SOUND)))


def is_same(one: SedModel, other: SedModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(logits(one), logits(other), strict=True))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "RUN"
    folder.mkdir()
    torch.manual_seed(1)
    model = es.create_model("fmn04", classes=CLASSES)
    model.provenance = Provenance(median_frames=7)
    es.save_model(model, folder / "model.safetensors")
    result = make_result("fmn04", config=to_dict(compose_run(SETTINGS)))
    result["metrics"] |= {"psds1_macro_tuned": 0.5, "variant_tuned": {"median_frames": 7}}
    write_result(folder, result)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    # the environment was read when the library was imported
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # this hub stores large files by Git LFS
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pushed(hub: Hub, run: Run, run_folder: Path) -> Hub:
    status, out, err = run(f"models push {run_folder} me/sed --licence MIT --private")
    assert status == 0, err
    files = "README.md, config.yaml, model.safetensors, result.json"
    assert re.fullmatch(rf"pushed {files}: {hub.url}/me/sed/commit/[0-9a-f]{{40}}\n", out)
    assert TOKEN not in out + err
    return hub


def test_round_trip(pushed: Hub, run_folder: Path, tmp_path: Path) -> None:
    own, loaded = es.load_model(str(run_folder / "model.safetensors")), es.load_model("hf:me/sed")
    assert is_same(own, loaded)
    assert (loaded.classes, loaded.provenance) == (own.classes, own.provenance)
    assert is_same(own, es.load_model("hf-hub:me/sed@main"))
    assert [*pushed.large.values()] == [(run_folder / "model.safetensors").read_bytes()]
    assert pushed.repos["me/sed"].private
    files = pushed.repos["me/sed"].commits[pushed.repos["me/sed"].branches["main"]]
    assert not any(b"/home/me" in content for content in files.values())
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "result.json").write_bytes(files["result.json"])
    assert (read_result(tmp_path / "copy") or {})["config"]["data"]["root"] == "sounds"


def test_notes_name_no_folder_of_this_machine(hub: Hub, run: Run, run_folder: Path, tmp_path: Path) -> None:
    """Such as where a model lay whose classes were extended."""
    folder = tmp_path / "extended"
    folder.mkdir()
    (folder / "result.json").write_bytes((run_folder / "result.json").read_bytes())
    model = es.load_model(str(run_folder / "model.safetensors"))
    model.provenance = Provenance(notes={"extended_from": "/home/me/start.safetensors", "seed": 1})
    es.save_model(model, folder / "model.safetensors")
    assert run(f"models push {folder} me/sed --licence MIT --onnx").status == 0
    files = hub.repos["me/sed"].commits[hub.repos["me/sed"].branches["main"]]
    assert "model.onnx" in files
    assert not any(b"/home/me" in content for content in files.values())
    loaded = es.load_model("hf:me/sed")
    assert is_same(model, loaded)
    assert loaded.provenance.notes == {"extended_from": "start.safetensors", "seed": 1}


@pytest.mark.usefixtures("pushed")
def test_card(run: Run) -> None:
    front, text = json.loads(run("models hf:me/sed --json").out), run("models hf:me/sed").out
    assert {key: front[key] for key in ("license", "library_name", "pipeline_tag", "datasets")} == {
        "license": "mit",
        "library_name": "efficient-sed",
        "pipeline_tag": "audio-classification",
        "datasets": ["synthetic"],
    }
    (found,) = front["model-index"][0]["results"]
    assert [(each["name"], each["value"]) for each in found["metrics"]] == [
        ("PSDS1 macro", 0.4),
        ("PSDS1 macro tuned", 0.5),
    ]
    assert found["dataset"]["revision"] == "cafe"
    for words in (
        "| PSDS1 macro | 0.4000 |",
        "5,000,000 parameters; 1,400,000,000 multiply",
        "hf:me/sed",
        "`abc`",
        "`cafe`",
        "events: median",
    ):
        assert words in text
    (command,) = re.findall("efficient-sed train (.*)", text)
    config = compose_run([word.replace("=sounds", "=/home/me/sounds") for word in shlex.split(command)])
    assert config == compose_run(SETTINGS)


@pytest.mark.usefixtures("pushed")
def test_wherever_a_model_is_named(run: Run, run_folder: Path) -> None:
    own = es.load_model(str(run_folder / "model.safetensors"))
    model = es.create_model("fmn04", classes=CLASSES)
    load_initial_model(model, "hf:me/sed")
    assert is_same(own, model.eval())
    config = BACKBONES.get("fmn04")(init="hf:me/sed@main")
    backbone = config.build()
    load_initial(backbone, config)
    assert all(map(torch.equal, backbone.state_dict().values(), own.backbone.state_dict().values()))
    check_places(["train.init_from=hf:me/sed", "backbone.init=hf:me/sed@main"], is_sweep=False)
    assert compose_run(["backbone=fmn04", "backbone.init=hf:me/sed@main"]).backbone.init == "hf:me/sed@main"
    assert compose_run(["backbone=fmn04", "train.teacher=hf:me/sed"]).train.teacher == ("hf:me/sed",)
    assert run("detect {d}/a.wav --model hf:me/sed").status == 0
    found = run("detect {d}/a.wav --model hf:me/sed --engine onnxruntime")
    assert (found.status, "onnxruntime computes the scores" in found.err) == (0, True)
    assert identify_model("hf:me/sed") == identify_model(str(run_folder / "model.safetensors"))


def test_revisions(pushed: Hub, run: Run, run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "result.json").write_bytes((run_folder / "result.json").read_bytes())
    torch.manual_seed(2)
    other = es.create_model("fmn04", classes=CLASSES).eval()
    es.save_model(other, folder / "model.safetensors")
    first = pushed.repos["me/sed"].branches["main"]
    assert run(f"models push {folder} me/sed --licence MIT --revision v2").status == 0
    assert is_same(es.load_model("hf:me/sed@v2"), other)
    assert not is_same(es.load_model(f"hf:me/sed@{first}"), other)
    error = run("models hf:me/sed@v3").err
    assert error == "efficient-sed: hf:me/sed@v3: no such revision; branches and tags are main, v2\n"


@pytest.mark.usefixtures("pushed")
def test_without_connection(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = es.load_model("hf:me/sed")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert is_same(model, es.load_model("hf:me/sed"))
    message = (
        "hf:me/other: HF_HUB_OFFLINE is set, and the cache does not hold it; type the same command once without it"
    )
    assert run("models hf:me/other").err == f"efficient-sed: {message}\n"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def fail(*_: object, **__: object) -> NoReturn:  # the library itself tries for half a minute
        raise errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    assert run("models hf:me/other").err.endswith(" does not answer; check the connection\n")


LOG_IN = "log in by `hf auth login` or set HF_TOKEN"
MISSING = f"no such repository, or a private one; check the name, or {LOG_IN}"
BAD_INPUT = {
    "missing": ("detect {d}/a.wav --model hf:me/gone", f"hf:me/gone: {MISSING}"),
    "private": ("models hf:me/private", f"hf:me/private: {MISSING}"),
    "gated": (
        "export hf:me/gated --format onnx",
        f"hf:me/gated: access has to be asked for at URL/me/gated; then {LOG_IN}",
    ),
    "no file": (
        "evaluate hf:me/empty data=synthetic",
        "hf:me/empty: holds no model.safetensors, which `efficient-sed models push` writes; it holds pytorch_model.bin",
    ),
    "no user": ("models hf:sed", "hf:sed: not a name on the hub; type hf:USER/NAME or hf:USER/NAME@REVISION"),
    "no right": (
        "models push RUN me/new --licence MIT",
        f"hf:me/new: URL refused with status 403; {LOG_IN}, with a token that may do this",
    ),
    "no licence": (
        "models push RUN me/new",
        "--licence is missing: a card names the licence of the weights, such as --licence MIT",
    ),
    "unknown licence": ("models push RUN me/new --licence WTF", 'ValueError: "license" must be one of mit, cc-by-4.0'),
    "no run": (
        "models push {d} me/new --licence MIT",
        "holds no result.json; give the folder of a finished run, such as runs/RUN",
    ),
    "revision in the name": (
        "models push RUN me/new@v2 --licence MIT",
        "me/new@v2: a branch to push to is given as --revision v2",
    ),
    "one word": ("models push RUN", "models push takes RUN and USER/NAME, got "),
    "other option": (
        "models --licence MIT",
        "--licence, --private, --revision and --onnx belong to: efficient-sed models push RUN USER/NAME",
    ),
}


@pytest.mark.parametrize(("typed", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input(
    hub: Hub, run: Run, run_folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, message: str
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.repos |= {"me/gated": Repo(gated=True), "me/private": Repo(private=True), "me/empty": Repo()}
    hub.repos["me/empty"].commit("main", {"pytorch_model.bin": b"x"})
    status, out, err = run(typed.replace("RUN", str(run_folder), 1))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message.replace("URL", hub.url) in err
    assert "me/new" not in hub.repos


def test_private_stays_private(hub: Hub, run: Run, run_folder: Path) -> None:
    hub.repos["me/open"] = Repo()
    error = run(f"models push {run_folder} me/open --licence MIT --private").err
    assert error.endswith("hf:me/open: is public; make it private in its settings, or leave out --private\n")
    assert hub.repos["me/open"].commits == Repo().commits


def test_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []
    monkeypatch.setenv("EFFICIENT_SED_HOME", str(tmp_path))
    monkeypatch.setenv("EFFICIENT_SED_MIRROR", "https://mirror.example/weights/")

    def download(url: str, _: Path, sha256: str | None) -> None:
        asked.append((url, sha256))
        raise cards.CheckpointError("no")

    monkeypatch.setattr(cards, "download", download)
    card = cards.get_card("fmn10_strong")
    with pytest.raises(cards.CheckpointError, match=r"fetched from EFFICIENT_SED_MIRROR=https://mirror\.example/w"):
        cards.find_weights(card)
    assert asked == [(f"https://mirror.example/weights/{card.file}", card.sha256)]
