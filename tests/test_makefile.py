"""What `make` installs, with a Python that only writes down what it is asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAKE = """#!/bin/sh
if [ "$1" = -m ] && [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0; fi
if [ "$1" = -c ] && [ "$2" = "import torch" ]; then exit "${TORCH_STATUS:-1}"; fi
echo "$@" >> "$LOG"
case "$*" in *+cpu*) exit $CPU_STATUS;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/fake").write_text(FAKE)
    (tmp_path / "bin/fake").chmod(0o755)
    return tmp_path


def make(
    checkout: Path, target: str, *options: str, has_gpu: bool = False, cpu_status: int = 0
) -> tuple[str, list[str]]:
    """Output of make, and what pip was asked to install, line by line."""
    gpu, log = checkout / "bin/nvidia-smi", checkout / "log"
    if has_gpu:
        gpu.write_text("#!/bin/sh\n")
        gpu.chmod(0o755)
    log.write_text("")
    path = f"{checkout / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["make", f"PYTHON={checkout / 'bin/fake'}", *options, target],
        cwd=checkout,
        env={**os.environ, "PATH": path, "LOG": str(log), "CPU_STATUS": str(cpu_status)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, [line for line in log.read_text().splitlines() if "pip install" in line]


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
def test_a_machine_without_a_gpu_gets_a_torch_for_cpus(checkout: Path) -> None:
    output, installs = make(checkout, ".venv/bin/efficient-sed")
    versions = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch")
    )
    for package in ("torch", "torchaudio", "torchvision"):
        assert f" {package}=={versions[package]}+cpu" in installs[0]
    assert "torchmetrics" not in installs[0]
    assert installs[1].endswith("--editable .[plot,onnx]")
    assert "torch is the build for CPUs" in output
    assert "5.5 GB" in output


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
@pytest.mark.parametrize(
    ("options", "has_gpu", "cpu_status", "asked"),
    [
        ((), False, 1, True),  # the index has none: the ordinary one
        ((), True, 0, False),
        (("TORCH=cpu",), True, 0, True),
        (("TORCH=cuda",), False, 0, False),
    ],
)
def test_which_torch_is_asked_for(
    checkout: Path, options: tuple[str, ...], has_gpu: bool, cpu_status: int, asked: bool
) -> None:
    output, installs = make(checkout, ".venv/bin/efficient-sed", *options, has_gpu=has_gpu, cpu_status=cpu_status)
    assert any("+cpu" in line for line in installs) == asked
    assert installs[-1].endswith("--editable .[plot,onnx]")
    assert ("no torch for CPUs alone" in output) == (cpu_status != 0)


def test_a_torch_that_is_there_is_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_STATUS", "0")
    _, installs = make(checkout, ".venv/bin/efficient-sed", "TORCH=cpu")
    assert [line.endswith("--editable .[plot,onnx]") for line in installs] == [True]


def test_what_development_needs_is_installed_once_and_only_for_it(checkout: Path) -> None:
    _, first = make(checkout, ".venv/.development")
    assert first[-1].endswith("--editable .[eval,plot,dev,docs]")
    assert make(checkout, ".venv/.development")[1] == []
    assert make(checkout, ".venv/bin/efficient-sed")[1] == []
