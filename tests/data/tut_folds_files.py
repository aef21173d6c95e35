"""A few short recordings in the layout in which TUT Sound Events 2016 and 2017 are published."""

from __future__ import annotations

from pathlib import Path

from fold_files import write_tone

from efficient_sed.data.sets.tut_sed_2016 import TutSed2016Config
from efficient_sed.data.sets.tut_sed_2017 import TutSed2017Config


def write_scene(root: Path, scene: str, classes: tuple[str, ...]) -> Path:
    """Two recordings in each of four folds, with two events of classes in turn."""
    (root / "evaluation_setup").mkdir(parents=True, exist_ok=True)
    (root / "meta" / scene).mkdir(parents=True)
    for fold in range(1, 5):
        names = [f"a{fold}{number:02}" for number in range(2)]
        for number, name in enumerate(names):
            write_tone(root / "audio" / scene / f"{name}.wav", 500, 0.5, 44_100)
            label = classes[(2 * fold + number) % len(classes)]
            (root / "meta" / scene / f"{name}.ann").write_text(f"0.1\t0.3\t{label}\n0.2\t0.5\t{classes[0]}\n")
        rows = "".join(f"audio/{scene}/{name}.wav\t{scene}\n" for name in names)
        (root / "evaluation_setup" / f"{scene}_fold{fold}_test.txt").write_text(rows)
    return root


def write_tut_2016(root: Path) -> Path:
    for scene, classes in TutSed2016Config.scenes.items():
        write_scene(root, scene, classes)
    return root


def write_tut_2017(root: Path) -> Path:
    return write_scene(root, "street", TutSed2017Config.scenes["street"])
