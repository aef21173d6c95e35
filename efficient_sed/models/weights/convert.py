"""Checkpoints of any accepted kind rewritten as ours: safetensors that say which model they hold."""

from __future__ import annotations

from pathlib import Path

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.models.names import GRAMMAR, architecture_name, parse_name
from efficient_sed.models.weights.cards import card_of_file, find_weights, list_cards
from efficient_sed.models.weights.checkpoint import load_model, save_model, stored_and_wanted
from efficient_sed.models.weights.read import read_checkpoint


def convert_checkpoint(
    source: Path, target: Path, name: str | None = None, *, half: bool = False, overwrite: bool = False
) -> str:
    """Load strictly, write `target`, and return the architecture.

    Args:
        source: A file, or a released name.
        target: A .safetensors file.
        name: Architecture, default None: what the file's header says, else what its name begins with, as in
            fmn10+tf-256_strong.pt.
        half: Store floating-point weights as float16.
        overwrite: Whether a target that is there may be replaced.

    Raises:
        CheckpointError: If the source cannot be loaded, or the target is there and not to be overwritten, or cannot be
            written.
        ConfigError: If the target is not a .safetensors file, or nothing says which architecture the source holds.
    """
    if not source.is_file() and str(source) in list_cards():
        source = find_weights(list_cards()[str(source)])
    if target.suffix != ".safetensors":
        raise ConfigError(f"{target}: models are written as .safetensors files; name it {target.stem}.safetensors")
    if target.exists() and not overwrite:
        raise CheckpointError(f"{target}: is there already; give another name, or --force to overwrite it")
    if name is not None and parse_name(name).tag is not None:
        raise ConfigError(f"--name {name}: give the architecture alone, {parse_name(name).architecture}")
    state, header = read_checkpoint(source)
    if name is None and header is None:
        name = _architecture_of(source)
    stored, wanted = stored_and_wanted(source, state, header, name)
    architecture = architecture_name(stored.backbone, stored.seq)
    if stored.seq != wanted:  # load_model would draw the missing head at random
        raise CheckpointError(f"{source}: holds {architecture}, not {name}")
    model = load_model(architecture, source)
    save_model(model, target, half=half)
    return architecture


def _architecture_of(path: Path) -> str:
    if (card := card_of_file(path)) is not None:
        return card.architecture
    try:
        return parse_name(path.stem).architecture
    except ConfigError as error:
        raise ConfigError(
            f"{path}: neither the file nor its name says which model it holds; give --name ARCH: {GRAMMAR}"
        ) from error
