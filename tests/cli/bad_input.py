"""What is typed wrong, command by command, and words of the one line that it costs.

`{d}` is a folder of files, `{model}` a checkpoint, `{tiny}` a small data set and `{own}` one of annotations in files.
"""

from __future__ import annotations

BAD: dict[str, list[tuple[str, str]]] = {
    "train": [
        (
            "data=soundscapes data.foreground={d}/absent",
            "data.foreground={d}/absent: no such directory; give a folder of",
        ),
        ("seq=tff", "unknown sequence head seq=tff; did you mean 'tf'?"),
        ("backbone=fmn03", "unknown backbone backbone=fmn03; did you mean 'fmn"),
        ("train.epoch=3", "unknown key train.epoch; did you mean 'epochs'?"),
        ("seq=tf seq.hidden=250", "seq.hidden=250 is not allowed: it must be divisible by"),
        ("epochs", "'epochs' is not key=value"),
        ("epochs=5", "unknown key epochs=5; did you mean train.epochs=5?"),
        ("experiment=audioset_strong data.root={d}/absent", "data.root={d}/absent: no such directory"),
        ("{own} data.pseudo_labels={d}/absent.h5", "data.pseudo_labels={d}/absent.h5: no such file"),
        ("backbone.init={d}/absent.pt", "backbone.init={d}/absent.pt: no such checkpoint file"),
        ("~model", "'~model' is not key=value"),
        ("seq.hidden=64,128", "a list of alternatives is for `sweep`"),
        (
            "data=folder +data.root={d}/absent",
            "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
        ),
        (
            "experiment=table1_fmn10_no_kd data.root={d}/absent",
            "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
        ),
        (
            "data=folder data.root={d}/absent",
            "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
        ),
        ("{own} data.audio=absent", "{d}/absent: no such directory of audio files"),
        ("{own} data.train=absent.tsv", "{d}/absent.tsv: no such annotation file"),
        (
            "{own} data.train=no_column.tsv",
            "{d}/no_column.tsv: column 'offset' is missing; found: filename, onset, event_label",
        ),
        ("{own} data.train=reversed.tsv", "{d}/reversed.tsv:2: onset=0.5 must be at least 0 and before offset=0.2"),
        (
            "{own} data.train=unknown_label.tsv",
            "label 'dgo' in the annotations is not in the class list; did you mean 'dog'?",
        ),
        ("{own} data.train=absent_audio.tsv", "absent.wav: no such audio file"),
        ("{own} data.train=empty_audio.tsv", "empty.wav: the audio file is empty (0 bytes)"),
        ("{tiny} output_dir={d}/a.wav/runs", "output_dir={d}/a.wav/runs: cannot be written"),
        ("{tiny} backbone=fmn06 backbone.init={model}", "holds fmn04, the run's backbone is fmn06"),
        ("data.root={d}/a.wav/data", "data.root={d}/a.wav/data: cannot be written"),
        ("seq=tf seq.hidden=1000000 {tiny}", "seq.hidden=1000000 is not allowed: at most 8192"),
        ("seq=tf seq.num_heads=100000000 {tiny}", "seq.num_heads=100000000 is not allowed: 1 to 256"),
        ("seq=dilated seq.dilation=1000000000 {tiny}", "seq.dilation=1000000000 is not allowed: 1 to 10000 steps"),
        ("train.epochs=1000000000000 {tiny}", "train.epochs=1000000000000 is not allowed: 1 to 1000000"),
        ("seq=gru seq.num_layers=1000000 {tiny}", "seq.num_layers=1000000 is not allowed: 1 to 100"),
        ("{own} data.num_workers=100000", "data.num_workers=100000 is not allowed: 0 to 256, or null"),
        ("data.num_train=100000000000000", "data.num_train=100000000000000 is not allowed: 1 to 1000000 scenes"),
        ("data.scene_seconds=1e12", "data.scene_seconds=1e+12 is not allowed: 3 to 3600 seconds"),
        ("{own} output_dir=", "output_dir= is not allowed: the name of a folder, such as runs"),
        ("{own} experiment=smoke", "unknown key data.num_train=48; "),
        ("{own} train.extend_classes=true", "train.extend_classes=True is not allowed: only with train.init_from=NAME"),
        (
            "{own} backbone=fmn04 seq=none train.extend_classes=true train.init_from={model}",
            "{model} has all 2 classes of the data set, so there is no new one",
        ),
        (
            "{own} backbone=fmn04 seq=none train.extend_classes=true train.init_from={model} "
            "classifier.pooling=attention",
            "train.init_from={model} has classifier.pooling=mean: its classifier is kept",
        ),
        (
            "{own} train.extend_classes=true train.init_from={model} train.extend_weight=1",
            "train.extend_weight=1.0 is not allowed: 0 to below 1",
        ),
        (
            "{own} train.extend_classes=true train.init_from={model} data.pseudo_labels=teacher.h5",
            "data.pseudo_labels=teacher.h5 is not allowed: null with train.extend_classes=true",
        ),
        (
            "data=esc50 task=tagging train.extend_classes=true train.init_from={model}",
            "train.extend_classes=True is not allowed: false with data=esc50 and task=tagging, which choose one class",
        ),
        ("{own} data.train=nothing", "{d}/nothing: a folder, and no annotation file"),
        (
            "{own} data.train=no_events.tsv",
            "the train part of data=folder holds no event, so there is nothing to learn",
        ),
    ],
    "sweep": [
        (
            "data=folder data.root={d},{d}/absent",
            "data.root={d}/absent: no such directory; give the folder of your data set as data.root=DIR",
        ),
        ("seq=tf,gru seq.hidden=64,250", "seq.hidden=250 is not allowed: it must be divisible by"),
        ("{tiny} --launcher slrum", "unknown launcher 'slrum'; did you mean 'slurm'? allowed: local, ray, slurm"),
        ("{tiny} launcher.jobs=0", "launcher.jobs=0 is not allowed: 1 or more"),
        ("{tiny} launcher.gpus=1", "unknown key launcher.gpus=1; allowed: jobs"),
        ("{tiny} --launcher slurm launcher.hours=long", "launcher.hours='long' must be a finite number"),
        ("{tiny} --launcher slurm launcher.cpus=2,4", "launcher.cpus=2,4: a sweep takes one value here"),
        ("{tiny} output_dir={d}/a.wav/runs", "output_dir={d}/a.wav/runs: cannot be written"),
        (
            "{tiny} --plot {d}/table.png",
            "--plot {d}/table.png: {d}/table.csv cannot be written (another file is there already; give "
            "another name, or delete it)",
        ),
        (
            "{tiny} --plot {d}/a.wav/x.png",
            "--plot {d}/a.wav/x.png: {d}/a.wav/x.png cannot be written (Not a directory)",
        ),
        ("sweep", "unknown grid sweep; "),
        ("launcher=slurm", "launcher=slurm: the launcher is an option: --launcher slurm"),
        ("launcher.partition=gpu", "unknown key launcher.partition='gpu'; "),
        ("seq=gru seq.hidden=64,1000000 {tiny}", "seq.hidden=1000000 is not allowed: 1 to 8192"),
    ],
    "evaluate": [
        ("fmn10+tf-256 {tiny}", "'fmn10+tf-256' names no weights: give a file"),
        ("{d}/absent.safetensors {tiny}", "{d}/absent.safetensors: no such checkpoint file"),
        ("{d}/cut.safetensors {tiny}", "{d}/cut.safetensors: damaged or not a safetensors file"),
        ("{model} {tiny}", "model and data set have different class lists"),
        (
            "fmn04_synthetic data=synthetic --engine openvino",
            "--engine openvino runs exported models, and fmn04_synthetic is none",
        ),
        ("{model} {own} train.epochs=3", "train.epochs=3: evaluate takes the model as it is; allowed: "),
        ("{model} {own} --report a.htm", "--report a.htm is not allowed: a file that ends in .html"),
        ("{model} {own} --report a.html --max-errors 0", "--max-errors 0 is not allowed: 1 to 2000, each with its"),
        ("{model} {own} --max-errors 5", "--max-errors belongs to --report"),
        ("{model} {own} --report {d}/b.wav/a.html", "--report {d}/b.wav/a.html: cannot be written"),
        ("{model} {own} task=tagging --report a.html", "--report is about events, and task=tagging has none"),
    ],
    "benchmark": [
        ("fmn04_strnog", "no released weights are called 'fmn04_strnog'; the nearest: fmn04_strong"),
        ("fmn04 fmn4", "'fmn4' is not a model name: unknown backbone 'fmn4'; did you mean 'fmn04'?"),
        ("fmn04+tf-250", "seq.hidden=250 is not allowed"),
        ("{d}/absent.pt", "{d}/absent.pt: no such checkpoint file"),
        ("{model} --batch 0", "--batch 0 is not allowed: 1 or more each"),
        ("{model} --batch a", "--batch a: not a list of whole numbers such as 1,8,64"),
        ("{model} --batch=", "--batch '': not a list of whole numbers such as 1,8,64"),
        ("{model} --batch 2,2", "--batch 2,2 is not allowed: none twice"),
        ("{model} --modes eager,eager", "--modes eager,eager is not allowed: none twice"),
        ("{model} --precision fp32,bf16,fp32", "--precision fp32,bf16,fp32 is not allowed: none twice"),
        ("{model} --modes=", "--modes '' is not allowed; "),
        ("{model} --precision=", "--precision '' is not allowed; "),
        ("{model} --modes fast", "--modes 'fast' is not allowed; "),
        ("{model} --precision fp8", "--precision 'fp8' is not allowed; "),
        ("{model} --threads 0", "--threads 0 is not allowed: 1 or more"),
        ("{model} --processes 0", "--processes 0 is not allowed: 1 or more"),
        ("{model} --batch 1 --csv {d}/a.wav/x.csv", "{d}/a.wav/x.csv: cannot be written"),
        ("{model} --batch 1 --csv {d}/test.tsv", "{d}/test.tsv: its columns are not those of a benchmark"),
        ("fmn04 --engine openvino", "--engine openvino runs exported models, and fmn04 is none"),
        ("m.onnx fmn04", "m.onnx is an exported model and fmn04 is none; measure them one after the other"),
        (
            "{model} --device gpu",
            "--device gpu is not allowed: this machine has no GPU that torch can use; give --device cpu",
        ),
        ("m.onnx --device cpu", "--device is not for exported models"),
        ("m.onnx --batch 4", "--batch is not for exported models"),
        ("m.onnx --threads 999", "--threads 999 is not allowed: this process may use 1 to "),
        ("m.onnx", "m.onnx: no such file"),
        ("fmn04 --seconds 1e9", "--seconds 1e+09 is not allowed: 0.5 to 3600 seconds"),
        ("fmn04 --batch 100000000", "out of memory; give a smaller size or batch, shorter clips, or a smaller model"),
        ("fmn04+gru-100000000", "seq.hidden=100000000 is not allowed: 1 to 8192"),
    ],
    "plot": [
        ("{d}/nothing", "no finished run below {d}/nothing; train one with: make sweep"),
        ("{d}/absent", "no finished run below {d}/absent"),
        ("{d}/damaged", "{d}/damaged/run/result.json: damaged ("),
        ("--published --device row.json", "--device is about runs; leave --published out"),
        (
            "--published --output {d}/nothing/../run.png",
            "--output {d}/nothing/../run.png: {d}/nothing/../run.svg cannot be written (Is a directory)",
        ),
        ("{d} --output x.pdf", "--output x.pdf is not allowed: PNG and SVG are drawn, such as x.png"),
    ],
    "detect": [
        ("{d}/a.wav --model {model} --clips new", "--clips belongs to --uncertain N, whose excerpts it writes"),
        ("{d}/a.wav --model {model} --uncertain 0", "--uncertain 0 is not allowed: 1 or more excerpts"),
        (
            "{d}/a.wav --model {model} --uncertain 3 --report p.html",
            "--report and --uncertain: one is about all",
        ),
        ("{d}/a.wav --model {model} --uncertain 3 --format npz", "--format npz writes scores of all frames"),
        ("{d}/a.wav --model {model} --uncertain 3 --format raven", "writes a file for each recording; give a folder"),
        (
            "{d}/a.wav --model {model} --uncertain 3 --output {d}/train.tsv",
            "{d}/train.tsv: is there already, perhaps corrected",
        ),
        ("{d}/a.wav --model {model} --uncertain 3 --clips {d}/b.wav", "--clips {d}/b.wav: no folder"),
        (
            "{d}/a.wav --model {model} --uncertain 3 --format tsv --output {d}/nothing",
            "nothing: a folder; --format",
        ),
        (
            "{d}/a.wav --model fmn10",
            "'fmn10' names no weights: give a file, such as runs/RUN/model.safetensors, or a released "
            "name; the nearest: ",
        ),
        ("{d}/a.wav --model fmn10_stronk", "no released weights are called 'fmn10_stronk'"),
        (
            "{d}/a.wav --model {d}/text.wav",
            "{d}/text.wav: a file of another kind, and no model; a checkpoint ends in .safetensors, .pt, .ckpt",
        ),
        ("{d}/a.wav --model {d}", "{d}: a folder, and no model; give the file in it, {d}/model.safetensors"),
        ("{d}/text.wav --model {model}", "{d}/text.wav: not readable as audio"),
        ("{d}/empty.wav --model {model}", "{d}/empty.wav: the audio file is empty (0 bytes)"),
        ("{d}/silent.wav --model {model}", "{d}/silent.wav: the audio file is empty (0 samples)"),
        ("{d}/c.wav {d}/a.wav --plot x.png --model {model}", "--plot draws one file, got 2"),
        ("{d}/a.wav --threshold 2 --model {model}", "--threshold 2.0 is not allowed"),
        (
            "{d}/a.wav --threshold loud",
            "--threshold loud is not allowed: a probability between 0 and 1, both excluded; ",
        ),
        (
            "{d}/a.wav --threshold dgo=0.3,default=0.5 --model {model}",
            "--threshold dgo=0.3 is not allowed: no such class; did you mean 'dog'? allowed: default, dog, siren",
        ),
        ("{d}/a.wav --threshold dog=2 --model {model}", "--threshold dog=2.0 is not allowed: a probability between"),
        ("{d}/a.wav --postprocessing {d}/absent.json", "{d}/absent.json: cannot be read (No such file"),
        ("{d}/a.wav --postprocessing {d}/table.csv", "{d}/table.csv: is no file of efficient-sed tune --output ("),
        ("{d}/a.wav --postprocessing none --median 3", "--median 3 is not allowed: it is a post-processing itself"),
        ("{d}/a.wav --output {d}/b.wav/x.tsv --model {model}", "--output {d}/b.wav/x.tsv: cannot be written"),
        ("{d}/a.wav {d}/b.wav --plot x.png --model {model}", "--plot draws one file, got 2"),
        (
            "{d}/a.wav {d}/b.wav --format audacity --model {model}",
            "--format audacity writes a file for each recording, got 2; give a folder as --output DIR",
        ),
        (
            "{d}/a.wav --format npz --model {model}",
            "--format npz writes a file for each recording, got 1; give a folder as --output DIR",
        ),
        (
            "{d}/a.wav {d}/b.wav --format jams --output {d}/text.wav --model {model}",
            "--output {d}/text.wav: --format jams writes a file for each recording into a folder",
        ),
        (
            "{d}/a.wav --format tsv --output {d} --model {model}",
            "--output {d}: a folder; --format tsv writes one file, such as --output {d}/events.tsv",
        ),
        ("{d}/a.wav --jobs 0 --model {model}", "--jobs 0 is not allowed: 1 or more processes"),
        ("{d}/a.wav --median 4 --model {model}", "--median 4 is not allowed"),
        (
            "{d}/a.wav --median 99999999999 --model {model}",
            "--median 99999999999 is not allowed: an odd number of frames, at most 9999",
        ),
        ("- {d}/a.wav --model {model}", "- stands for one recording on the standard input; got 2 files"),
        ("{d}/a.wav --plot a.pdf --model {model}", "--plot a.pdf is not allowed: a file that ends in .png"),
        ("{d}/a.wav --plot a.png --model m.onnx", "--plot needs the spectrogram, which m.onnx does not give"),
        ("{d}/a.wav --model {model} --engine openvino", "--engine openvino runs exported models, and {model} is none"),
        ("{d}/nothing --model {model}", "{d}/nothing: no audio in this folder; files that end in .wav, .wave, .bwf"),
        (
            "{d}/a.wav --format tsv --output {d}/a.wav --model {model}",
            "--output {d}/a.wav: is one of the recordings, and would be lost",
        ),
        (
            "{d}/a.wav --output {d}/train.tsv --model {model}",
            "--output {d}/train.tsv: cannot be written (another file is there already; give another "
            "name, or delete it)",
        ),
        (
            "{d}/a.wav --format json --output {d}/model.safetensors --model {model}",
            "--output {d}/model.safetensors: cannot be written (another file is there already; give "
            "another name, or delete it)",
        ),
        (
            "{d}/a.wav --format rttm --output {d}/train.tsv --model {model}",
            "--output {d}/train.tsv: cannot be written (another file is there already; give another "
            "name, or delete it)",
        ),
        (
            "{d}/a.wav --format audacity --output {d}/b.wav --model {model}",
            "--output {d}/b.wav: cannot be written (another file is there already; give another name, or delete it)",
        ),
        (
            "{d}/a.wav --format jams --output {d}/b.wav --model {model}",
            "--output {d}/b.wav: cannot be written (another file is there already; give another name, or delete it)",
        ),
        (
            "{d}/a.wav {d}/b.wav --report x.html --model {model}",
            "--report is about one file, got 2; give them one at a time",
        ),
        ("{d}/a.wav --report a.pdf --model absent.onnx", "--report a.pdf is not allowed: a file that ends in .html"),
        (
            "{d}/long.flac --report a.html --model absent.onnx",
            "a report holds 60 minutes of sound, and the recording has 61.0; cut it, or take --format "
            "npz for its scores",
        ),
        ("{d}/a.wav --truth {d}/test.tsv --model {model}", "--truth belongs to --report"),
        (
            "{d}/a.wav --report a.html --truth {d}/test.tsv --model {model}",
            "{d}/test.tsv: 'a.wav' is no recording in it; did you mean 'c.wav'? allowed: c.wav; if it has no events, "
            "add a row with its filename and nothing else",
        ),
        ("{d}/a.wav --report a.html --truth {d}/x.tsv --model {model}", "{d}/x.tsv: no such annotation file"),
        ("{d}/a.wav --output a.tsv --report {d}/b.wav/x.html --model {model}", "{d}/b.wav/x.html: cannot be written"),
    ],
    "listen": [
        ("--model m.onnx", "m.onnx: no such file"),
        ("--microphone --channels 2", "--channels and --samples are for the standard input"),
        ("--rate 44101 --model {model}", "--rate 44101 is not allowed: one that can be turned into the model's 16000"),
        ("--channels 0", "--channels 0 is not allowed: 1 or more"),
        ("--hop 20 --model {model}", "--hop 20 is not allowed: 0.04 s, a frame of the model, to 10 s, its window"),
    ],
    "data": [
        (
            "check {own} data.train=absent_audio.tsv",
            "0 clips for training; 1 of the 1 audio files in its annotations are not below {d}: absent.wav",
        ),
        ("check data=foldr", "unknown data set data=foldr; did you mean 'folder'?"),
        ("check {own} data.test=reversed.tsv", "{d}/reversed.tsv:2: onset=0.5"),
        ("check {own} data.columns.labl=x", "unknown key data.columns.labl"),
        ("check {own} data.columns.label=kind", "{d}/train.tsv: column 'kind' is missing; found: filename, onset, "),
        (
            "check {own} --audio {d}",
            "--from and --to and --column and --audio and --overwrite belong to: ",
        ),
        ("convert {d}/test.tsv", "data convert takes what to read and what to write, got {d}/test.tsv"),
        ("convert {d}/test.tsv x.tsv --force", "--force and --shard-gb belong to: efficient-sed data pack"),
        ("convert {d}/absent.tsv x.csv", "{d}/absent.tsv: no such annotation file"),
        ("convert {d}/nothing x.csv", "{d}/nothing: a folder, and no annotation file in it"),
        ("convert {d}/test.tsv x.xyz", "x.xyz: its ending names no format, give one as --to: audacity, csv, "),
        ("convert {d}/test.tsv x", "x: its ending names no format, give one as --to: audacity, csv, "),
        ("convert {d}/reversed.tsv x.csv", "{d}/reversed.tsv:2: onset=0.5 must be at least 0 and before offset=0.2"),
        ("convert {d}/test.tsv {d}/train.tsv", "{d}/train.tsv: is there already; give another name, or --overwrite"),
        ("convert {d}/test.tsv {d}/test.tsv --overwrite", "{d}/test.tsv: is what is read; give another name"),
        ("convert {d}/test.tsv {d}/a.wav/x.csv", "{d}/a.wav/x.csv: cannot be written"),
        ("convert {d}/test.tsv x.csv --column kind=a", "--column kind=a is not allowed: onset=NAME, offset=NAME"),
        ("convert {d}/test.tsv x.csv --column label", "--column label is not allowed: onset=NAME, offset=NAME"),
        ("convert {d}/test.tsv x.csv --column label=a", "{d}/test.tsv: column 'a' is missing; found: filename, onset"),
        ("convert {d}/test.tsv x.csv --audio {d}/absent", "--audio {d}/absent: no such directory"),
        ("convert {d}/absent_audio.tsv x.csv --audio {d}", "{d}/absent.wav: no such audio file"),
        ("convert {d}/text.wav x.csv", "{d}/text.wav: begins with 'this is not audio', which is no annotation format"),
    ],
    "export": [
        (
            "fmn04_synthetic --format onnx --precision int8",
            "--precision int8 is kept only with its score: name the data",
        ),
        ("fmn04_synthetic --format onnx --engine openvino", "--engine belongs to --precision"),
        ("fmn04_synthetic --format onnx data=synthetic", "data=synthetic belongs to --precision"),
        (
            "fmn04_synthetic --format onnx --precision int8 --input mel data=synthetic",
            "--input mel is not allowed with --precision",
        ),
        ("fmn04_synthetic --format onnx --precision fp16 --threads 0 data=synthetic", "--threads 0 is not allowed"),
        (
            "fmn04_synthetic --format onnx --precision fp16 data=synthetic --output {d}/a.wav/x.onnx",
            "{d}/a.wav/x.onnx: cannot be written",
        ),
        (
            "{model} --format onnx --precision fp16,int8-head data=synthetic",
            "no matrix of the sequence head becomes int8",
        ),
        (
            "fmn04_synthetic --format onnx --precision int7 data=synthetic",
            "precision 'int7' is not known; did you mean 'int8'?",
        ),
        (
            "fmn04_synthetic --format onnx --precision int8 --engine tvm data=synthetic",
            "unknown engine 'tvm'; allowed: ",
        ),
        ("m.onnx --format onnx", "m.onnx: is exported already; give the model that it was made from"),
    ],
    "models": [
        ("fmn10_stronk", "no model matches 'fmn10_stronk'; the nearest: fmn10_strong, "),
        ("xyz*", "no model matches 'xyz*'; `efficient-sed models` lists all"),
        ("fmn10 fmn20", "models takes one PATTERN, got 'fmn10 fmn20'"),
        ("--hidden 64", "--hidden 64 belongs to: efficient-sed models --composable"),
        ("--composable --hidden 64,x", "--hidden 64,x: 'x' is not a whole number from 1 to 8192"),
        ("--composable --sort score", "--sort score: composable models have random weights"),
        ("fmn04+tf* --composable --hidden 250", "seq.hidden=250 is not allowed"),
        ("fmn10 --half", "--name, --half and --force belong to: efficient-sed models convert"),
        ("convert", "models convert takes IN and OUT.safetensors, got neither"),
        ("convert {model} --json x.safetensors", "models convert takes --name, --half and --force"),
        ("convert {model} x.pt", "x.pt: models are written as .safetensors files; name it x.safetensors"),
        ("convert {model} {model}", "{model}: is there already; give another name, or --force"),
        ("convert {d}/absent.pt x.safetensors", "{d}/absent.pt: no such checkpoint file"),
        ("convert {d}/text.wav x.safetensors", "{d}/text.wav: not a checkpoint of plain tensors"),
        ("convert {d}/cut.safetensors x.safetensors", "{d}/cut.safetensors: damaged or not a safetensors file"),
        ("convert {model} x.safetensors --name fmn4", "'fmn4' is not a model name"),
        (
            "convert {model} x.safetensors --name fmn04_strong",
            "--name fmn04_strong: give the architecture alone, fmn04",
        ),
        ("convert {model} {d}/a.wav/x.safetensors", "{d}/a.wav/x.safetensors: cannot be written"),
    ],
    "verify": [
        ("fmn10_stronk --data synthetic", "no released weights are called 'fmn10_stronk'"),
        ("fmn10_strong synthetic --data synthetic", "'synthetic' is not key=value"),
        ("fmn10_strong --data {d}/absent", "--data {d}/absent: neither a directory nor a data set"),
        ("fmn10_strong --data synthetic train.epochs=5", "train.epochs=5: verify scores as the card was scored"),
    ],
}
"""By command: what is typed after it, and what its message holds."""

USAGE: list[tuple[str, str]] = [
    ("", "the following arguments are required: COMMAND"),
    ("trian", "invalid choice: 'trian'"),
    ("train --quite", "--quite"),
    ("detect", "the following arguments are required: FILE"),
    ("detect a.wav --format cvs", "argument --format: invalid choice: 'cvs'"),
    ("models --sort size", "argument --sort: invalid choice: 'size'"),
    ("verify fmn10_strong", "the following arguments are required: --data"),
    ("data chek", "invalid choice: 'chek'"),
    ("evaluate", "the following arguments are required: MODEL"),
]
"""What the parser refuses."""
