"""A model as an ExecuTorch program whose operations XNNPACK computes."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.export import ExportedProgram

from efficient_sed.errors import CheckpointError, EfficientSedError
from efficient_sed.export.check import Scores, create_example, example_lengths
from efficient_sed.export.xnnpack.forms import in_forms
from efficient_sed.inference.engines.executorch import CHECKSUM_BYTES, sealed
from efficient_sed.inference.header import Header
from efficient_sed.models.fuse import fuse
from efficient_sed.models.sed import SedModel

if TYPE_CHECKING:
    from executorch.exir import EdgeProgramManager


def capture(model: SedModel, header: Header) -> ExportedProgram:
    """The graph of a model's fused form for one clip of the header's length.

    Raises:
        CheckpointError: If PyTorch cannot follow the model.
    """
    fused = fuse(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # the only one it runs
    example = create_example(model, header, 1, *example_lengths(header))
    with refusing(header), torch.no_grad():
        return torch.export.export(Scores(fused, has_frontend=False), (example,))


def lower(program: ExportedProgram, header: Header) -> tuple[bytes, str]:
    """Hand a graph over to XNNPACK.

    Returns:
        The content of a file, and how much of the graph XNNPACK computes.

    Raises:
        CheckpointError: If ExecuTorch lacks an operation of the model.
    """
    with refusing(header):
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.config.generic_node_configs import ViewCopyConfig
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = in_forms(program)
        for node in program.graph.nodes:  # the rest is copied by each of a hundred passes, for a third of the time
            node.meta = {"val": node.meta["val"]} if "val" in node.meta else {}
        lowered = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner(configs=[*ALL_PARTITIONER_CONFIGS, ViewCopyConfig])],
            constant_methods=header.to_metadata(),
        )
        return sealed(bytes(lowered.to_executorch().buffer)), _share(lowered)


def _share(lowered: EdgeProgramManager) -> str:
    from executorch.devtools.backend_debug import get_delegation_info

    info = get_delegation_info(lowered.exported_program().graph_module)
    inside, outside = info.num_delegated_nodes, info.num_non_delegated_nodes
    pieces = "one piece" if info.num_delegated_subgraphs == 1 else f"{info.num_delegated_subgraphs} pieces"
    return f"XNNPACK computes {inside} of {inside + outside} operations, in {pieces}"


def replace_header(content: bytes, header: Header) -> bytes:
    """The same program with another header."""
    metadata = header.to_metadata()
    with quiet():
        from executorch.exir._serialize import _deserialize_pte_binary, _serialize_pte_binary
        from executorch.exir.schema import String

        file = _deserialize_pte_binary(content[:-CHECKSUM_BYTES])
        for plan in file.program.execution_plan:
            if plan.name in metadata:
                plan.values[plan.outputs[0]].val = String(metadata[plan.name])
        return sealed(bytes(_serialize_pte_binary(file, extract_delegate_segments=True)))


@contextmanager
def refusing(header: Header) -> Iterator[None]:
    """Quietly, and with one line for whatever goes wrong: the exporters have no errors of their own."""
    try:
        with quiet():
            yield
    except EfficientSedError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise CheckpointError(f"{header.model_name} is not exported: ExecuTorch refuses it ({reason})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without ExecuTorch's advice, and with its own compiler of schemas, which it looks for among the commands."""
    import executorch.data.bin

    os.environ.setdefault("FLATC_EXECUTABLE", str(Path(executorch.data.bin.__file__).with_name("flatc")))
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
