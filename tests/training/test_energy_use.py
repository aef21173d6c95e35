"""The energy of trainings, on a make-believe counter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_meters import Powercap
from pytorch_lightning.demos.boring_classes import BoringModel

from efficient_sed.benchmark.energy import rapl
from efficient_sed.benchmark.energy.recorder import J_PER_KWH
from efficient_sed.training.energy import UNKNOWN, EnergyUse

STEPS, JOULES = 3, 360.0
pytestmark = pytest.mark.filterwarnings("ignore")  # what Lightning says of a training that is this small


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    folder = tmp_path / "powercap"
    monkeypatch.setattr(rapl, "POWERCAP", folder)
    return Powercap(folder, {"intel-rapl:0": "package-0"})


def train(powercap: Powercap, epochs: int, resumed: Path | None = None) -> EnergyUse:
    """Each step uses as much."""

    class Uses(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            powercap.use("intel-rapl:0", JOULES)

    energy = EnergyUse()
    model = BoringModel()
    model.val_dataloader = lambda: torch.utils.data.DataLoader(torch.zeros(1, 32))  # type: ignore[method-assign]
    model.train_dataloader = lambda: torch.utils.data.DataLoader(torch.zeros(STEPS, 32))  # type: ignore[method-assign]
    trainer = pl.Trainer(
        default_root_dir=powercap.folder.parent, max_epochs=epochs, accelerator="cpu", callbacks=[Uses(), energy],
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(model, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(powercap.folder.parent / "last.ckpt")
    return energy


def kwh(epochs: int) -> Any:
    return pytest.approx(epochs * STEPS * JOULES / J_PER_KWH)


def test_the_whole_fit_is_measured_and_a_resume_adds(powercap: Powercap) -> None:
    facts = train(powercap, 1).facts()
    assert (facts["energy_kwh"], facts["energy_method"], facts["energy_missing"]) == (kwh(1), "RAPL, 1 package", {})
    facts = train(powercap, 3, powercap.folder.parent / "last.ckpt").facts()
    assert (facts["energy_kwh"], facts["energy_kwh_by_part"]) == (kwh(3), {"CPU": kwh(3)})
    assert facts["energy_method"] == "RAPL, 1 package"


def test_what_was_not_measured_before_is_not_known_later(powercap: Powercap, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = powercap.folder.parent / "last.ckpt"
    train(powercap, 1)
    stored = torch.load(checkpoint, weights_only=True)
    torch.save(stored | {"callbacks": {}}, checkpoint)  # as of an older version
    facts = train(powercap, 2, checkpoint).facts()
    assert (facts["energy_kwh"], facts["energy_missing"]) == (None, {"CPU": UNKNOWN})
    monkeypatch.setattr(rapl, "POWERCAP", powercap.folder / "absent")
    torch.save(stored, checkpoint)
    facts = train(powercap, 2, checkpoint).facts()
    assert (facts["energy_kwh"], facts["energy_kwh_by_part"], facts["energy_method"]) == (None, {"CPU": None}, None)
    assert "no processor package" in facts["energy_missing"]["CPU"]


def test_a_gpu_that_takes_part_no_longer_counts(powercap: Powercap) -> None:
    checkpoint = powercap.folder.parent / "last.ckpt"
    train(powercap, 1)
    stored = torch.load(checkpoint, weights_only=True)
    stored["callbacks"]["EnergyUse"]["joules"]["GPU"] = 7 * J_PER_KWH
    stored["callbacks"]["EnergyUse"]["method"] += " + NVML"
    torch.save(stored, checkpoint)
    facts = train(powercap, 2, checkpoint).facts()
    assert facts["energy_kwh_by_part"] == {"CPU": kwh(2), "GPU": pytest.approx(7.0)}
    assert facts["energy_kwh"] == pytest.approx(7 + kwh(2).expected)
    assert facts["energy_method"] == "RAPL, 1 package + NVML, then RAPL, 1 package"
