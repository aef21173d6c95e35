"""Detectors of real sounds, trained on scenes that are mixed from two Debian packages, and what else they react to.

apt-get download gcompris-qt-data sonic-pi-samples asterisk-core-sounds-en-wav
for package in *.deb; do dpkg -x "$package" packages; done
python benchmarks/real_sounds.py packages [--seeds 0,1,2] [--output DIR] [key=value …]

Sounds of the games and samples become folders of classes, chosen by what they are and by having four files at least.
Rain, storm, harbour, trains, water, a helicopter, a machine and hiss are the background, and a telephone's
announcements the negatives: speech, which is no class; on a fifth of it false alarms are counted, and nothing trains.
Each file is in one part, so the scenes of the test part are made of sounds, and lie over backgrounds, that no training
had. Runs are those of `efficient-sed train`, whose commands are printed; finished ones are skipped.
"""

from __future__ import annotations

import argparse
import re
import shlex
import statistics
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from efficient_sed.experiment.compose import compose_run
from efficient_sed.experiment.run import run_experiment

CLASSES = {
    "animal": r"(owl|pig|chickens|cat|horse|cow|dog|duck|sheep|LRBark_\d.*)\.ogg|misc_crow\.flac",
    "bass": r"bass_.*\.flac",
    "bass_drum": r"(bd_.*|drum_bass_.*|drum_heavy_kick|elec_(hollow|soft)_kick)\.flac",
    "bell": (
        r"((perc|elec)_bell\d?|elec_(chime|ping|triangle)|drum_cowbell)\.flac"
        r"|(triangle|LRBuddhist_gong.*|LRRing.*)\.ogg"
    ),
    "blip": r"elec_(beep|blip2?|blup|flip|plip|pop|tick|twip)\.flac|(bleep|dash|dot)\.wav",
    "cymbal": r"(drum_(cymbal|splash)_.*|elec_cymbal)\.flac|cymbal\.ogg",
    "drone": r"(ambi_(choir|dark_woosh|drone|glass_hum|haunted_hum|lunar_land|soft_buzz)|loop_drone_g_97)\.flac",
    "guitar": r"guit_.*\.flac|(guitar_(son\d|melody)|(electric_)?guitar|banjo)\.ogg",
    "impact": r"perc_impact\d\.flac|LR(Hits|Object_falling).*\.ogg|(knock|brick|crash|metal_hit|pickaxe)\.wav",
    "machine": r"LRFactory_noise_.*\.ogg",
    "robot": r"(mehackit|glitch)_robot\d\.flac",
    "rubbing": r"(eraser\d?|brush|smudge)\.wav|ambi_glass_rub\.flac",
    "snare": r"(sn_.*|drum_snare_.*|elec_.*snare)\.flac|snare_drum\.ogg",
    "strange_voice": r"LRWeird_.*\.ogg",
    "swoosh": r"(perc_sw(a|oo)sh|ambi_swoosh)\.flac|(slide(In|Out)?|arrow)\.wav",
    "tabla": r"tabla_.*\.flac",
    "telephone": r"mehackit_phone\d\.flac",
    "tom": r"(drum_tom_.*|elec_fuzz_tom)\.flac",
    "wind": r"(accordion|clarinet|flute_traversiere|harmonica|horn|organ|saxophone|trombone|trumpet|tuba)\.ogg",
    "xylophone": r"xylofon_son\d\.wav",
}
BACKGROUND = (
    r"LR(Rain|FrogsInPondDuringStorm|Train).*\.ogg|(harbor\d|helicopter|train|water|water_fill)\.wav"
    r"|(loop_3d_printer|vinyl_hiss)\.flac"
)
ROLES = ("foreground", "background", "negatives", "negatives_test")
TEST_EVERY = 5  # announcements
IS_FOLDER, IS_COMPRESSED = 2, 1  # flags of Qt's resource files


def read_resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents in one of Qt's binary resource files (format of `rcc --binary`, versions 1 to 3)."""
    content = path.read_bytes()
    version, tree, data, names = struct.unpack_from(">4xIIII", content)
    size = 22 if version > 1 else 14

    def walk(number: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        name_at, flags = struct.unpack_from(">IH", content, tree + number * size)
        (length,) = struct.unpack_from(">H", content, names + name_at)
        start = names + name_at + 6
        name = prefix + content[start : start + 2 * length].decode("utf-16-be") if number else ""
        if flags & IS_FOLDER:
            count, first = struct.unpack_from(">II", content, tree + number * size + 6)
            for child in range(first, first + count):
                yield from walk(child, f"{name}/" if name else "")
            return
        (at,) = struct.unpack_from(">I", content, tree + number * size + 10)
        (length,) = struct.unpack_from(">I", content, data + at)
        packed = content[data + at + 4 : data + at + 4 + length]
        yield name, zlib.decompress(packed[4:]) if flags & IS_COMPRESSED else packed

    return walk(0, "")


def collect(packages: Path, output: Path) -> dict[str, Path]:
    """Write the sounds into folders by class, background and negatives, and return these folders by option."""
    folders = {f"data.{name}": output / "sounds" / name for name in ROLES}
    if (output / "sounds").is_dir():
        return folders
    samples = packages / "usr/share/sonic-pi/samples"
    sounds = [(path.name, path.read_bytes()) for path in sorted(samples.glob("*.flac"))]
    for resources in sorted((packages / "usr/share/gcompris-qt/rcc").glob("*.rcc")):
        audio = [found for found in read_resources(resources) if found[0].endswith((".ogg", ".wav"))]
        sounds += [(f"{resources.stem}/{name.rsplit('/', 1)[-1]}", content) for name, content in audio]
    for name, content in sounds:
        file = name.rsplit("/", 1)[-1]
        labels = [label for label, pattern in CLASSES.items() if re.fullmatch(pattern, file)]
        places = [folders["data.foreground"] / label for label in labels]
        if re.fullmatch(BACKGROUND, file):
            places.append(folders["data.background"])
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            (place / name.replace("/", "_")).write_bytes(content)
    voice = packages / "usr/share/asterisk/sounds"
    spoken = {"_".join(path.relative_to(voice).parts[1:]): path for path in voice.rglob("*.wav")}
    words = sorted(name for name, path in spoken.items() if path.parent.name != "silence")
    for number, name in enumerate(words):
        place = folders["data.negatives" if (number + 1) % TEST_EVERY else "data.negatives_test"]
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(spoken[name].read_bytes())
    return folders


def conditions(folders: dict[str, Path]) -> dict[str, list[str]]:
    """Overrides of each condition; false alarms are counted on the same speech in all of them."""
    negatives = f"data.negatives={folders['data.negatives']}"
    sounds = [f"{key}={path}" for key, path in folders.items() if key != "data.negatives"]
    return {
        "random": [*sounds, "backbone.init=null"],
        "generated sounds": sounds,
        "generated sounds, and speech as negatives": [*sounds, negatives],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of every run, such as train.epochs=4")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, default=Path("runs_real_sounds"))
    options = parser.parse_intermixed_args()
    common = ["experiment=isolated_sounds", "backbone=fmn04", "seq=gru", "seq.hidden=64", "data.clip_seconds=5"]
    common += ["data.max_events=3", "data.num_validation=200", *options.overrides]
    common += [f"data.root={options.output / 'datasets'}", f"output_dir={options.output / 'runs'}"]
    alarms = "negatives_false_alarms_per_hour"
    columns = ("psds1_macro", "psds1_macro_tuned", "event_f1_macro_tuned", alarms, f"{alarms}_tuned")
    rows = []
    for name, overrides in conditions(collect(options.packages, options.output)).items():
        runs = [[*common, *overrides, f"seed={seed}"] for seed in options.seeds.split(",")]
        print(shlex.join(["efficient-sed", "train", *runs[0]]), flush=True)
        metrics = [run_experiment(compose_run(run), show_progress=False)["metrics"] for run in runs]
        values = [f"{statistics.mean(scores[column] for scores in metrics):.3f}" for column in columns]
        rows.append(f"| {name} | {' | '.join(values)} |")
        print(rows[-1], flush=True)
    print("\n| start | PSDS1 | tuned | event F1 tuned | false alarms an hour of speech | tuned |")
    print("\n".join(["|---|---:|---:|---:|---:|---:|", *rows]))


if __name__ == "__main__":
    main()
