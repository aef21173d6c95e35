"""A folder with a page that detects sounds in a browser, in files and from the microphone.

Any server of static files can serve it. The page runs the ONNX file by onnxruntime-web and finds the events that
`efficient-sed detect` finds; no sound leaves the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from efficient_sed.errors import CheckpointError, ConfigError
from efficient_sed.export.contract import check_free
from efficient_sed.export.targets.onnx import OnnxTarget
from efficient_sed.files.atomic import check_replaceable, names_program
from efficient_sed.files.folders import write_folder
from efficient_sed.inference.header import EXACT, Header
from efficient_sed.registry import EXPORT_TARGETS

if TYPE_CHECKING:
    from efficient_sed.models.sed import SedModel


@EXPORT_TARGETS.register("web")
class WebTarget(OnnxTarget):
    """See `ExportTarget`."""

    suffix = ""
    inputs = ("waveform",)
    run_time = "onnxruntime-web"
    precisions = {EXACT: "float32 as in PyTorch"}  # noqa: RUF012

    @classmethod
    def engines(cls) -> list[str]:
        """See `ExportTarget.engines`: those of the ONNX file in the folder."""
        return OnnxTarget.engines()

    def check_precision(self, model: SedModel, precision: str) -> None:
        """See `ExportTarget.check_precision`: a page is not scored."""
        raise ConfigError(f"--precision {precision} is not for --format web, whose page has one model, in float32")

    def check_output(self, path: Path, *, overwrite: bool) -> None:
        """See `ExportTarget.check_output`: a page's folder may be overwritten, no other."""
        check_free(path, overwrite=overwrite)
        if path.is_dir() and any(path.iterdir()) and not (path / "index.html").is_file():
            raise CheckpointError(f"{path}: a folder of other files; give another name")
        try:
            check_replaceable(path / "index.html", names_program)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
        self.check_packages()
        from efficient_sed.export.web_page import read_runtime

        if self.runtime is not None:
            read_runtime(self.runtime)

    def write(self, model: SedModel, header: Header) -> bytes:
        """See `ExportTarget.write`."""
        from efficient_sed.export.web_page import check_postprocessing
        from efficient_sed.inference.detector import check_task

        check_task(header.task)
        check_postprocessing(header)
        return super().write(model, header)

    def save(self, path: Path, content: bytes, header: Header) -> int:
        """See `ExportTarget.save`: a new folder appears when it is complete."""
        from efficient_sed.export.web_page import page_files, read_runtime

        runtime = {} if self.runtime is None else read_runtime(self.runtime)
        files = page_files(content, header, runtime)
        try:
            write_folder(path, files)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
        return sum(map(len, files.values()))

    def advice(self, path: Path) -> list[str]:
        """See `ExportTarget.advice`."""
        from efficient_sed.export.web_page import PUBLIC_ADDRESS

        lines = [f"serve it by: python -m http.server --directory {path}"]
        if self.runtime is None:
            lines.append(f"its run time comes from {PUBLIC_ADDRESS}; --runtime DIR puts a copy into the folder")
        return lines
