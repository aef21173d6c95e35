"""The command line: what a user types wrong costs one line, and what is right prints what it should."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from damage import spoiled_flac
from rich.console import Console

import efficient_sed as es
from efficient_sed.benchmark.model_list import list_released
from efficient_sed.cli.main import main
from efficient_sed.cli.model_tables import released_table
from efficient_sed.data.events import Splits
from efficient_sed.data.sets.synthetic import SyntheticConfig
from efficient_sed.errors import DataError
from efficient_sed.inference import detect_files
from efficient_sed.models.weights.cards import list_cards
from efficient_sed.registry import SEQUENCE_HEADS

TSV = "filename\tonset\toffset\tevent_label\n"


class Output(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[[str], Output]


@pytest.fixture(scope="module")
def here(tiny_config: SyntheticConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths that the tables below speak of."""
    folder = tmp_path_factory.mktemp("cli")
    torch.manual_seed(0)
    es.save_model(es.create_model("fmn04", classes=["dog", "siren"]), folder / "model.safetensors")
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(folder / name, rng.normal(size=12_000) * 0.1, 16_000)
    (folder / "empty.wav").touch()
    soundfile.write(folder / "silent.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "long.flac", np.zeros(61 * 60 * 1000), 1000)
    (folder / "text.wav").write_text("this is not audio\n" * 100)
    (folder / "cut.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    (folder / "nothing").mkdir()
    (folder / "run.svg").mkdir()
    (folder / "table.csv").write_text("filename,onset,offset,event_label\n")
    (folder / "damaged" / "run").mkdir(parents=True)
    (folder / "damaged" / "run" / "result.json").write_text("{}")
    tables = {
        **{
            part: f"{TSV}{name}.wav\t0.1\t0.3\tdog\n"
            for part, name in (("train", "a"), ("validation", "b"), ("test", "c"))
        },
        "no_column": "filename\tonset\tevent_label\na.wav\t0\tdog\n",
        "reversed": TSV + "a.wav\t0.5\t0.2\tdog\n",
        "unknown_label": TSV + "a.wav\t0.1\t0.3\tdgo\n",
        "absent_audio": TSV + "absent.wav\t0.1\t0.3\tdog\n",
        "no_events": TSV + "a.wav\t\t\t\n",
        "empty_audio": TSV + "empty.wav\t0.1\t0.3\tdog\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.tsv").write_text(text)
    tiny = f"data.root={tiny_config.root} data.num_train=8 data.num_validation=4 data.num_test=4 data.scene_seconds=3 data.clip_seconds=3 data.num_workers=0"
    own = f"data=folder data.root={folder} data.audio=. data.classes=[dog,siren] data.num_workers=0"
    return {"d": str(folder), "model": f"{folder}/model.safetensors", "tiny": tiny, "own": own}


@pytest.fixture
def run(
    here: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.chdir(tmp_path)  # what goes to a default place goes there

    def call(typed: str) -> Output:
        status = main(typed.format(**here).split())
        return Output(status, *capsys.readouterr())

    return call


BAD = [
    ("train seq=tff", "unknown sequence head seq=tff; did you mean 'tf'?"),
    ("train backbone=fmn03", "unknown backbone backbone=fmn03; did you mean 'fmn"),
    ("train train.epoch=3", "unknown key train.epoch; did you mean 'epochs'?"),
    ("train seq=tf seq.hidden=250", "seq.hidden=250 is not allowed: it must be divisible by"),
    ("train epochs", "'epochs' is not key=value"),
    ("train epochs=5", "unknown key epochs=5; did you mean train.epochs=5?"),
    (
        "sweep data=folder data.root={d},{d}/absent",
        "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
    ),
    ("train experiment=audioset_strong data.root={d}/absent", "data.root={d}/absent: no such directory"),
    ("train {own} data.pseudo_labels={d}/absent.h5", "data.pseudo_labels={d}/absent.h5: no such file"),
    (
        "data check {own} data.train=absent_audio.tsv",
        "0 clips for training; 1 of the 1 audio files in its annotations are not below {d}: absent.wav",
    ),
    ("train ~model", "'~model' is not key=value"),
    ("train seq.hidden=64,128", "a list of alternatives is for `sweep`"),
    (
        "train data=folder +data.root={d}/absent",
        "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
    ),
    (
        "train experiment=table1_fmn10_no_kd data.root={d}/absent",
        "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
    ),
    (
        "train data=folder data.root={d}/absent",
        "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
    ),
    ("train {own} data.audio=absent", "{d}/absent: no such directory of audio files"),
    ("train {own} data.train=absent.tsv", "{d}/absent.tsv: no such annotation file"),
    (
        "train {own} data.train=no_column.tsv",
        "{d}/no_column.tsv: column 'offset' is missing; found: filename, onset, event_label",
    ),
    ("train {own} data.train=reversed.tsv", "{d}/reversed.tsv:2: onset=0.5 must be at least 0 and before offset=0.2"),
    (
        "train {own} data.train=unknown_label.tsv",
        "label 'dgo' in the annotations is not in the class list; did you mean 'dog'?",
    ),
    ("train {own} data.train=absent_audio.tsv", "absent.wav: no such audio file"),
    ("train {own} data.train=empty_audio.tsv", "empty.wav: the audio file is empty (0 bytes)"),
    ("train {tiny} output_dir={d}/a.wav/runs", "output_dir={d}/a.wav/runs: cannot be written"),
    ("train {tiny} backbone=fmn06 backbone.init={model}", "holds fmn04, the run's backbone is fmn06"),
    ("train data.root={d}/a.wav/data", "data.root={d}/a.wav/data: cannot be written"),
    ("sweep seq=tf,gru seq.hidden=64,250", "seq.hidden=250 is not allowed: it must be divisible by"),
    ("sweep {tiny} --launcher slrum", "unknown launcher 'slrum'; did you mean 'slurm'? allowed: local, ray, slurm"),
    ("sweep {tiny} launcher.jobs=0", "launcher.jobs=0 is not allowed: 1 or more"),
    ("sweep {tiny} launcher.gpus=1", "unknown key launcher.gpus=1; allowed: jobs"),
    ("sweep {tiny} --launcher slurm launcher.hours=long", "launcher.hours='long' must be a finite number"),
    ("sweep {tiny} --launcher slurm launcher.cpus=2,4", "launcher.cpus=2,4: a sweep takes one value here"),
    ("sweep {tiny} output_dir={d}/a.wav/runs", "output_dir={d}/a.wav/runs: cannot be written"),
    ("evaluate fmn10+tf-256 {tiny}", "'fmn10+tf-256' names no weights: give a file"),
    (
        "detect {d}/a.wav --model fmn10",
        "'fmn10' names no weights: give a file, such as runs/RUN/model.safetensors, or a released name; the nearest: ",
    ),
    ("benchmark fmn04_strnog", "no released weights are called 'fmn04_strnog'; the nearest: fmn04_strong"),
    ("evaluate {d}/absent.safetensors {tiny}", "{d}/absent.safetensors: no such checkpoint file"),
    ("evaluate {d}/cut.safetensors {tiny}", "{d}/cut.safetensors: damaged or not a safetensors file"),
    ("evaluate {model} {tiny}", "model and data set have different class lists"),
    ("benchmark fmn04 fmn4", "'fmn4' is not a model name: unknown backbone 'fmn4'; did you mean 'fmn04'?"),
    ("benchmark fmn04+tf-250", "seq.hidden=250 is not allowed"),
    ("benchmark {d}/absent.pt", "{d}/absent.pt: no such checkpoint file"),
    ("benchmark {model} --batch 0", "--batch 0 is not allowed: 1 or more each"),
    ("benchmark {model} --batch a", "--batch a: not a list of whole numbers such as 1,8,64"),
    ("benchmark {model} --batch=", "--batch '': not a list of whole numbers such as 1,8,64"),
    ("benchmark {model} --batch 2,2", "--batch 2,2 is not allowed: none twice"),
    ("benchmark {model} --modes eager,eager", "--modes eager,eager is not allowed: none twice"),
    ("benchmark {model} --precision fp32,bf16,fp32", "--precision fp32,bf16,fp32 is not allowed: none twice"),
    ("benchmark {model} --modes=", "--modes '' is not allowed; "),
    ("benchmark {model} --precision=", "--precision '' is not allowed; "),
    ("benchmark {model} --modes fast", "--modes 'fast' is not allowed; "),
    ("benchmark {model} --precision fp8", "--precision 'fp8' is not allowed; "),
    ("benchmark {model} --threads 0", "--threads 0 is not allowed: 1 or more"),
    ("benchmark {model} --processes 0", "--processes 0 is not allowed: 1 or more"),
    ("benchmark {model} --batch 1 --csv {d}/a.wav/x.csv", "{d}/a.wav/x.csv: cannot be written"),
    ("benchmark {model} --batch 1 --csv {d}/test.tsv", "{d}/test.tsv: its columns are not those of a benchmark"),
    ("plot {d}/nothing", "no finished run below {d}/nothing; train one with: make sweep"),
    ("plot {d}/absent", "no finished run below {d}/absent"),
    ("plot {d}/damaged", "{d}/damaged/run/result.json: damaged ("),
    ("detect {d}/a.wav --model fmn10_stronk", "no released weights are called 'fmn10_stronk'"),
    (
        "detect {d}/a.wav --model {d}/text.wav",
        "{d}/text.wav: a file of another kind, and no model; a checkpoint ends in .safetensors, .pt, .ckpt",
    ),
    ("detect {d}/a.wav --model {d}", "{d}: a folder, and no model; give the file in it, {d}/model.safetensors"),
    ("detect {d}/text.wav --model {model}", "{d}/text.wav: not readable as audio"),
    ("detect {d}/empty.wav --model {model}", "{d}/empty.wav: the audio file is empty (0 bytes)"),
    ("detect {d}/silent.wav --model {model}", "{d}/silent.wav: the audio file is empty (0 samples)"),
    ("detect {d}/c.wav {d}/a.wav --plot x.png --model {model}", "--plot draws one file, got 2"),
    ("detect {d}/a.wav --threshold 2 --model {model}", "--threshold 2.0 is not allowed"),
    ("detect {d}/a.wav --output {d}/b.wav/x.tsv --model {model}", "--output {d}/b.wav/x.tsv: cannot be written"),
    ("detect {d}/a.wav {d}/b.wav --plot x.png --model {model}", "--plot draws one file, got 2"),
    (
        "detect {d}/a.wav {d}/b.wav --format audacity --model {model}",
        "--format audacity writes a file for each recording, got 2; give a folder as --output DIR",
    ),
    (
        "detect {d}/a.wav --format npz --model {model}",
        "--format npz writes a file for each recording, got 1; give a folder as --output DIR",
    ),
    (
        "detect {d}/a.wav {d}/b.wav --format jams --output {d}/text.wav --model {model}",
        "--output {d}/text.wav: --format jams writes a file for each recording into a folder",
    ),
    (
        "detect {d}/a.wav --format tsv --output {d} --model {model}",
        "--output {d}: a folder; --format tsv writes one file, such as --output {d}/events.tsv",
    ),
    ("detect {d}/a.wav --jobs 0 --model {model}", "--jobs 0 is not allowed: 1 or more processes"),
    ("detect {d}/a.wav --median 4 --model {model}", "--median 4 is not allowed"),
    (
        "detect {d}/a.wav --median 99999999999 --model {model}",
        "--median 99999999999 is not allowed: an odd number of frames, at most 9999",
    ),
    ("detect - {d}/a.wav --model {model}", "- stands for one recording on the standard input; got 2 files"),
    ("detect {d}/a.wav --plot a.pdf --model {model}", "--plot a.pdf is not allowed: a file that ends in .png"),
    ("detect {d}/a.wav --plot a.png --model m.onnx", "--plot needs the spectrogram, which m.onnx keeps to itself"),
    ("listen --model m.onnx", "m.onnx: no such file"),
    (
        "detect {d}/a.wav --model {model} --engine openvino",
        "--engine openvino runs exported models, and {model} is none",
    ),
    (
        "evaluate fmn04_synthetic data=synthetic --engine openvino",
        "--engine openvino runs exported models, and fmn04_synthetic is none",
    ),
    ("benchmark fmn04 --engine openvino", "--engine openvino runs exported models (.onnx), and fmn04 is none"),
    ("benchmark m.onnx fmn04", "m.onnx is an exported model and fmn04 is none; measure them one after the other"),
    (
        "benchmark {model} --device gpu",
        "--device gpu is not allowed: this machine has no GPU that torch can use; give --device cpu",
    ),
    ("benchmark m.onnx --device cpu", "--device is not for exported models"),
    ("benchmark m.onnx --batch 4", "--batch is not for exported models"),
    ("benchmark m.onnx --threads 999", "--threads 999 is not allowed: this process may use 1 to "),
    ("benchmark m.onnx", "m.onnx: no such file"),
    (
        "export fmn04_synthetic --format onnx --precision int8",
        "--precision int8 is kept only with its score: name the data",
    ),
    ("export fmn04_synthetic --format onnx --engine openvino", "--engine belongs to --precision"),
    ("export fmn04_synthetic --format onnx data=synthetic", "data=synthetic belongs to --precision"),
    (
        "export fmn04_synthetic --format onnx --precision int8 --input mel data=synthetic",
        "--input mel is not allowed with --precision",
    ),
    ("export fmn04_synthetic --format onnx --precision fp16 --threads 0 data=synthetic", "--threads 0 is not allowed"),
    (
        "export fmn04_synthetic --format onnx --precision fp16 data=synthetic --output {d}/a.wav/x.onnx",
        "{d}/a.wav/x.onnx: cannot be written",
    ),
    (
        "export {model} --format onnx --precision fp16,int8-head data=synthetic",
        "no matrix of the sequence head becomes int8",
    ),
    (
        "export fmn04_synthetic --format onnx --precision int7 data=synthetic",
        "precision 'int7' is not known; did you mean 'int8'?",
    ),
    ("export fmn04_synthetic --format onnx --precision int8 --engine tvm data=synthetic", "no engine 'tvm'; allowed: "),
    ("plot --published --device row.json", "--device is about runs; leave --published out"),
    ("detect {d}/nothing --model {model}", "{d}/nothing: no audio in this folder; files that end in .wav, .wave, .bwf"),
    (
        "detect {d}/a.wav --format tsv --output {d}/a.wav --model {model}",
        "--output {d}/a.wav: is one of the recordings, and would be lost",
    ),
    *(
        (
            f"detect {{d}}/a.wav {option} {{d}}/{file} --model {{model}}",
            f"{option.split()[-1]} {{d}}/{file}: cannot be written (another file is there already; give another name, or delete it)",
        )
        for option, file in (
            ("--output", "train.tsv"),
            ("--format json --output", "model.safetensors"),
            ("--format rttm --output", "train.tsv"),
            ("--format audacity --output", "b.wav"),
            ("--format jams --output", "b.wav"),
        )
    ),
    (
        "sweep {tiny} --plot {d}/table.png",
        "--plot {d}/table.png: {d}/table.csv cannot be written (another file is there already; give another name, or delete it)",
    ),
    (
        "sweep {tiny} --plot {d}/a.wav/x.png",
        "--plot {d}/a.wav/x.png: {d}/a.wav/x.png cannot be written (Not a directory)",
    ),
    (
        "plot --published --output {d}/nothing/../run.png",
        "--output {d}/nothing/../run.png: {d}/nothing/../run.svg cannot be written (Is a directory)",
    ),
    ("plot {d} --output x.pdf", "--output x.pdf is not allowed: PNG and SVG are drawn, such as x.png"),
    ("sweep sweep", "unknown grid sweep; "),
    ("sweep launcher=slurm", "launcher=slurm: the launcher is an option: --launcher slurm"),
    ("sweep launcher.partition=gpu", "unknown key launcher.partition='gpu'; "),
    ("sweep seq=gru seq.hidden=64,1000000 {tiny}", "seq.hidden=1000000 is not allowed: 1 to 8192"),
    ("train seq=tf seq.hidden=1000000 {tiny}", "seq.hidden=1000000 is not allowed: at most 8192"),
    ("train seq=tf seq.num_heads=100000000 {tiny}", "seq.num_heads=100000000 is not allowed: 1 to 256"),
    ("train seq=dilated seq.dilation=1000000000 {tiny}", "seq.dilation=1000000000 is not allowed: 1 to 10000 steps"),
    ("train train.epochs=1000000000000 {tiny}", "train.epochs=1000000000000 is not allowed: 1 to 1000000"),
    ("train seq=gru seq.num_layers=1000000 {tiny}", "seq.num_layers=1000000 is not allowed: 1 to 100"),
    ("train {own} data.num_workers=100000", "data.num_workers=100000 is not allowed: 0 to 256"),
    ("train data.num_train=100000000000000", "data.num_train=100000000000000 is not allowed: 1 to 1000000 scenes"),
    ("train data.scene_seconds=1e12", "data.scene_seconds=1e+12 is not allowed: 3 to 3600 seconds"),
    ("train {own} output_dir=", "output_dir= is not allowed: the name of a folder, such as runs"),
    ("train {own} experiment=smoke", "unknown key data.num_train=48; "),
    ("train {own} data.train=nothing", "{d}/nothing: a folder, and no annotation file"),
    (
        "train {own} data.train=no_events.tsv",
        "the train part of data=folder holds no event, so there is nothing to learn",
    ),
    ("benchmark fmn04 --seconds 1e9", "--seconds 1e+09 is not allowed: 0.5 to 3600 seconds"),
    (
        "benchmark fmn04 --batch 100000000",
        "out of memory; give a smaller size or batch, shorter clips, or a smaller model",
    ),
    ("benchmark fmn04+gru-100000000", "seq.hidden=100000000 is not allowed: 1 to 8192"),
    ("evaluate {model} {own} train.epochs=3", "train.epochs=3: evaluate takes the model as it is; allowed: "),
    ("export m.onnx --format onnx", "m.onnx: is exported already; give the model that it was made from"),
    (
        "detect {d}/a.wav {d}/b.wav --report x.html --model {model}",
        "--report is about one file, got 2; give them one at a time",
    ),
    ("detect {d}/a.wav --report a.pdf --model absent.onnx", "--report a.pdf is not allowed: a file that ends in .html"),
    (
        "detect {d}/long.flac --report a.html --model absent.onnx",
        "a report holds 60 minutes of sound, and the recording has 61.0; cut it, or take --format npz for its scores",
    ),
    (
        "detect {d}/a.wav --output a.tsv --report {d}/b.wav/x.html --model {model}",
        "{d}/b.wav/x.html: cannot be written",
    ),
    ("listen --microphone --channels 2", "--channels and --samples are for the standard input"),
    (
        "listen --rate 44101 --model {model}",
        "--rate 44101 is not allowed: one that can be turned into the model's 16000",
    ),
    ("listen --channels 0", "--channels 0 is not allowed: 1 or more"),
    ("listen --hop 20 --model {model}", "--hop 20 is not allowed: 0.04 s, a frame of the model, to 10 s, its window"),
    ("models fmn10_stronk", "no model matches 'fmn10_stronk'; the nearest: fmn10_strong, "),
    ("models xyz*", "no model matches 'xyz*'; `efficient-sed models` lists all"),
    ("models fmn10 fmn20", "models takes one PATTERN, got 'fmn10 fmn20'"),
    ("models --hidden 64", "--hidden 64 belongs to: efficient-sed models --composable"),
    ("models --composable --hidden 64,x", "--hidden 64,x: 'x' is not a whole number from 1 to 8192"),
    ("models --composable --sort score", "--sort score: composable models have random weights"),
    ("models fmn04+tf* --composable --hidden 250", "seq.hidden=250 is not allowed"),
    ("models fmn10 --half", "--name, --half and --force belong to: efficient-sed models convert"),
    ("models convert", "models convert takes IN and OUT.safetensors, got neither"),
    ("models convert {model} --json x.safetensors", "models convert takes --name, --half and --force"),
    ("models convert {model} x.pt", "x.pt: models are written as .safetensors files; name it x.safetensors"),
    ("models convert {model} {model}", "{model}: is there already; give another name, or --force"),
    ("models convert {d}/absent.pt x.safetensors", "{d}/absent.pt: no such checkpoint file"),
    ("models convert {d}/text.wav x.safetensors", "{d}/text.wav: not a checkpoint of plain tensors"),
    ("models convert {d}/cut.safetensors x.safetensors", "{d}/cut.safetensors: damaged or not a safetensors file"),
    ("models convert {model} x.safetensors --name fmn4", "'fmn4' is not a model name"),
    (
        "models convert {model} x.safetensors --name fmn04_strong",
        "--name fmn04_strong: give the architecture alone, fmn04",
    ),
    ("models convert {model} {d}/a.wav/x.safetensors", "{d}/a.wav/x.safetensors: cannot be written"),
    ("verify fmn10_stronk --data synthetic", "no released weights are called 'fmn10_stronk'"),
    ("verify fmn10_strong synthetic --data synthetic", "'synthetic' is not key=value"),
    ("verify fmn10_strong --data {d}/absent", "--data {d}/absent: neither a directory nor a data set"),
    ("verify fmn10_strong --data synthetic train.epochs=5", "train.epochs=5: verify scores as the card was scored"),
    ("data check data=foldr", "unknown data set data=foldr; did you mean 'folder'?"),
    ("data check {own} data.test=reversed.tsv", "{d}/reversed.tsv:2: onset=0.5"),
]


@pytest.mark.parametrize(("typed", "words"), BAD, ids=[row[0] for row in BAD])
def test_mistakes(run: Run, here: dict[str, str], typed: str, words: str) -> None:
    status, out, err = run(typed)
    assert (status, out) == (2, "")
    assert err.startswith("efficient-sed: ")
    assert err.count("\n") == 1
    assert words.format(**here) in err


USAGE = [
    ("", "the following arguments are required: COMMAND"),
    ("trian", "invalid choice: 'trian'"),
    ("train --quite", "--quite"),
    ("detect", "the following arguments are required: FILE"),
    ("detect a.wav --threshold loud", "argument --threshold: invalid float value: 'loud'"),
    ("detect a.wav --format cvs", "argument --format: invalid choice: 'cvs'"),
    ("models --sort size", "argument --sort: invalid choice: 'size'"),
    ("verify fmn10_strong", "the following arguments are required: --data"),
    ("data chek", "invalid choice: 'chek'"),
    ("evaluate", "the following arguments are required: model"),
]


@pytest.mark.parametrize(("typed", "words"), USAGE, ids=[row[0] for row in USAGE])
def test_usage(run: Run, capsys: pytest.CaptureFixture[str], typed: str, words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run(typed)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"efficient-sed[^\n]*\n", err)
    assert words in err
    assert out == ""


@pytest.mark.parametrize("typed", ["train seq=tff", "detect {d}/text.wav --model {model}", "plot {d}/damaged"])
def test_mistakes_in_a_process(here: dict[str, str], tmp_path: Path, typed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "efficient_sed", *typed.format(**here).split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"efficient-sed: [^\n]+\n", done.stderr), done.stderr


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(run: Run, here: dict[str, str]) -> None:
    status, out, err = run("detect {d}/a.wav {d}/absent.wav {d}/empty.wav {d}/b.wav --format tsv --model {model}")
    assert status == 2
    assert {line.split("\t")[0] for line in out.splitlines()[1:]} == {f"{here['d']}/a.wav", f"{here['d']}/b.wav"}
    assert (
        err
        == "efficient-sed: {d}/absent.wav: no such audio file\nefficient-sed: {d}/empty.wav: the audio file is empty (0 bytes)\n".format(
            **here
        )
    )


def test_all_that_cannot_be_read_is_named(run: Run, here: dict[str, str]) -> None:
    for options in ("", "--plot x.png", "--format npz --output out"):
        assert run(f"detect {{d}}/absent.wav {options} --model {{model}}") == (
            2,
            "",
            f"efficient-sed: {here['d']}/absent.wav: no such audio file\n",
        )
    status, out, err = run("detect {d}/absent.wav {d}/empty.wav --model {model}")
    assert (status, out, err.count("\n")) == (2, "", 2)


def test_standard_output_by_its_name(here: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("mine\n")
    command = [
        sys.executable,
        "-m",
        "efficient_sed",
        "detect",
        f"{here['d']}/a.wav",
        "--model",
        here["model"],
        "--format",
        "tsv",
        "--output",
        "/dev/stdout",
    ]
    with log.open("a") as file:
        subprocess.run(command, stdout=file, check=True)
    assert log.read_text().startswith("mine\nfilename\tonset\t")


@pytest.mark.parametrize("format_", ["tsv", "json", "rttm", "jams"])
def test_results_take_the_place_of_results(run: Run, tmp_path: Path, format_: str) -> None:
    for threshold in (0.05, 0.999999, 0.05):  # without an event in between
        assert (
            run(
                f"detect {{d}}/a.wav --model {{model}} --threshold {threshold} --format {format_} --output out.txt --plot out.png --report out.html"
            ).status
            == 0
        )
    first = (tmp_path / "out.txt").read_text()
    (tmp_path / "there").write_text(f"mine\n{first}")
    assert run(f"detect {{d}}/a.wav --model {{model}} --format {format_} --output there").status == 2
    assert (tmp_path / "there").read_text() == f"mine\n{first}"


def visible(folder: Path) -> dict[str, int]:
    """Files of a folder and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize(("format_", "suffix"), [("audacity", ".txt"), ("jams", ".jams"), ("npz", ".npz")])
def test_a_folder_of_results_is_gone_on_with(run: Run, tmp_path: Path, format_: str, suffix: str) -> None:
    command = f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} --format {format_} --output out"
    assert (
        run(f"detect {{d}}/a.wav --model {{model}} --format {format_} --output out/").status == 0
    )  # as if stopped before the second
    first = visible(tmp_path / "out")
    assert run(f"{command} --jobs 2") == (
        0,
        "",
        "wrote 1 files into out; 1 were finished before (--overwrite makes them anew)\n",
    )
    both = visible(tmp_path / "out")
    assert {name: both[name] for name in first} == first
    assert sorted(both) == [f"a{suffix}", f"b{suffix}"]
    assert run(command) == (0, "", "wrote 0 files into out; 2 were finished before (--overwrite makes them anew)\n")
    assert visible(tmp_path / "out") == both
    assert run(f"{command} --overwrite").err == "wrote 2 files into out\n"
    assert all(written > both[name] for name, written in visible(tmp_path / "out").items())


def test_results_are_not_mixed(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    """Other options, another model, another recording of that name, a file of somebody else: each is said, and nothing written."""
    shutil.copy(here["model"], tmp_path / "other.safetensors")
    (tmp_path / "d").mkdir()
    shutil.copy(f"{here['d']}/b.wav", tmp_path / "d" / "a.wav")
    base = "--format audacity --output out"
    assert run(f"detect {{d}}/a.wav --model {{model}} {base}").status == 0
    before = visible(tmp_path / "out")
    (tmp_path / "out" / "b.txt").write_text("1\t2\tmine\n")
    advice = "; give another folder as --output DIR, or --overwrite to make it anew\n"
    for command, reason in (
        (
            f"detect {{d}}/a.wav --model {{model}} {base} --threshold 0.3",
            "out/a.txt: was made with threshold=0.5, now 0.3",
        ),
        (
            f"detect {{d}}/a.wav --model {{model}} {base} --median 1",
            "out/a.txt: was made with median_frames=None, now 1",
        ),
        (f"detect {{d}}/a.wav --model other.safetensors {base}", "out/a.txt: was made with model=model.safetensors ("),
        (
            f"detect d/a.wav --model {{model}} {base}",
            "out/a.txt: was made of another recording, or of this one before it was changed",
        ),
        (
            f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} {base}",
            "out/b.txt: is there already, and not known to be a result of detect",
        ),
    ):
        status, _, err = run(command)
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith(f"efficient-sed: --output {reason}")
        assert err.endswith(advice)
        assert visible(tmp_path / "out").items() >= before.items()
    assert (tmp_path / "out" / "b.txt").read_text() == "1\t2\tmine\n"
    assert (
        run(f"detect {{d}}/b.wav --model {{model}} {base} --threshold 0.3 --overwrite").status == 0
    )  # each result has options of its own
    assert run(f"detect {{d}}/a.wav --model {{model}} {base}").err.startswith(
        "wrote 0 files into out; 1 were finished before"
    )
    for model in ("typo", "absent.onnx", "absent.safetensors", "mn10_im"):
        assert run(f"detect {{d}}/a.wav --model {model} --format audacity --output out2/").status == 2
        assert not (tmp_path / "out2").exists()
    (tmp_path / "out" / ".detect-audacity.json").write_text("{}")
    assert "damaged" in run(f"detect {{d}}/a.wav --model {{model}} {base}").err


def test_overwriting_that_was_stopped_is_gone_on_with(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of before is no result of the new options."""
    command = "detect {d}/a.wav {d}/b.wav --model {model} --format audacity --output out"
    assert run(command).status == 0
    before = visible(tmp_path / "out")
    detect_one, listened = detect_files.detect_one, []

    def interrupted(recording: detect_files.Recording, *rest: Any) -> detect_files.Found:
        listened.append(recording.name)
        if len(listened) == 2:
            signal.raise_signal(signal.SIGTERM)
        return detect_one(recording, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(detect_files, "detect_one", interrupted)
        status, _, err = run(f"{command} --threshold 0.05 --overwrite")
    assert (status, err) == (143, "efficient-sed: stopped by SIGTERM; what is finished is kept\n")
    assert visible(tmp_path / "out")["b.txt"] == before["b.txt"]
    assert run(f"{command} --threshold 0.05").err.startswith("wrote 1 files into out; 1 were finished before")
    assert visible(tmp_path / "out")["b.txt"] > before["b.txt"]


def test_detect_in_all_formats(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    command = "detect {d}/a.wav --model {model} --threshold 0.05 "
    expected = [
        (round(event.onset_s, 6), round(event.offset_s, 6), event.label)
        for event in es.detect(here["d"] + "/a.wav", here["model"], 0.05)
    ]
    assert expected
    for format_, read in {
        "tsv": lambda text: [
            (float(r["onset"]), float(r["offset"]), r["event_label"])
            for r in csv.DictReader(text.splitlines(), delimiter="\t")
        ],
        "json": lambda text: [(e["onset_s"], e["offset_s"], e["label"]) for e in json.loads(text)[0]["events"]],
        "audacity": lambda text: [
            (float(on), float(off), label) for on, off, label in (line.split("\t") for line in text.splitlines())
        ],
    }.items():
        status, out, err = run(command + f"--format {format_}")
        assert (status, err) == (0, "")
        assert read(out) == expected
        assert run(command + f"--format {format_} --output events.{format_}") == (0, "", "")
        assert (tmp_path / f"events.{format_}").read_text() == out
    status, out, _ = run(command)
    assert status == 0
    assert all(label in out for _, _, label in expected)


def test_detect_draws(run: Run, tmp_path: Path) -> None:
    assert run("detect {d}/a.wav --model {model} --plot picture.png").status == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("jobs", [1, 2])
def test_detect_reports(run: Run, here: dict[str, str], tmp_path: Path, jobs: int) -> None:
    status, out, _ = run(
        f"detect {{d}}/a.wav --model {{model}} --threshold 0.05 --format tsv --report page.html --jobs {jobs}"
    )
    assert (status, out.count("\n") > 1) == (0, True)
    (data,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "page.html").read_text(), re.DOTALL)
    told = json.loads(data)
    assert [told[key] for key in ("name", "model", "threshold", "hop", "duration")] == [
        f"{here['d']}/a.wav",
        here["model"],
        0.05,
        0.04,
        0.75,
    ]
    assert set(told["classes"]) >= {row["event_label"] for row in csv.DictReader(out.splitlines(), delimiter="\t")}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_name_on_a_stream_of_any_encoding(
    here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["Straße.wav", "日本.wav"]
    undecodable = os.fsdecode(b"\xff.wav")
    for name in (*names, undecodable):
        shutil.copy(f"{here['d']}/a.wav", name)

    def printed(*words: str) -> str:
        stream = io.BytesIO()
        for which in ("stdout", "stderr"):
            monkeypatch.setattr(
                sys, which, io.TextIOWrapper(stream if which == "stdout" else io.BytesIO(), encoding=encoding)
            )
        assert main(["detect", *words, "--model", here["model"]]) == 0
        sys.stdout.flush()
        return stream.getvalue().decode(encoding)

    for output_format in ("table", "tsv", "rttm", "json"):
        text = printed(*names, "--threshold", "0.01", "--format", output_format)
        assert all(
            word in text for word in (("\\xdf", "\\u65e5") if encoding == "ascii" and output_format != "json" else ())
        ), text
    assert [Path(entry["file"]).name for entry in json.loads(text)] == names
    for output_format in ("audacity", "jams"):
        printed(*names, "--format", output_format, "--output", "out")
        json.loads(printed(names[1], "--format", "jams"))
    assert json.loads(printed(undecodable, "--plot", "a.png", "--format", "json"))


def test_the_backend_of_a_notebook_is_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("module://matplotlib_inline.backend_inline", "TkAgg", "nonsense", ""):
        monkeypatch.setenv("MPLBACKEND", backend)
        with pytest.raises(SystemExit):
            run("--version")
        assert os.environ["MPLBACKEND"] == "Agg"
    command = [sys.executable, "-m", "efficient_sed", "plot", "--published", "--output", "p.png"]
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONIOENCODING": "ascii"}
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "typed",
    [
        "{tiny} backbone=fmn06 backbone.init={model}",
        "{tiny} train.precision=16-mixed train.accelerator=cpu",
        "{tiny} train.teacher={model}",
    ],
)
def test_a_failed_start_leaves_no_folder(run: Run, typed: str) -> None:
    assert run(f"train {typed} output_dir=new/runs train.epochs=1 --quiet").status == 2
    assert not Path("new").exists()


@pytest.mark.parametrize("before", [None, "0,1"])
def test_gpus_are_hidden_while_it_trains_on_a_cpu(
    before: str | None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def look(*_: Any, **__: Any) -> None:
        seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
        raise DataError("enough seen")

    monkeypatch.setattr("efficient_sed.experiment.run.run_experiment", look)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    assert run("train backbone=fmn04 train.accelerator=cpu").status == 2
    assert (seen, os.environ.get("CUDA_VISIBLE_DEVICES")) == ([""], before)


def test_show_config(run: Run) -> None:
    status, out, err = run("train seq=gru --show-config seq.hidden=64 train.epochs=7")
    config = json.loads(out)
    assert (status, err) == (0, "")
    assert config["seq"] == {"name": "gru", "hidden": 64, "num_layers": 2}
    assert config["train"]["epochs"] == 7


def test_train_evaluate_plot(run: Run, tmp_path: Path) -> None:
    typed = "train {tiny} backbone=fmn04 seq=none train.epochs=1 train.batch_size=4 train.accelerator=cpu benchmark.repeats=3 benchmark.batches=[1] benchmark.seconds=1 --quiet"
    status, out, _ = run(typed)
    assert status == 0
    assert "fmn04" in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"everything about this run: runs/{folder.name}" in out
    result = json.loads((folder / "result.json").read_text())
    status, out, _ = run(f"evaluate {folder}/model.safetensors {{tiny}} train.batch_size=2")
    assert status == 0
    assert json.loads(out) == {
        "model": f"{folder}/model.safetensors",
        "part": "test",
        "data": result["data"],
        **result["metrics"],
    }
    assert json.loads(run(f"evaluate {folder}/best.ckpt {{tiny}} --part validation").out)["part"] == "validation"
    status, out, _ = run("plot")
    assert status == 0
    assert "fmn04" in out
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "frontier.csv",
        "frontier.html",
        "frontier.png",
        "frontier.svg",
    ]
    status, _, err = run(f"plot --output {folder}/result.json/frontier.png")
    assert status == 2
    assert err.count("\n") == 1


def test_data_check(run: Run, tiny_data: Splits) -> None:
    status, out, err = run("data check {tiny}")
    assert (status, err) == (0, "")
    assert f"manifest hash {tiny_data.manifest_hash}; unreadable files: 0" in out
    assert "8 clips" in out
    for label in tiny_data.classes:
        total = [
            sum(event.label == label for clip in part for event in clip.events)
            for part in (tiny_data.train, tiny_data.validation, tiny_data.test)
        ]
        (line,) = [line for line in out.splitlines() if re.search(rf"\b{label}\b", line)]
        assert [int(number) for number in re.findall(r"\d+", line)] == total


def test_data_check_names_what_is_damaged(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    cut = Path(here["d"]) / "cut" / "cut.flac"
    cut.parent.mkdir()
    cut.write_bytes(spoiled_flac(1.0))
    (tmp_path / "cut.tsv").write_text(TSV + "cut/cut.flac\t0.1\t0.3\tdog\n")
    status, out, err = run(f"data check {{own}} data.validation={tmp_path}/cut.tsv")
    assert status == 1
    assert "unreadable files: 1" in out
    assert err.startswith(f"efficient-sed: {cut}: damaged audio")
    assert err.count("\n") == 1


def test_models(run: Run) -> None:
    status, out, err = run("models")
    assert (status, err) == (0, "")
    assert all(
        re.search(rf"^{re.escape(name)} +{card.task} ", out, re.MULTILINE) for name, card in list_cards().items()
    )
    assert [line.split()[-1] for line in out.splitlines() if "_synthetic" in line] == ["yes"] * 3
    assert json.loads(run("models --json").out) == es.list_models()


def test_models_at_eighty_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(released_table(list_released()))
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in list_cards())


def test_output_on_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "efficient_sed", "models", "fmn04_synthetic"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "efficient-sed: a file: No space left on device\n")


@pytest.mark.parametrize(("key", "sign"), [("name", 1), ("params", 1), ("macs", 1), ("score", -1)])
def test_models_sorted(run: Run, key: str, sign: int) -> None:
    rows = json.loads(run(f"models fmn?0* --sort {key} --json").out)["released"]
    values = [row["scores"][0]["value"] if key == "score" else row[key] for row in rows]
    assert len(values) == 26
    assert values == sorted(values)[::sign]


def test_models_by_pattern(run: Run) -> None:
    assert [line.split()[0] for line in run("models fmn10*weak").out.splitlines()[2:3]] == ["fmn10_weak"]
    card = run("models fmn10+tf-256_strong").out
    assert all(
        words in card
        for words in (
            "5,028,286",
            "0.4386 on AudioSet Strong evaluation part",
            "16,935 clips, 407 classes",
            "https://arxiv.org/abs/2503.11373",
            "MIT",
        )
    )


def test_a_manifest_replaces_nothing_else(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("filename\tonset\toffset\tevent_label\n")
    status, out, err = run(f"data check data=synthetic --manifest {path}")
    assert (status, out, err) == (
        2,
        "",
        f"efficient-sed: --manifest {path}: cannot be written (another file is there already; give another name, or delete it)\n",
    )
    assert path.read_text().startswith("filename")


def test_models_composable(run: Run) -> None:
    rows = json.loads(run("models fmn04* --composable --hidden 64,128 --json").out)["composable"]
    costs = {row["name"]: row for row in rows}
    sized = [head for head in SEQUENCE_HEADS.names() if hasattr(SEQUENCE_HEADS.get(head), "hidden")]
    assert len(sized) >= 7
    assert costs.keys() >= {"fmn04", *(f"fmn04+{head}-{hidden}" for head in sized for hidden in (64, 128))}
    model = es.create_model("fmn04+gru-64", 447)
    assert (costs["fmn04+gru-64"]["params"], costs["fmn04+gru-64"]["macs"]) == (
        sum(p.numel() for p in model.parameters()),
        es.count_macs(model).total,
    )
    assert "fmn04+tf-256" in run("models fmn04+tf* --composable").out


def test_convert(run: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = es.create_model("fmn04", num_classes=447)
    keys = {"backbone.": "model.", "classifier.strong.": "strong_head.", "classifier.weak.": "weak_head."}
    released = {
        next(new + key.removeprefix(old) for old, new in keys.items() if key.startswith(old)): value
        for key, value in model.state_dict().items()
    }
    for name in ("fmn04_strong.pt", "mine.pt"):
        torch.save(released, tmp_path / name)
    assert run("models convert fmn04_strong.pt out.safetensors") == (0, "wrote out.safetensors: fmn04\n", "")
    converted = es.load_model(str(tmp_path / "out.safetensors"))
    assert (converted.classes, converted.provenance.notes["named_like"]) == (model.classes, "fmn04_strong")
    assert all(torch.equal(value, converted.state_dict()[key]) for key, value in model.state_dict().items())
    assert run("models convert --half --name fmn04 mine.pt half.safetensors").status == 0
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "out.safetensors").stat().st_size
    for typed, words in (
        (
            "mine.pt new.safetensors",
            "mine.pt: neither the file nor its name says which model it holds; give --name ARCH",
        ),
        ("mine.pt out.safetensors --name fmn04", "out.safetensors: is there already; give another name, or --force"),
        ("mine.pt new.safetensors --name fmn06", "mine.pt: holds fmn04, not fmn06"),
        ("mine.pt new.safetensors --name fmn04+tf-64", "mine.pt: holds fmn04, not fmn04+tf-64"),
        ("out.safetensors new.safetensors --name fmn04+tf-64", "out.safetensors: holds fmn04, not fmn04+tf-64"),
        ("out.safetensors new.safetensors --name fmn06", "out.safetensors: holds fmn04, not fmn06"),
    ):
        status, out, err = run(f"models convert {typed}")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert words in err
        assert not (tmp_path / "new.safetensors").exists()
    assert run("models convert mine.pt out.safetensors --name fmn04 --force").status == 0
    assert run("models convert out.safetensors again.safetensors").out == "wrote again.safetensors: fmn04\n"


def test_benchmark(run: Run, tmp_path: Path) -> None:
    status, out, err = run("benchmark {model} --csv costs.csv --batch 1")
    assert (status, err) == (0, "")
    assert "What it costs" in out
    status, out, _ = run("benchmark fmn04 --csv costs.csv --json --batch 1")
    (record,) = json.loads(out)
    assert round(record["complexity"]["macs_by_part"]["backbone"] / 1e6, 1) == 181.1
    with (tmp_path / "costs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"].rpartition("/")[2] for row in rows] == ["model.safetensors", "fmn04"]
    assert rows[1]["params"] == str(record["complexity"]["params"])


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("efficient_sed.experiment.run.run_experiment", interrupt)
    assert run("train {tiny}") == (
        130,
        "",
        "efficient-sed: interrupted; what is finished is kept, and a training goes on from its last finished epoch when the same command is typed again\n",
    )


def test_detect_writes_a_file_for_each_recording(run: Run, tmp_path: Path) -> None:
    for format_, suffix in (("audacity", ".txt"), ("jams", ".jams"), ("npz", ".npz")):
        status, out, err = run(
            f"detect {{d}}/a.wav {{d}}/b.wav --model {{model}} --threshold 0.05 --format {format_} --output found_{format_}"
        )
        assert (status, out, err) == (0, "", f"wrote 2 files into found_{format_}\n")
        assert sorted(visible(tmp_path / f"found_{format_}")) == [f"a{suffix}", f"b{suffix}"]
    one = run("detect {d}/a.wav --model {model} --threshold 0.05 --format audacity").out
    assert (tmp_path / "found_audacity" / "a.txt").read_text() == one != ""


def test_detect_keeps_what_is_finished(
    run: Run, here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second of three recordings."""
    listened: list[str] = []

    def interrupted(recording: detect_files.Recording, *rest: Any) -> detect_files.Found:
        listened.append(recording.name)
        if len(listened) == 2:
            raise KeyboardInterrupt
        return detect_one(recording, *rest)

    detect_one = detect_files.detect_one
    monkeypatch.setattr(detect_files, "detect_one", interrupted)
    status, _, err = run("detect {d}/a.wav {d}/b.wav {d}/c.wav --model {model} --format tsv --output found.tsv")
    assert status == 130
    assert "stopped early: found.tsv holds 1 recordings\n" in err
    assert {
        row["filename"] for row in csv.DictReader((tmp_path / "found.tsv").read_text().splitlines(), delimiter="\t")
    } == {f"{here['d']}/a.wav"}
    listened[:] = []
    before = (tmp_path / "found.tsv").read_text()
    (tmp_path / "found.tsv").write_text(f"{before}whole\t\t\t\t\n")  # as if it had come to its end
    assert run("detect {d}/a.wav {d}/b.wav {d}/c.wav --model {model} --format tsv --output found.tsv").status == 130
    assert (tmp_path / "found.tsv").read_text() == f"{before}whole\t\t\t\t\n"
    assert (tmp_path / "found.partial.tsv").read_text() == before


def test_detect_names_what_it_cannot_read(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(f"{here['d']}/a.wav", tmp_path / "in")
    (tmp_path / "in" / "damaged.wav").write_bytes(b"RIFF")
    status, out, err = run("detect in --model {model} --format tsv")
    assert status == 2
    assert "in/a.wav" in out
    assert re.fullmatch(r"efficient-sed: in/damaged\.wav: not readable as audio[^\n]*\n", err)


@pytest.mark.parametrize("options", ["", "--jobs 2", "--plot x.png", "--format jams --output found"])
def test_a_folder_of_which_nothing_can_be_read(run: Run, tmp_path: Path, options: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "damaged.wav").write_bytes(b"RIFF")
    status, out, err = run(f"detect in --model {{model}} {options}")
    assert (status, out) == (2, "")
    assert err.startswith("efficient-sed: in/damaged.wav: not readable as audio")
    assert not (tmp_path / "found").exists()


def test_recordings_of_one_name_differ_by_their_folders(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(f"{here['d']}/a.wav", tmp_path / folder / "a.wav")
    status, out, _ = run("detect one/a.wav two/a.wav --model {model} --threshold 0.05 --format rttm")
    assert status == 0
    assert {line.split()[1] for line in out.splitlines()} == {"one/a", "two/a"}
    status, _, err = run("detect one/a.wav two/a.wav --model {model} --format jams --output found")
    assert (status, err.count("\n")) == (2, 1)
    assert "their results would both be called a" in err
    status, _, _ = run(
        "detect one --model {model} --format jams --output found"
    )  # a folder was given, and one is written
    assert (status, (tmp_path / "found" / "a.jams").is_file()) == (0, True)


def test_interrupted_listening_prints_what_was_heard(
    run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")

    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if self.tell() > 16_000:
                signal.raise_signal(signal.SIGINT)
            return self.read(1600)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Interrupted(samples.tobytes())))
    status, out, err = run("listen --model {model} --threshold 0.05")
    assert status == 0
    assert "heard 0.5 s" in err or "heard 0.6 s" in err
    assert out


def test_an_exported_model_detects_the_same_without_pytorch(run: Run, here: dict[str, str], tmp_path: Path) -> None:
    status, out, _ = run("export {model} --format onnx --output m.onnx")
    assert status == 0
    assert "wrote m.onnx" in out
    expected = run("detect {d}/a.wav --model {model} --threshold 0.05 --format tsv").out
    code = (
        "import sys; sys.modules['torch'] = None; from efficient_sed.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    typed = [
        "detect",
        f"{here['d']}/a.wav",
        "--model",
        "m.onnx",
        "--threshold",
        "0.05",
        "--format",
        "tsv",
        "--report",
        "page.html",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *typed], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == expected
    assert (tmp_path / "page.html").is_file()
    assert expected.count("\n") > 2
    status, _, err = run("detect {d}/a.wav --model {d}/text.onnx")
    assert (status, err.count("\n")) == (2, 1)


def test_listen(run: Run, here: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    samples, _ = soundfile.read(f"{here['d']}/a.wav", dtype="int16")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes() + b"\x00")))
    status, out, err = run("listen --model {model} --threshold 0.05")
    assert status == 0
    assert err.startswith("listening at 16000 Hz; an event is printed 1.66 s after its end at the latest")
    assert "heard 0.8 s; computing took " in err
    assert out
    for line in out.splitlines():
        onset, offset, label, score = line.split("\t")
        assert 0 <= float(onset) < float(offset) <= 0.76
        assert label in ("dog", "siren")
        assert 0.05 <= float(score) <= 1
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    assert run("listen --model {model}").status == 2
