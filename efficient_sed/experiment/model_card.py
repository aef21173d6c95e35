"""The card of a model on the hub, README.md: metadata in front, then how to use it, its scores and its training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from efficient_sed.config.describe import changed_options
from efficient_sed.config.parse import from_dict
from efficient_sed.config.run import RunConfig
from efficient_sed.experiment.result_file import exact_variant, main_score
from efficient_sed.metrics.contracts import all_scores
from efficient_sed.models.sed import SedModel
from efficient_sed.models.weights.hub import LIBRARY_NAME, HubName
from efficient_sed.postprocessing.carried import Postprocessing

_NOT_TRAINING = ("output_dir=", "logger=", "benchmark.")


def write_card(result: Mapping[str, Any], hub: HubName, licence: str, model: SedModel) -> str:
    """The text of a model card.

    Args:
        result: Of the finished run.
        hub: Where the model goes.
        licence: Identifier such as "MIT".
        model: What is in its model file.

    Raises:
        ConfigError: If the run is of another version, whose options no longer exist.
    """
    return f"---\n{_metadata(result, hub, licence)}\n---\n\n{_text(result, hub, model)}"


def _metadata(result: Mapping[str, Any], hub: HubName, licence: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    data, metrics, score = result["data"], result["metrics"], main_score(result)
    words = "detection" if result["task"] == "detection" else "tagging"
    results = [
        EvalResult(
            task_type="audio-classification",
            task_name=f"sound event {words}",
            dataset_type=data["name"],
            dataset_name=f"{data['name']}, test part",
            dataset_split="test",
            dataset_revision=data["manifest_hash"],
            metric_type=key,
            metric_name=all_scores()[key].name,
            metric_value=round(metrics[key], 4),
            metric_args={"variant": exact_variant({**metrics, "variant": metrics.get(variant, metrics["variant"])})},
        )
        for key, variant in ((score.key, "variant"), (score.tuned().key, "variant_tuned"))
        if metrics.get(key) is not None
    ]
    front: str = ModelCardData(
        license=licence.lower(),
        library_name=LIBRARY_NAME,
        pipeline_tag="audio-classification",
        tags=[f"sound-event-{words}", "low-complexity", *result["model"].split("+")],
        datasets=[data["name"]],
        model_name=hub.repo.split("/")[1],
        eval_results=results,
    ).to_yaml()
    return front


def _text(result: Mapping[str, Any], hub: HubName, model: SedModel) -> str:
    data, metrics, costs, environment = (result[key] for key in ("data", "metrics", "complexity", "environment"))
    rows = [
        f"| {score.name} | {metrics[key]:.4f} |"
        for key, score in all_scores(result["task"]).items()
        if (score.lead or score.column) and metrics.get(key) is not None
    ]
    options = [
        option
        for option in changed_options(from_dict(RunConfig, result["config"]))
        if not option.startswith(_NOT_TRAINING)
    ]
    provenance = model.provenance
    postprocessing = Postprocessing.of(provenance.postprocessing, provenance.median_frames, len(model.classes))
    thresholds = "0.5 for all" if postprocessing.thresholds is None else "one for each class, in the file"
    return f"""# {hub.repo.split("/")[1]}

{result["model"]}, trained for {result["task"]} of {len(model.classes)} classes on {data["name"]}:
{", ".join(model.classes)}.

## Use

```python
import efficient_sed as es

model = es.load_model("{hub}")
for event in es.detect("recording.wav", model):
    print(event)
```

On the command line: `efficient-sed detect recording.wav --model {hub}`

## Scores

| on the test part, {metrics["coverage"]["clips_scored"]} clips | |
|---|---|
{chr(10).join(rows)}

Variant: `{exact_variant(metrics)}`

## Costs

{costs["params"]:,} parameters; {costs["macs"]:,} multiply-accumulates for {costs["seconds"]:g} s of sound.

## Post-processing

For scores over all thresholds: {postprocessing.scores.describe()}; for events: {postprocessing.events.describe()};
thresholds: {thresholds}. The model file carries it, and `detect` applies it.

## Training

```text
efficient-sed train {shlex.join(options)}
```

efficient_sed {environment["versions"].get("efficient-sed", "of an early version")}, commit `{environment["commit"]}`,
data manifest `{data["manifest_hash"]}`, seed {result["seed"]}. All of it stands in `result.json` and `config.yaml`.
"""
