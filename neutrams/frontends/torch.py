"""Exports torch modules to ONNX in memory, with an open batch where torch can follow one."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto


def export_module(module: torch.nn.Module, examples: object) -> ModelProto:
    """Return the ONNX model of a module in evaluation mode, whose own mode is kept.

    Args:
        module: any module that ``torch.export`` can trace.
        examples: one input tensor or array, a tuple of them, or a mapping by the names of the
            arguments (in order, where the names are others); first axis the batch.

    Raises:
        NeutramsError: NT0615, a library is missing, there is no example, or torch refuses.
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise NeutramsError(
            error("NT0615", "exporting a torch module needs `onnxscript`").help(
                "install it: `pip install onnxscript`"
            )
        )
    if examples is None:
        raise NeutramsError(
            error("NT0615", "a torch module says nothing of its inputs").help(
                "give `examples=`, one input with a batch axis"
            )
        )
    tensors = _tensors(module, examples)
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        return _export(module, tensors)
    finally:
        for child, mode in modes.items():
            child.training = mode


def _tensors(module: torch.nn.Module, examples: object) -> tuple[torch.Tensor, ...]:
    """Return example inputs in the order in which ``forward`` takes them."""
    import numpy as np
    import torch

    if isinstance(examples, Mapping):
        arguments = list(inspect.signature(module.forward).parameters)
        if set(examples) <= set(arguments):
            examples = {name: examples[name] for name in arguments if name in examples}
        examples = tuple(examples.values())
    values = examples if isinstance(examples, tuple) else (examples,)
    return tuple(torch.as_tensor(v if torch.is_tensor(v) else np.asarray(v)) for v in values)


def _export(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> ModelProto:
    """Try an open batch first; torch needs two samples for it, and may refuse."""
    import torch

    batched = all(tensor.ndim for tensor in tensors)
    faults = (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError)
    if batched:
        pairs = tuple(tensor[:1].repeat(2, *[1] * (tensor.ndim - 1)) for tensor in tensors)
        try:
            return _run(module, pairs, shapes=tuple({0: torch.export.Dim("N")} for _ in pairs))
        except faults:
            tensors = tuple(tensor[:1] for tensor in tensors)
    try:
        return _run(module, tensors, shapes=None)
    except faults as fault:
        raise NeutramsError(_refused(module, fault)) from None


def _run(
    module: torch.nn.Module, tensors: tuple[torch.Tensor, ...], *, shapes: tuple[Any, ...] | None
) -> ModelProto:
    import torch

    with torch.no_grad(), warnings.catch_warnings(), _quiet(logging.getLogger("torch.onnx")):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, tensors, dynamo=True, dynamic_shapes=shapes, verbose=False, optimize=False
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Hold back what the exporter logs of libraries that a model may not even use."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refused(module: torch.nn.Module, fault: BaseException) -> Diagnostic:
    while fault.__cause__ is not None:
        fault = fault.__cause__
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return (
        error("NT0615", f"torch cannot export `{type(module).__name__}` to ONNX")
        .note(f"{type(fault).__name__}: {lines[0] if lines else 'no reason given'}")
        .help("export it yourself with `torch.onnx.export` and give the file")
    )
