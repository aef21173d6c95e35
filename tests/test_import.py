"""Looking at the package costs no import of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import efficient_sed
import efficient_sed as es
from efficient_sed.export.write import export_model
from efficient_sed.models.sed import Provenance
from efficient_sed.postprocessing.carried import Postprocessing
from efficient_sed.postprocessing.change_points import ChangePoints
from efficient_sed.postprocessing.contract import Chain
from efficient_sed.postprocessing.hysteresis import Hysteresis
from efficient_sed.postprocessing.median import Median

HEAVY = ("torch", "numpy", "hydra", "pytorch_lightning", "soundfile", "timm", "numba", "huggingface_hub")
REPORT = f"\nimport sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
HELP = """
from efficient_sed.cli.main import main
try:
    main([{}'--help'])
except SystemExit as stop:
    assert stop.code == 0, stop.code
"""


NOT_FOR_MODELS = (
    *(
        "DCLS",
        "mamba_ssm",
        "causal_conv1d",
        "deepspeed",
        "wandb",
        "tensorboard",
        "hydra",
        "omegaconf",
        "pytorch_lightning",
        "lightning_fabric",
        "torchmetrics",
    ),
    *(
        "timm",
        "huggingface_hub",
        "torchvision",
        "matplotlib",
        "sed_scores_eval",
        "psds_eval",
        "pandas",
        "scipy",
        "numba",
        "h5py",
        "soundfile",
        "safetensors",
        "rich",
    ),
)
MODELS = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_FOR_MODELS}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import torch
import efficient_sed as es
from efficient_sed.registry import SEQUENCE_HEADS
count = 0
for head in SEQUENCE_HEADS.names():
    model = es.create_model("fmn04" if head == "none" else f"fmn04+{{head}}-64", num_classes=3).eval()
    count += model(torch.randn(1, 1, 128, 40)).frame_logits.shape == (1, 3, 10)
print(count)
"""


def last_line(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import efficient_sed",
        "import efficient_sed; dir(efficient_sed)",
        "import efficient_sed.config.run",
        HELP.format(""),
        HELP.format("'train', "),
    ],
    ids=["import", "dir", "schema", "--help", "train --help"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert last_line(code + REPORT) == "[]"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording, a model and the same exported."""
    folder = tmp_path_factory.mktemp("imports")
    soundfile.write(folder / "a.wav", 0.1 * np.random.default_rng(0).normal(size=16_000), 16_000)
    torch.manual_seed(0)
    model = es.create_model("fmn04", classes=["dog", "siren"])
    steps = Chain((Median(9),)), Chain((Hysteresis(0.5, 0.2, 0.2), ChangePoints()))
    model.provenance = Provenance(postprocessing=Postprocessing(*steps, (0.01, 0.01)).to_dict())
    es.save_model(model, folder / "m.safetensors")
    export_model(model, folder / "m.onnx", "m")
    return folder


NOT_TO_DETECT = (
    "numba", "scipy", "hydra", "omegaconf", "pytorch_lightning", "torchmetrics", "timm", "torchvision", "matplotlib",
    "pandas", "requests", "h5py", "yaml", "onnx", "sympy", "torch._dynamo",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        ("models", ("torch", "numpy", *NOT_TO_DETECT)),
        ("detect a.wav --model m.onnx", ("torch", "safetensors", *NOT_TO_DETECT)),
        ("listen a.wav --model m.onnx", ("torch", "safetensors", *NOT_TO_DETECT)),
        ("detect a.wav --model m.safetensors", ("onnxruntime", *NOT_TO_DETECT)),
    ],
    ids=["models", "detect exported", "listen exported", "detect"],
)
def test_a_command_imports_what_it_needs(here: Path, command: str, left_out: tuple[str, ...]) -> None:
    code = (
        f"import os, sys; os.chdir({str(here)!r}); from efficient_sed.cli.main import main; "
        f"assert main({command.split()}) == 0; print(sorted(set({left_out}) & set(sys.modules)))"
    )
    assert last_line(code) == "[]"


def test_models_need_torch_and_torchaudio_alone() -> None:
    assert int(last_line(MODELS)) >= 12


def test_public_names_exist() -> None:
    assert len(efficient_sed.__all__) >= 6
    for name in efficient_sed.__all__:
        assert getattr(efficient_sed, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'laod_model'; it has: .*load_model"):
        efficient_sed.laod_model  # noqa: B018
