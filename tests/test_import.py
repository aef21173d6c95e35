"""Looking at the package costs no import of torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import efficient_sed

HEAVY = ("torch", "numpy", "hydra", "pytorch_lightning", "soundfile", "timm", "numba")
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


def test_models_need_torch_and_torchaudio_alone() -> None:
    assert int(last_line(MODELS)) >= 12


def test_public_names_exist() -> None:
    assert len(efficient_sed.__all__) >= 6
    for name in efficient_sed.__all__:
        assert getattr(efficient_sed, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'laod_model'; it has: .*load_model"):
        efficient_sed.laod_model  # noqa: B018
