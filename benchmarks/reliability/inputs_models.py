"""Checkpoints, exported models and the cards of released ones."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from efficient_sed.benchmark.exported import benchmark_exported
from efficient_sed.files.packaged import resource_folder
from efficient_sed.inference.exported_model import ExportedModel
from efficient_sed.models.factory import create_model
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.cards import read_card
from efficient_sed.models.weights.checkpoint import load_model, save_model
from efficient_sed.models.weights.header import model_header
from reliability.inputs import Kind, check_labels, demand
from reliability.mutations import change_value, damage, damaged_json, wild_value

ARCHITECTURE = "crnn_dws+gru-16"
LABELS = ("cat", "dog", "train")


def _small_model() -> SedModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return create_model(ARCHITECTURE, classes=LABELS)


def _prepare_checkpoints(folder: Path) -> None:
    model = _small_model()
    save_model(model, folder / "original.safetensors")
    torch.save(model.state_dict(), folder / "original.pt")
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save(
        {"state_dict": state, "hyper_parameters": {"model": model_header(model)}, "epoch": 3}, folder / "original.ckpt"
    )


def _attempt_checkpoint(rng: random.Random, folder: Path) -> bool:
    suffix = rng.choice(("safetensors", "pt", "ckpt"))
    original, path = folder / f"original.{suffix}", folder / f"damaged.{suffix}"
    is_rewritten = rng.random() < 0.5
    if not is_rewritten:
        path.write_bytes(damage(original.read_bytes(), rng))
    elif suffix == "safetensors":
        _wild_safetensors(original, path, rng)
    else:
        _wild_pickle(original, path, rng)
    model = load_model(ARCHITECTURE, path) if rng.random() < 0.7 or suffix == "pt" else load_model(str(path))
    weights = model.state_dict()
    demand(all(torch.isfinite(value).all() for value in weights.values()), "a weight is no finite number")
    check_labels(model.classes)
    demand(
        1 <= model.provenance.clip_seconds < 1e5
        and model.provenance.median_frames % 2 == 1
        and model.provenance.median_frames > 0,
        f"{model.provenance}",
    )
    demand(model.provenance.task in ("detection", "tagging"), f"{model.provenance}")
    if not is_rewritten and suffix != "safetensors":  # a zip archive has checksums
        demand(
            all(torch.equal(value, weights[key]) for key, value in _small_model().state_dict().items()),
            "other weights than were stored",
        )
    return True


def _wild_safetensors(original: Path, path: Path, rng: random.Random) -> None:
    """Another header of ours, another table of tensors, or other values."""
    data = original.read_bytes()
    size = int.from_bytes(data[:8], "little")
    table: dict[str, Any] = json.loads(data[8 : 8 + size])
    body = data[8 + size :]
    action = rng.random()
    if action < 0.6:
        header = json.loads(table["__metadata__"]["efficient_sed"])
        table["__metadata__"]["efficient_sed"] = json.dumps(change_value(header, rng))
    elif action < 0.8:
        name = rng.choice([key for key in table if key != "__metadata__"])
        table[name] = (
            change_value(table[name], rng)
            if rng.random() < 0.7
            else table[name] | {"dtype": rng.choice(("F16", "BF16", "I32", "U8", "F8_E4M3", "BOOL", "F64", "C64"))}
        )
    else:
        place = rng.randrange(len(body) - 4) // 4 * 4
        body = body[:place] + np.array(rng.choice((np.nan, np.inf, 1e38)), np.float32).tobytes() + body[place + 4 :]
    text = json.dumps(table).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def _wild_pickle(original: Path, path: Path, rng: random.Random) -> None:
    """Another content of the same kind of file."""
    content = torch.load(original, weights_only=True)
    state = content.get("state_dict", content)
    key = rng.choice([*state])
    action = rng.random()
    if action < 0.1:
        content["hyper_parameters"] = change_value(content.get("hyper_parameters", {}), rng)
    elif action < 0.2:
        content = wild_value(rng)
    elif action < 0.3:
        del state[key]
    else:
        state[key] = rng.choice(
            (
                torch.tensor(float("nan")),
                state[key].double(),
                state[key].half(),
                state[key].expand(2, *state[key].shape),
                torch.zeros(1).expand(10**6, 10**6),
                torch.zeros(1).expand(10**10),
                torch.zeros(3).to_sparse(),
                state[key].to("meta"),
                torch.full_like(state[key], -1),
                wild_value(rng),
                torch.zeros(0),
                state[key].flatten(),
                state[key] * torch.nan,
                state[key].to(torch.complex64),
                torch.nn.Parameter(state[key].float()),
            )
        )
    try:
        torch.save(content, path)
    except (TypeError, ValueError, UnicodeEncodeError, RuntimeError):
        path.write_bytes(original.read_bytes())


def _prepare_onnx(folder: Path) -> None:
    from efficient_sed.cli.main import main

    save_model(_small_model(), folder / "model.safetensors")
    if (
        main(
            ["export", str(folder / "model.safetensors"), "--format", "onnx", "--output", str(folder / "original.onnx")]
        )
        != 0
    ):
        raise RuntimeError("the original was not exported")


def _attempt_onnx(rng: random.Random, folder: Path) -> bool:
    import onnx

    original, path = folder / "original.onnx", folder / "damaged.onnx"
    action = rng.random()
    if action < 0.5:
        path.write_bytes(damage(original.read_bytes(), rng))
    else:
        graph = onnx.load(original)
        if action < 0.8:
            entry = rng.choice(graph.metadata_props)
            value = wild_value(rng)
            entry.value = (
                (value if isinstance(value, str) and rng.random() < 0.5 else json.dumps(value))
                .encode("utf-8", "replace")
                .decode()
            )
        elif action < 0.9:
            part = rng.choice(
                (graph.graph.node, graph.graph.initializer, graph.graph.output, graph.graph.input, graph.metadata_props)
            )
            del part[rng.randrange(len(part))]
        else:
            weights = rng.choice([item for item in graph.graph.initializer if len(item.raw_data) >= 4])
            weights.raw_data = np.full(
                len(weights.raw_data) // 4, rng.choice((np.nan, np.inf, 1e30)), np.float32
            ).tobytes()
        onnx.save(graph, path)
    model = ExportedModel(path, 1)
    check_labels(model.classes)
    demand(
        model.header.min_samples <= round(model.clip_seconds * model.header.sample_rate) and model.clip_seconds <= 3600,
        f"{model.header}",
    )
    demand(model.median_frames % 2 == 1 and model.median_frames > 0 and 0 < model.threshold < 1, f"{model.header}")
    num_samples = max(model.min_samples, min(model.grid.sample_rate, 100_000))
    waveform = np.random.default_rng(0).uniform(-0.1, 0.1, (1, num_samples)).astype(np.float32)
    scores = model.score_frames(waveform)
    demand(scores.shape == (1, model.grid.num_frames(num_samples), len(model.classes)), f"scores {scores.shape}")
    demand(np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1, "a score is no probability")
    if rng.random() < 0.1:
        (record,) = benchmark_exported([path], passes=1)
        json.dumps(record, allow_nan=False)
    return True


def _prepare_cards(folder: Path) -> None:
    for name in ("fmn10+tf-256_strong", "fmn04_synthetic", "mn10_im", "beats_strong"):
        shutil.copy(resource_folder("pretrained") / f"{name}.json", folder)


def _attempt_card(rng: random.Random, folder: Path) -> bool:
    original = rng.choice(sorted(folder.glob("*.json")))
    path = folder / "damaged"
    path.write_bytes(damaged_json(original.read_text(), rng))
    card = read_card(path)
    demand(Path(card.file).name == card.file and card.file not in ("", ".", ".."), f"file {card.file!r}")
    demand(card.url is None or card.url.startswith(("http://", "https://")), f"url {card.url!r}")
    demand(
        card.name.isprintable() and card.params > 0 and card.macs > 0,
        f"{card.name!r}, {card.params} parameters, {card.macs} MACs",
    )
    demand(all(0 <= score.value <= 1 for score in card.scores), "a score is none")
    return True


MODELS = [
    Kind("checkpoint", "checkpoints (safetensors, pt, ckpt)", 10, _prepare_checkpoints, _attempt_checkpoint),
    Kind("onnx", "exported models (ONNX)", 6, _prepare_onnx, _attempt_onnx),
    Kind("card", "model cards (JSON)", 3, _prepare_cards, _attempt_card),
]
