"""`efficient-sed models push RUN USER/NAME` and `efficient-sed models hf:USER/NAME`: models on the Hugging Face Hub."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from efficient_sed.errors import ConfigError, printable

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel

ONNX_FILE, CARD_FILE = "model.onnx", "README.md"


def push(options: argparse.Namespace) -> int:
    """Upload a finished run."""
    if len(options.words) != 3:
        raise ConfigError(f"models push takes RUN and USER/NAME, got {' '.join(options.words[1:]) or 'neither'}")
    from efficient_sed.experiment.push import push_run

    folder, repo = options.words[1:]

    def export(model: SedModel) -> Path:
        from efficient_sed.export.write import export_model

        return export_model(model, Path(scratch) / ONNX_FILE, repo).path

    with tempfile.TemporaryDirectory() as scratch:
        url, files = push_run(
            Path(folder),
            repo,
            options.licence,
            private=options.private,
            revision=options.revision,
            export=export if options.onnx else None,
        )
    print(f"pushed {', '.join(files)}: {url}")
    return 0


def print_hub_card(options: argparse.Namespace) -> int:
    """Print the model card of a repository, or its metadata as JSON."""
    from huggingface_hub import ModelCard

    from efficient_sed.models.weights.hub import fetch_from_hub, hub_errors, parse_hub_name

    (name,) = options.words
    with hub_errors(parse_hub_name(name)):
        card = ModelCard(fetch_from_hub(name, CARD_FILE).read_text(encoding="utf-8"))
    text = json.dumps(cast(Any, card.data).to_dict(), indent=1) if options.json else card.text.strip()
    print("\n".join(map(printable, text.splitlines())))
    return 0
