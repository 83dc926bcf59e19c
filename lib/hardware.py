"""What computes here: the device, its precision, and what makes a model fit both."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, parse_flag_from_env
from torch import nn

from lib import paths

__all__ = ["precision", "accelerator", "named", "on_device", "quick_attention", "two_matmuls"]


def precision() -> str:
    """In what matrices are multiplied here: "bf16" where the chip does so in hardware, else "fp16" on a GPU with tensor
    cores (a T4: its bf16 is emulated), where gradients are scaled, else "float32". On a CPU without such instructions
    a bf16 product takes a hundred times as long."""
    if _cuda():
        capability = torch.cuda.get_device_capability()
        return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "float32"
    return "bf16" if not _mps() and torch.cpu._is_avx512_bf16_supported() else "float32"


def _cuda() -> bool:
    return torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")


def _mps() -> bool:
    return torch.backends.mps.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")


def accelerator() -> Accelerator:
    """accelerate on the best device there is, in its `precision`; what stays float32 on CUDA is multiplied in TF32."""
    if _cuda():
        torch.set_float32_matmul_precision("high")
    patient = InitProcessGroupKwargs(timeout=timedelta(weeks=1))  # a run may wait that long for the lock of another
    mixed = precision().replace("float32", "no")
    return Accelerator(mixed_precision=mixed, kwargs_handlers=[patient])


def named() -> str:
    """What computes here and in which precision, in one line."""
    if _cuda():
        return f"{torch.cuda.get_device_name()}, {precision()}"
    if _mps():
        return f"GPU of a Mac (MPS), {precision()}: nothing here was tested on one, ACCELERATE_USE_CPU=1 avoids it"
    threads = torch.get_num_threads()
    return f"{paths.processor()}, {threads} thread{'s' * (threads > 1)}, {precision()}"


@contextmanager
def on_device(model: nn.Module) -> Iterator[torch.device]:
    """The accelerator's device, with the model on it; at the end the model is back where it was."""
    home = next((x.device for x in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    device = accelerator().device
    model.to(device)
    try:
        yield device
    finally:
        model.to(home)


def quick_attention(model: nn.Module) -> AbstractContextManager:
    """Within, attention as it trains fastest: in bf16 on a CPU by two matrix products, elsewhere as torch chooses.

    Forth and back torch's fused attention took 1.7 to 3.4 times as long in bf16 (Xeon with AMX, seven shapes from
    `tiny` to ViT-B), and in float32 0.8 to 1.2 times as long as the two products."""
    acc = accelerator()
    slow = acc.device.type == "cpu" and acc.mixed_precision == "bf16"
    return two_matmuls(model) if slow else nullcontext()


@contextmanager
def two_matmuls(model: nn.Module) -> Iterator[None]:
    """Within, attention by two matrix products, which torch's counter of FLOP sees on every device."""
    fused = [module for module in model.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        module.fused_attn = False
    try:
        yield
    finally:
        for module in fused:
            module.fused_attn = True
