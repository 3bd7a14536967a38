"""What the scoring of a tokenizer does image by image, by its workers or by the stage itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import RunFolder, Workspace
from gigatok.artifacts.files import working_folder
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import Params
from gigatok.data import ImageSet, PreparedData
from gigatok.evaluation.arrays import Images
from gigatok.evaluation.decode import as_they_lie, decode, images_in_file, open_images, reconstruct
from gigatok.evaluation.extractors.base import Extractor, Features, Progress
from gigatok.evaluation.inputs.evaluation_set import content_sha256
from gigatok.evaluation.probes.encoder import Side, Step
from gigatok.evaluation.probes.scores import POOL_PART, Pool, encoder_pool
from gigatok.evaluation.stages.common import further_extractors, open_extractor
from gigatok.evaluation.store.features import (
    feature_cache,
    features_by_content,
    missing_features,
    store_features,
    stored_features,
)
from gigatok.evaluation.store.parts import PART, part_ranges
from gigatok.evaluation.workers import Workers, open_workers, processes_for
from gigatok.interop.native import load_tokenizer_at, load_tokenizer_dir
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import refuse_unrepeatable, set_up

R = TypeVar("R")


class SharedImages(NamedTuple):
    """(n, S, S, 3), and the file where workers find them; ``None``: they are the prepared ones, or there are none."""

    images: Images
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class TokenizerWork:
    """A tokenizer with its images and extractors."""

    run: RunFolder
    params: Params
    workspace: Workspace
    device: torch.device
    data: PreparedData
    tokenizer: Tokenizer
    extractor: Extractor
    others: tuple[Extractor, ...]
    """Further extractors."""
    absent: tuple[str, ...]
    """A note for each that could not be loaded."""
    workers: Workers[TokenizerWork] | None = None
    """Processes that hold a ``TokenizerWork`` each; ``None``: this process does everything, in memory."""
    folder: Path | None = None
    """Where images lie that workers share."""
    _kept: dict[Step, Tokenizer] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(cls, name: str, params: Params, workspace: Workspace, device: torch.device) -> TokenizerWork:
        """For tokenizer ``name``: in the stage, and in each process that it shares the work with."""
        run = workspace.tokenizer(name)
        if params.tokenizer_launch(name).deterministic:
            refuse_unrepeatable()
        others, absent = further_extractors(params.reference, device)
        return cls(
            run=run,
            params=params,
            workspace=workspace,
            device=device,
            data=PreparedData.open(workspace.data),
            tokenizer=load_tokenizer_dir(run.path).to(device),
            extractor=open_extractor(params.reference, device),
            others=tuple(others),
            absent=tuple(absent),
        )

    def each(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """``work(self, *item)`` for each of ``items``, in their order, by the workers or by this process."""
        return (work(self, *item) for item in items) if self.workers is None else self.workers.map(work, items)

    def originals(self) -> SharedImages:
        """The validation images; packed pixels are read from disk as used."""
        validation = self.data.validation
        if self.folder is None or validation.is_packed:
            return SharedImages(validation.uint8())
        return self._shared("originals", _originals, part_ranges(len(validation)))

    def reconstructions(self, originals: SharedImages, progress: Callable[[int], None]) -> SharedImages:
        """Of the validation images; ``progress`` is called with how many are done."""
        batch = self.params.evaluate_tokenizer.batch_size
        if self.folder is None:
            return SharedImages(reconstruct(self.tokenizer, originals.images, batch, progress))
        ranges = part_ranges(len(originals.images), max(1, PART // batch) * batch)  # whole batches
        items = [(originals.file, *edges) for edges in ranges]
        return self._shared("reconstructions", _reconstruct, items, progress)

    def decoded(self, indices: npt.NDArray[np.integer]) -> SharedImages:
        """Of the indices (n, N) of the validation images, changed."""
        batch = self.params.evaluate_tokenizer.batch_size
        if self.folder is None:
            return SharedImages(decode(self.tokenizer, torch.from_numpy(indices), batch))
        ranges = part_ranges(len(indices), max(1, PART // batch) * batch)
        return self._shared("decoded", _decode, [(indices[start:stop],) for start, stop in ranges])

    def features(self, extractor: Extractor, shared: SharedImages, progress: Progress | None = None) -> Features:
        """Features by one of its extractors, kept under ``runs/cache`` by content."""
        batch, images = self.params.reference.batch_size, shared.images
        if self.workers is None:
            return stored_features(extractor, images, self.workspace, batch, progress)
        sha256, root = content_sha256(images), feature_cache(self.workspace)
        names = [each.name for each in (self.extractor, *self.others)]
        missing = missing_features(extractor, sha256, len(images), root)
        items = [(names.index(extractor.name), shared.file, sha256, *edges) for edges in missing]
        for (_, stop), _ in zip(missing, self.each(_extract, items), strict=True):
            if progress is not None:
                progress(stop, len(images))
        return features_by_content(extractor, sha256, len(images), root, lambda: images, batch)

    def pool(self, side: Side, step: Step, progress: Callable[[int], None]) -> Pool:
        """(n, width) encoder features, mean over tokens, with the weights of that step; see ``encoder_pool``."""
        ranges = part_ranges(len(self._side(side)), POOL_PART)
        parts = []
        for (_, stop), part in zip(ranges, self.each(_pool, [(side, step, *edges) for edges in ranges]), strict=True):
            parts.append(part)
            progress(stop)
        return np.concatenate(parts)

    def at(self, step: Step) -> Tokenizer:
        """The tokenizer with the weights of that step; the last one that was asked for is kept."""
        if step not in self._kept:
            self._kept.clear()
            self._kept[step] = load_tokenizer_at(self.run, step).to(self.device)
        return self._kept[step]

    def opened(self, file: Path | None) -> Images:
        """What ``SharedImages.file`` stands for."""
        return self.data.validation.uint8() if file is None else open_images(file)

    def _side(self, side: Side) -> ImageSet:
        return self.data.train if side == "train" else self.data.validation

    def _shared(
        self,
        name: str,
        work: Callable[..., Images],
        items: Sequence[tuple[Any, ...]],
        progress: Callable[[int], None] = lambda done: None,
    ) -> SharedImages:
        assert self.folder is not None
        path = self.folder / f"{name}.npy"
        images = images_in_file(path, len(self.data.validation), self.each(work, items), progress)
        return SharedImages(images, path)


@contextmanager
def open_work(name: str, params: Params, workspace: Workspace) -> Iterator[TokenizerWork]:
    """The work of a stage, shared by as many processes as the tokenizer's ``launch`` says."""
    device = set_up(params.base)
    count = processes_for(params.tokenizer_launch(name), device)
    sound_data(workspace.data)  # for all processes, which need not compare it again
    make = partial(TokenizerWork.open, name, params, workspace)
    with open_workers(count, make, params.base, device) as workers, ExitStack() as opened:
        work = make(device)
        if workers is not None:
            folder = opened.enter_context(working_folder(workspace.runs / "cache"))
            work = replace(work, workers=workers, folder=folder)
        yield work


def _originals(work: TokenizerWork, start: int, stop: int) -> Images:
    pixels = work.data.validation.batch(np.arange(start, stop)).permute(0, 2, 3, 1)
    return np.ascontiguousarray(pixels.numpy())


def _reconstruct(work: TokenizerWork, file: Path | None, start: int, stop: int) -> Images:
    batch = work.params.evaluate_tokenizer.batch_size
    return as_they_lie(reconstruct(work.tokenizer, work.opened(file)[start:stop], batch))


def _decode(work: TokenizerWork, indices: npt.NDArray[np.integer]) -> Images:
    return as_they_lie(decode(work.tokenizer, torch.from_numpy(indices), work.params.evaluate_tokenizer.batch_size))


def _extract(work: TokenizerWork, place: int, file: Path | None, sha256: str, start: int, stop: int) -> None:
    """Store the features of some rows."""
    images, root = work.opened(file), feature_cache(work.workspace)
    extractor = (work.extractor, *work.others)[place]
    store_features(extractor, sha256, images, (start, stop), root, work.params.reference.batch_size)


def _pool(work: TokenizerWork, side: Side, step: Step, start: int, stop: int) -> Pool:
    return encoder_pool(work.at(step), work._side(side), range(start, stop))
