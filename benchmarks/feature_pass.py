"""A feature pass of the embedded judge against timm's network as it is: python benchmarks/feature_pass.py.

Both do the whole way from uint8 images to features, alternating, in one process with one thread. Prints images/s, their
ratio and the time that 10,000 images would take (``--images 10000`` takes it).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from plain.efficientnet import timm_network

from gigatok.evaluation.extractors.registry import load_extractor


def main() -> None:
    """Time both and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=32, help="side of the images")
    parser.add_argument("--extractor-size", type=int, default=128, help="side the network sees")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = (options.images, options.image_size, options.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    judge = load_extractor("efficientnet-lite2", image_size=options.extractor_size)
    plain = timm_network("lite2")

    def as_it_is(batch: np.ndarray) -> None:
        with torch.no_grad():
            prepared = judge.resize(torch.from_numpy(batch).permute(0, 3, 1, 2))
            plain.forward_head(plain.forward_features(prepared), pre_logits=True)

    seconds = {"gigatok": 0.0, "timm": 0.0}
    passes = {"gigatok": lambda batch: judge.extract(batch, options.batch_size), "timm": as_it_is}
    for call in passes.values():
        call(images[: options.batch_size])
    for start in range(0, options.images, options.batch_size):
        for name, call in passes.items():
            begin = time.perf_counter()
            call(images[start : start + options.batch_size])
            seconds[name] += time.perf_counter() - begin
    rates = {name: options.images / spent for name, spent in seconds.items()}
    result = {
        "extractor_size": options.extractor_size,
        "images_per_second": rates,
        "times_faster": rates["gigatok"] / rates["timm"],
        "seconds_for_10000": 10_000 / rates["gigatok"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
