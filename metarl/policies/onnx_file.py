"""Out to ONNX: a policy's mean action as a file that runs without PyTorch."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from metarl.errors import RunError

PACKAGES = ("onnx", "onnxscript")
"""Of the extra "onnx"."""


def write_onnx(module: torch.nn.Module, observation_size: int, path: Path) -> None:
    """Writes a module: `observations` [env, observation] -> `actions` [env, action], of any number of envs.

    Raises:
        ValueError: the packages of the extra "onnx" are not installed, or a module that cannot be exported.
        RunError: the file cannot be written.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise ValueError(
            f"expected the packages {' and '.join(PACKAGES)}, found no {' and no '.join(missing)}: install "
            f'the extra "onnx", or pip install {" ".join(missing)}'
        )
    like = next(module.parameters())
    example = torch.zeros(2, observation_size, dtype=like.dtype, device=like.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecations
        try:
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=["observations"],
                output_names=["actions"],
                dynamic_shapes=({0: torch.export.Dim("env")},),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = f"{error}".splitlines()[0]
            raise ValueError(
                f"expected a policy of operations that torch.export and ONNX know, got another: {reason}"
            ) from error
    if program is None:
        raise RunError(f"expected an ONNX program to write to {path}, got none from torch.onnx")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        program.save(path)
    except OSError as error:
        raise RunError(f"expected a place to write to, got {path}: {error.strerror}") from error
