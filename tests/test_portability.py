"""Without POSIX, as on Windows: every module is imported, the main commands run, and no open file is renamed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from efficient_sed.data.sets.synthetic import SyntheticConfig

WINDOWS = """
import builtins, multiprocessing, os, shutil

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"}
CALLS = ("pread", "pwrite", "getloadavg", "sched_getaffinity", "sched_setaffinity", "fork", "killpg", "fchmod", "nice")
imported, guarded = builtins.__import__, os.environ["GUARDED"]


def import_for_us(name, globals=None, *rest, **options):
    if name in MODULES and str((globals or {}).get("__name__")).startswith(("efficient_sed", "__mp_main__")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imported(name, globals, *rest, **options)


def closed_only(call):
    def checked(*paths, **options):
        for path in (os.path.realpath(os.fspath(path)) for path in paths):
            if path.startswith(guarded):
                handles = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
                names = [os.readlink(handle) for handle in handles if os.path.exists(handle)]
                names += [line.split(maxsplit=5)[-1].strip() for line in open("/proc/self/maps")]
                if any(name == path or name.startswith(path + os.sep) for name in names):
                    raise PermissionError(13, "another handle of this process has it open", path)
        return call(*paths, **options)

    return checked


builtins.__import__ = import_for_us
multiprocessing.set_start_method("spawn")
shutil._use_fd_functions = False
for name in ("replace", "rename", "unlink", "remove", "rmdir"):
    setattr(os, name, closed_only(getattr(os, name)))
for name in CALLS:
    delattr(os, name)
"""
COMMANDS = """
import importlib, pkgutil, sys
from pathlib import Path

root, folder, *data = sys.argv[1:]
small = ["benchmark.seconds=1", "benchmark.repeats=3", "benchmark.batches=[1]"]
train = ["backbone=fmn04", "seq=none", "train.epochs=1", "train.batch_size=2", "train.accelerator=cpu", *small]
run = [*data, *train]


def import_all():
    for module in pkgutil.walk_packages(efficient_sed.__path__, "efficient_sed."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert error.name == "deepspeed", error.name  # none of the required packages


def run_all():
    assert main(["sweep", *run, f"output_dir={folder}/runs", "--plot", f"{folder}/front.png"]) == 0
    (model,), audio = Path(folder).rglob("model.safetensors"), next(Path(root).glob("*/audio/test"))
    for command in (
        ["evaluate", str(model), *data],
        ["benchmark", "fmn04", "--seconds", "1", "--batch", "1", "--modes", "fused"],
        ["detect", str(audio), "--model", str(model), "--format", "json", "--output", f"{folder}/found.json"],
        ["data", "pack", *data, f"{folder}/packed.h5"],
        ["train", *run, f"output_dir={folder}/runs"],
        ["train", *train, "data=packed", f"data.root={folder}/packed.h5", "data.clip_seconds=3"]
        + [f"output_dir={folder}/runs"],
        ["pseudo-label", f"{folder}/teacher.h5", "--teacher", str(model), *data],
    ):
        assert main(command) == 0, command


if __name__ == "__main__":
    import efficient_sed
    from efficient_sed.cli.main import main

    import_all()
    run_all()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed in Linux's /proc")
@pytest.mark.usefixtures("tiny_data")
def test_without_posix(tiny_config: SyntheticConfig, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WINDOWS)
    (tmp_path / "commands.py").write_text(COMMANDS)
    keys = ("root", "num_train", "num_validation", "num_test", "scene_seconds", "clip_seconds", "num_workers")
    data = [f"data.{key}={getattr(tiny_config, key)}" for key in keys]
    folders = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders, "GUARDED": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "commands.py"), tiny_config.root, str(tmp_path / "out"), *data]
    (tmp_path / "out").mkdir()
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
