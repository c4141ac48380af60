"""What is known about a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robeval.values.threat import ThreatModel


@dataclass(frozen=True, slots=True)
class Network:
    """An architecture by the name of its file in `robeval/zoo/archs/`, with its keywords."""

    arch: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """What the network wants to be fed, given images in [0, 1].

    `normalise` is "none", "fixed" (subtract `mean`, divide by `std`, one number per channel) or "per_image" (each image
    gets mean 0 and standard deviation 1, as in the models of the Madry CIFAR-10 challenge).
    """

    normalise: str = "none"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of weights.

    Attributes:
        file: its name, looked for beside the card and in the cache.
        sha256: its checksum in hexadecimal, or empty where none is known.
        source: where a person gets it.
        url: where it can be fetched: http, https, or `https://drive.google.com/uc?id=...`; empty if nowhere.
        member: how the entries that are wanted of an archive begin, if `url` is one; folders before it do not matter,
            and `*` stands for any part of a name, if only one file fits. They get the name of `file` up to its last
            dot, and what follows `member` in theirs: of `secret/checkpoint-9` for the file `secret.index`,
            `models/secret/checkpoint-9.data-0` becomes `secret.data-0`.
        archive_sha256: the checksum of that archive.
        size: in bytes, of what `url` gives; 0 where it is not known.
        key: the name of the entry in the file that holds the weights, where several might or its name is no usual one.
        stated_sha256: a checksum that was published for it or for something in it; a difference is said, not refused.
    """

    file: str
    sha256: str = ""
    source: str = ""
    url: str = ""
    member: str = ""
    archive_sha256: str = ""
    size: int = 0
    key: str = ""
    stated_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A number somebody printed, as a percentage, and where."""

    metric: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model: its network, input, weights and training.

    Attributes:
        training: the `[training]` section as written: a method, its keywords and the loop's settings.
        measured: numbers that nobody published, and who measured them on what.
        where: the file it was read from.
        threat: the ball in which its authors mean it to be robust; None if in none.
    """

    id: str
    title: str
    dataset: str
    network: Network
    input: Input = Input()
    checkpoint: Checkpoint | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    paper: str = ""
    published: tuple[Published, ...] = ()
    measured: tuple[Published, ...] = ()
    where: str = ""
    threat: ThreatModel | None = None
