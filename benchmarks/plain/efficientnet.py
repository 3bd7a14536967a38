"""EfficientNet-Lite as timm has it: batch norms apart, padding by copying, channels first."""

from __future__ import annotations

import timm
from torch import nn

from gigatok.teachers.efficientnet import EFFICIENTNET_LITE
from gigatok.teachers.weight_files import packaged_file, read_state_dict


def timm_network(variant: str) -> nn.Module:
    """``lite0`` or ``lite2`` in eval mode; the packaged file lists timm's layers in timm's order, under other names."""
    source = EFFICIENTNET_LITE[variant]
    stored = read_state_dict(packaged_file(source.package, source.distribution, "models/*.pth"))
    network: nn.Module = timm.create_model(f"tf_efficientnet_{variant}", pretrained=False)
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    values = [value for name, value in stored.items() if not name.endswith("num_batches_tracked")]
    network.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    return network.eval()
