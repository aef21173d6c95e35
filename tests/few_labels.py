"""A folder of recordings of which few are labelled."""

from __future__ import annotations

import shutil
from pathlib import Path

from efficient_sed.data.events import PARTS, Splits

NUM_WEAK = NUM_UNLABELLED = 2


def write_few_labels(root: Path, splits: Splits) -> None:
    """Copy the clips of a data set of files: the last two of the training part unlabelled, the two before weak."""
    (root / "unlabelled").mkdir(parents=True)
    (root / "audio").mkdir()
    weak = ["filename\tevent_labels"]
    for part in PARTS:
        clips, rows = getattr(splits, part), ["filename\tonset\toffset\tevent_label"]
        for number, clip in enumerate(clips):
            name = f"{part}{number}.flac"
            left = len(clips) - number if part == "train" else len(clips)
            is_unlabelled = part == "train" and left <= NUM_UNLABELLED
            shutil.copy(str(clip.audio), root / ("unlabelled" if is_unlabelled else "audio") / name)
            if part == "train" and NUM_UNLABELLED < left <= NUM_UNLABELLED + NUM_WEAK:
                weak.append(f"{name}\t{','.join(sorted({event.label for event in clip.events}))}")
            elif not is_unlabelled:
                rows += ["\t".join(map(str, (name, *event[:3]))) for event in clip.events] or [f"{name}\t\t\t"]
        (root / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    (root / "weak.tsv").write_text("\n".join(weak) + "\n")
