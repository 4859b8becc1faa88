"""onnxruntime and OpenVINO: each reads an exported file and runs it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingFileError
from ..export.metadata import KEY, ExportMetadata

_DAMAGED = '{path} cannot be read by {backend} ({error}): give a complete file that tools/export.py wrote.'


class OnnxRuntime:
    """An ONNX file in onnxruntime, on 'cpu', or on 'cuda' with its onnxruntime-gpu.

    Attributes:
        metadata: Of the file.
        options: Names of the thresholds that can be given with the images.
    """

    def __init__(self, path: str, device: str, threads: int | None) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3  # or it warns of thresholds, whose defaults are initializers
        settings.intra_op_num_threads = threads or 0
        found = (name.removesuffix('ExecutionProvider') for name in onnxruntime.get_available_providers())
        providers = {name.lower(): f'{name}ExecutionProvider' for name in found if name != 'Azure'}  # a cloud's
        if device not in providers:
            raise InputError(
                f'onnxruntime has no device {device!r} here: give one of {", ".join(providers)}; for cuda, '
                'pip install onnxruntime-gpu.'
            )
        try:
            self._session = onnxruntime.InferenceSession(path, settings, providers=[providers[device]])
        except Exception as error:  # it has a class of its own for each, without a common one
            reason = str(error).strip().splitlines()[0]
            raise InputError(_DAMAGED.format(path=path, backend='onnxruntime', error=reason)) from error
        if self._session.get_providers()[0] != providers[device]:  # it goes on by the CPU, many times slower
            raise InputError(
                f'onnxruntime cannot use {device} here, as its libraries are missing or of another version: install '
                'those that its documentation names, or give the device cpu.'
            )
        self.metadata = ExportMetadata.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        self.options = [value.name for value in self._session.get_overridable_initializers()]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph: name of an input -> value, name of an output -> value."""
        names = self.metadata.outputs
        return dict(zip(names, self._session.run(names, inputs)))


class OpenVino:
    """A file of either kind in OpenVINO, where its thresholds are fixed, on 'cpu', 'gpu', 'npu' or 'auto'."""

    def __init__(self, path: str, device: str, threads: int | None) -> None:
        import openvino

        core = openvino.Core()
        found = [*(name.lower() for name in core.available_devices), 'auto']
        if device not in found:
            raise InputError(f'OpenVINO has no device {device!r} here: give one of {", ".join(found)}.')
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(_DAMAGED.format(path=path, backend='OpenVINO', error=reason)) from error
        # of an OpenVINO file, and of an ONNX file's metadata
        places = [place for place in ([KEY], ['framework', KEY]) if model.has_rt_info(place)]
        self.metadata = ExportMetadata.from_json(model.get_rt_info(places[0]).astype(str) if places else None, path)
        self.options = [value.any_name for value in model.inputs if value.any_name != 'images']
        # or it computes in half precision where the processor can
        settings: dict[str, Any] = {'PERFORMANCE_HINT': 'LATENCY', 'EXECUTION_MODE_HINT': 'ACCURACY'}
        if threads:
            settings['INFERENCE_NUM_THREADS'] = threads
        self._model = core.compile_model(model, device.upper(), settings)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph: name of an input -> value, name of an output -> value."""
        found = self._model(inputs)
        return {name: found[name] for name in self.metadata.outputs}


BACKENDS = {'onnxruntime': OnnxRuntime, 'openvino': OpenVino}


def open_exported(path: str, backend: str | None, device: str, threads: int | None) -> OnnxRuntime | OpenVino:
    """Open an exported file.

    Args:
        path (str): An ``.onnx`` or ``.xml`` file.
        backend (str, optional): 'onnxruntime' or 'openvino'. Defaults to that of the file's kind, or the other one
            where an ONNX file's own is not installed.
        device (str): Of the backend, 'cpu' say.
        threads (int, optional): Of the CPU. Defaults to the backend's choice, all cores.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If the backend is not installed or cannot read it, if the file is no export of this package or of a
            newer one, or there is no such device.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f'there is no exported model {path}: correct the path.')
    is_onnx = Path(path).suffix.lower() == '.onnx'
    fitting = list(BACKENDS) if is_onnx else ['openvino']
    if backend is None:
        backend = next((name for name in fitting if importlib.util.find_spec(name)), fitting[0])
    if backend not in BACKENDS:
        raise InputError(f'there is no backend {backend!r}: give one of {", ".join(BACKENDS)}.')
    if backend not in fitting:
        raise InputError(f'{backend} cannot read {path}: give an .onnx file, or the backend openvino.')
    if importlib.util.find_spec(backend) is None:
        raise InputError(f'reading {path} needs the package {backend}, which is not installed: pip install {backend}.')
    return BACKENDS[backend](path, device.lower(), threads)
