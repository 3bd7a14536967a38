"""Images in folders named after their class: ``root/class/*``, or ImageNet's ``root/{train,val}/class/*``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gigatok.config import GigatokError
from gigatok.config.base import printable
from gigatok.data.image_files import FileReader, Taken, is_hidden, natural_key, take_files
from gigatok.data.source import Record, Source, Split
from gigatok.data.split import TEST_SPLIT, OwnSplit, is_held_out, require_whole_split, seems_split, split_called

LAYOUT = "ROOT/CLASS/*.png, or ROOT/train/CLASS/*.png and ROOT/val/CLASS/*.png"
OUTSIDE = "outside the class folders"


def open_imagefolder(path: str) -> Source:
    """All images below ``path``, by class and name, numbers as numbers. Classes are the folder names.

    Folders called ``train``, ``val`` (``valid``, ``validation``) and ``test``, in any case, are splits, and so are
    ``training_set`` and ``val2017``. ``test`` is left out; without ``val`` there is no split of its own.

    Names of classes may have such words in them (``bullet_train``, ``test-tube``), and a folder ``train`` beside
    classes is a class (the vehicle) if it holds images and nothing beside it is called like held-out data. Refused is
    what could be trained on by mistake: splits beside classes, and folders that all have such a word in their names,
    one of them for validation or test (``cifar-train`` and ``cifar-test``).

    Raises:
        GigatokError: the folder is missing, has no class folders, a class folder has no images, a validation class
            is not among the training classes, or classes and splits cannot be distinguished.
    """
    root = Path(path)
    if not root.is_dir():
        raise GigatokError(
            f"prepare.path {path!r} is not a folder: set it to the folder that holds one subfolder per class"
        )
    taken = take_files(root)
    filled = {name.split("/")[0] for name in taken.names if "/" in name}
    splits = _splits([name for name in _folders(root) if name in filled], taken, path)
    own = require_whole_split(splits.values(), f"prepare.path {path!r}", LAYOUT)
    if not any(splits.values()):
        return _source(taken, _class_names(root), {"": None})
    taken = taken.without([name for name in taken.names if splits.get(name.split("/")[0]) == "test"], TEST_SPLIT)
    folders = _folder_of_each(splits, path)
    classes = _class_names(root / folders["train"])
    if not own:
        return _source(taken, classes, {folders["train"]: None})
    validation = folders["validation"]
    unknown = sorted(set(_class_names(root / validation)) - set(classes))
    if unknown:
        raise GigatokError(f"prepare.path {path!r}: classes {unknown[:5]} are in {validation} but not in train")
    return _source(taken, classes, {folders["train"]: "train", validation: "validation"})


def _splits(folders: Sequence[str], taken: Taken, path: str) -> dict[str, OwnSplit | None]:
    """The split of each folder; ``None``: it is a class, or nothing says."""
    splits = {name: split_called(name) for name in folders}
    named = [name for name, split in splits.items() if split is not None]
    inside = {name: {each.split("/")[1] for each in taken.names if each.startswith(f"{name}/") and each.count("/") > 1}
              for name in folders if seems_split(name)}  # fmt: skip
    if not named and _hides_held_out(folders, inside):
        shown = ", ".join(map(printable, list(inside)[:5]))
        raise GigatokError(
            f"prepare.path {path!r}: {shown} may be splits, which are not trained on as classes; expected {LAYOUT}: "
            "call splits train, val and test, and classes otherwise"
        )
    vehicles = all(splits[name] == "train" and not inside[name] for name in named)
    if vehicles and len(named) < len(folders) and not any(map(is_held_out, folders)):
        return dict.fromkeys(folders)
    return splits


def _hides_held_out(folders: Sequence[str], inside: Mapping[str, set[str]]) -> bool:
    """Whether folders of which none is called like a split may hold validation or test data all the same.

    All of them are named like parts of a data set, or one of them has the folders of the others in it.

    Args:
        inside: the folders in those that are named like a part of a data set.
    """
    if len(inside) == len(folders):
        return any(map(is_held_out, folders))
    known = {name: set(folders).union(*(inside[other] for other in inside if other != name)) for name in inside}
    return any(is_held_out(name) and inside[name] & known[name] for name in inside)


def _folder_of_each(splits: dict[str, OwnSplit | None], path: str) -> dict[OwnSplit, str]:
    folders: dict[OwnSplit, str] = {}
    for name, split in splits.items():
        if split is not None and folders.setdefault(split, name) != name:
            raise GigatokError(
                f"prepare.path {path!r}: {folders[split]} and {name} are both the {split} split; expected {LAYOUT}"
            )
    return folders


def _folders(root: Path) -> list[str]:
    """Names of the folders in ``root`` that count, numbers in order."""
    names = [entry.name for entry in root.iterdir() if entry.is_dir() and not is_hidden(entry.name)]
    return sorted(names, key=natural_key)


def _class_names(root: Path) -> list[str]:
    names = _folders(root)
    if not names:
        raise GigatokError(
            f"prepare.path: {root} has no class folders: sort its images into one subfolder per class "
            "(for ImageNet's validation images, the public valprep.sh does so)"
        )
    return names


def _source(taken: Taken, classes: list[str], splits: dict[str, Split | None]) -> Source:
    """Records of the images in ``<split>/<class>/``, split by split and class by class.

    Args:
        splits: folder of each split; ``""`` where class folders lie in the root itself.
    """
    by_class: dict[tuple[str, str], list[str]] = {}
    for name in taken.names:
        *folders, _ = name.split("/")
        place = tuple(folders[:2]) if "" not in splits else ("", *folders[:1])
        if len(place) == 2 and place[0] in splits:
            by_class.setdefault((place[0], place[1]), []).append(name)
            _refuse_splits_inside(name, folders[1:] if "" in splits else folders[2:])
    records: list[Record] = []
    for folder, split in splits.items():
        for label, class_name in enumerate(classes):
            names = by_class.get((folder, class_name), [])
            if not names and (taken.root / folder / class_name).is_dir():
                raise GigatokError(
                    f"prepare.path: class folder {taken.root / folder / class_name} has no images: remove it or fill it"
                )
            records += [Record(str(taken.root / name), label, name, split) for name in names]
    inside = {record.concept for record in records}
    taken = taken.without([name for name in taken.names if name not in inside], OUTSIDE)
    return Source(classes, records, FileReader(), taken.left_out, taken.linked)


def _refuse_splits_inside(name: str, folders: list[str]) -> None:
    """A split below a class is no part of the class: which of its images may be trained on?"""
    for folder in folders:
        if split_called(folder) is not None:
            raise GigatokError(
                f"prepare.path: {name} lies in a split ({folder}) below its class; expected {LAYOUT}: "
                "set prepare.path to the folder that holds the splits, or rename the folder"
            )
