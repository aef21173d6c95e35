"""`efficient-sed data`: check what a data set holds, pack it, write scenes, or convert annotation files."""

from __future__ import annotations

import argparse
import sys

from efficient_sed.cli.options import typed_path
from efficient_sed.cli.parser import Commands
from efficient_sed.cli.terminal import print_table
from efficient_sed.errors import EXIT_FAILED, ConfigError
from efficient_sed.registry import ANNOTATION_FORMATS

OWN_OPTIONS = {
    "check": {"manifest": "--manifest", "classes": "--classes"},
    "pack": {"force": "--force", "shard_gb": "--shard-gb"},
    "scenes": {"output": "--output", "count": "--count"},
    "convert": {
        "from_format": "--from", "to_format": "--to", "column": "--column", "audio": "--audio",
        "overwrite": "--overwrite",
    },
}  # fmt: skip
"""Options that only one action takes: attribute and what is typed."""


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add(
        "data",
        run,
        "Check what a data set holds, pack it into a file that is read fast, write the scenes it mixes, or convert "
        "annotation files.",
        examples=(
            "data check data=folder data.root=my_sounds",
            "data scenes data=soundscapes data.foreground=my_sounds --output scenes --count 5",
            "data convert labels train.tsv --audio recordings",
        ),
    )
    parser.add_argument(
        "action",
        choices=tuple(OWN_OPTIONS),
        help="check: what is here of what is expected, events per class and how long they are; decodes every file. "
        "pack: write a 16 kHz copy. scenes: write the scenes that a training begins with as FLAC and TSV. convert: "
        "write annotation files in another format",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="key=value | PATH",
        help="data=synthetic data.seed=1, or data=audioset_strong data.root=DIR; for pack the file to write, too; for "
        "convert the file or folder to read and that to write",
    )
    parser.add_argument(
        "--manifest",
        type=typed_path,
        metavar="FILE",
        help="check: write part, id, duration and hash of every clip, one JSON line each",
    )
    parser.add_argument("--classes", action="store_true", help="check: show every class of a long list")
    parser.add_argument("--force", action="store_true", help="pack: overwrite OUT.h5")
    parser.add_argument(
        "--shard-gb",
        type=float,
        metavar="GB",
        help="pack: write a folder OUT of files that hold so much sound each, instead of one file OUT.h5",
    )
    parser.add_argument(
        "--output", type=typed_path, metavar="DIR", help="scenes: folder to write, with audio/ and train.tsv"
    )
    parser.add_argument("--count", type=int, metavar="N", help="scenes: how many (default: 10)")
    formats = ANNOTATION_FORMATS.names()
    parser.add_argument(
        "--from", dest="from_format", choices=formats, help="convert: format (default: recognised by content)"
    )
    parser.add_argument(
        "--to", dest="to_format", choices=formats, help="convert: format to write (default: by the ending of the file)"
    )
    parser.add_argument(
        "--column",
        action="append",
        metavar="ROLE=NAME",
        help="convert: a column with a name of its own, such as label=Species; also onset, offset, filename",
    )
    parser.add_argument(
        "--audio", type=typed_path, metavar="DIR", help="convert: recordings, whose names and lengths are written"
    )
    parser.add_argument("--overwrite", action="store_true", help="convert: replace what is there")


def run(options: argparse.Namespace) -> int:
    """Check, pack, mix or convert; status 1 if a file of a data set cannot be read."""
    _check_options(options)
    if options.action == "check":
        return _check(options)
    if options.action == "scenes":
        from efficient_sed.cli.scenes import scenes_command

        print(scenes_command(options.words, options.output, options.count))
        return 0
    if options.action == "convert":
        from efficient_sed.cli.convert import convert_command

        convert_command(options)
        return 0
    from efficient_sed.cli.pack import pack_command

    print(pack_command(options.words, is_forced=options.force, shard_gb=options.shard_gb))
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Raise a ConfigError for an option of another action."""
    for action, own in OWN_OPTIONS.items():
        given = [option for key, option in own.items() if getattr(options, key) not in (None, False)]
        if action != options.action and given:
            belongs = "belongs" if len(own) == 1 else "belong"
            raise ConfigError(f"{' and '.join(own.values())} {belongs} to: efficient-sed data {action}")


def _check(options: argparse.Namespace) -> int:
    from efficient_sed.cli.data_tables import coverage_table, data_table, lengths_table
    from efficient_sed.data.check import check_data, check_manifest_place, write_manifest
    from efficient_sed.data.check_lengths import event_lengths, propose
    from efficient_sed.data.events import FRAMEWISE, overhang_notes
    from efficient_sed.data.storage.columns import of_kinds
    from efficient_sed.experiment.compose import compose_run
    from efficient_sed.experiment.keys import key_of
    from efficient_sed.models.sed import frame_grid

    if options.manifest:
        check_manifest_place(options.manifest)
    config = compose_run(options.words)
    names_model = any(key_of(word).split(".")[0] in ("backbone", "model", "experiment") for word in options.words)
    grid = frame_grid(config.backbone)
    report = check_data(config.data, grid if names_model else None)
    print_table(coverage_table(report))
    print_table(data_table(report.splits, is_whole=options.classes))
    framewise = of_kinds(report.splits.train, FRAMEWISE)
    if lengths := event_lengths(framewise, report.splits.classes):
        print_table(lengths_table(lengths, is_whole=options.classes))
    for proposal in propose(framewise, lengths, grid.hop_s):
        print(proposal.line())
    for note in overhang_notes(report.splits):
        print(note)
    print(f"manifest hash {report.splits.manifest_hash}; unreadable files: {len(report.problems)}")
    if options.manifest:
        write_manifest(report.splits, options.manifest)
    for problem in report.problems:
        print(f"efficient-sed: {problem}", file=sys.stderr)
    return EXIT_FAILED if report.problems else 0
