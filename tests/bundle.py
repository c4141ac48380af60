"""A writer of TensorFlow checkpoints, from the formats' definitions, that can also write what no TensorFlow would."""

from pathlib import Path

import google_crc32c
import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
FOOTER = bytes.fromhex("57fb808b247547db")


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def masked(data):
    crc = google_crc32c.value(bytes(data))
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def field(number, value):
    """A whole number or bytes in protobuf."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dtype, shape, shard, offset, size, crc):
    """A BundleEntryProto."""
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, size) + b"\x35" + crc


def block(rows, kind=0):
    """Names that share their beginnings, and values; the trailer has the kind of compression and a checksum."""
    body, last = b"", b""
    for name, value in rows:
        shared = next((i for i, (a, b) in enumerate(zip(name, last)) if a != b), min(len(name), len(last)))
        body += varint(shared) + varint(len(name) - shared) + varint(len(value)) + name[shared:] + value
        last = name
    body += bytes(4) + (1).to_bytes(4, "little") + bytes([kind])
    return body + masked(body)


def table(rows, size=2, kind=0):
    """A sorted table with `size` rows in each block."""
    out, handles = b"", []
    for start in range(0, len(rows), size):
        part = block(rows[start : start + size], kind)
        handles.append((rows[min(start + size, len(rows)) - 1][0], varint(len(out)) + varint(len(part) - 5)))
        out += part
    return finished(out, handles)


def finished(out, handles):
    """Blocks with the block that says where they are, and the footer."""
    meta, index = block([]), block(handles)
    places = b"".join(map(varint, (len(out), len(meta) - 5, len(out) + len(meta), len(index) - 5)))
    return out + meta + index + places.ljust(40, b"\0") + FOOTER


def rows_of(variables, shards=1):
    """Rows of an index, header first, and the content of each data file."""
    rows, data = [(b"", field(1, shards))], [b""] * shards
    for i, (name, value) in enumerate(sorted(variables.items())):
        stored = np.ascontiguousarray(value).tobytes()
        shard = i % shards
        place = (value.shape, shard, len(data[shard]), len(stored), masked(stored))
        rows.append((name.encode(), entry(TYPES[value.dtype.name], *place)))
        data[shard] += stored
    return rows, data


def write(prefix, variables, shards=1):
    """Writes `prefix.index` and its data files; the prefix as a path."""
    prefix = Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    rows, data = rows_of(variables, shards)
    prefix.with_name(prefix.name + ".index").write_bytes(table(rows))
    for shard, content in enumerate(data):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    return prefix


def mnist(classes=10, hidden=1024):
    """Variables of the released MNIST network, random, with what Adam keeps."""
    draw = np.random.default_rng(0)
    shapes = [(5, 5, 1, 32), (32,), (5, 5, 32, 64), (64,), (3136, hidden), (hidden,), (hidden, classes), (classes,)]
    names = ["Variable", *(f"Variable_{i}" for i in range(1, 8))]
    found = {name: draw.standard_normal(shape, np.float32) / 20 for name, shape in zip(names, shapes)}
    slots = {f"{name}/{slot}": value for name, value in found.items() if value.ndim == 1 for slot in ("Adam", "Adam_1")}
    powers = {f"beta{i}_power": np.array(0.5, np.float32) for i in (1, 2)}
    return found | slots | powers | {"global_step": np.array(99900)}


def resnet(units=5, widen=10, classes=10):
    """Names and shapes of the released CIFAR-10 network, from protocol to protocol the same; without Momentum."""
    widths = [16, 16 * widen, 32 * widen, 64 * widen]
    shapes = {"input/init_conv/DW": (3, 3, 3, 16), "logit/DW": (widths[3], classes), "logit/biases": (classes,)}

    def norm(scope, width):
        for part in ("beta", "gamma", "moving_mean", "moving_variance"):
            shapes[f"{scope}/BatchNorm/{part}"] = (width,)

    for b in (1, 2, 3):
        for i in range(units):
            here, before = f"unit_{b}_{i}", widths[b] if i else widths[b - 1]
            norm(f"{here}/{'shared' if b == 1 and i == 0 else 'residual_only'}_activation", before)
            norm(f"{here}/sub2", widths[b])
            shapes |= {
                f"{here}/sub1/conv1/DW": (3, 3, before, widths[b]),
                f"{here}/sub2/conv2/DW": (3, 3, widths[b], widths[b]),
            }
    norm("unit_last", widths[3])
    return shapes
