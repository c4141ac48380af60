"""Bilateral Adversarial Training, Sections 5 and 6, Tables 1 to 9; the released code."""

from published.keys import MADRY, Keys, UnexpectedError, match

SIGNED = ("fixed", (0.5,) * 3, (0.5,) * 3)  # [-1, 1]

# What the tables call each model; + is trained longer. The names say data set, radius and "long" otherwise.
ROWS = {
    "fgsm": "FGSM",
    "rfgsm": "R-FGSM",
    "ll": "LL",
    "rll": "R-LL",
    "mc": "MC",
    "rmc": "R-MC",
    "rfgsm_ls": "R-FGSM-LS",
    "rmcls": "R-MC-LS",
    "rmcls_long": "R-MC-LS+",
    "madryla": "Madry-LA",
    "madryla_long": "Madry-LA+",
    "rmcla_eps8_short": "R-MC-LA",
    "rmcla_eps4_short": "R-MC-LA",
    "rmcla_eps8": "R-MC-LA+",
    "rmcla_eps4": "R-MC-LA+",
    "rmcla_eps8_second": "R-MC-LA+",
    "rmosala_eps8": "R-MOSA-LA+",
    "rmosala_eps4": "R-MOSA-LA+",
    "rrandla_eps8": "R-RAND-LA+",
    "rrandla_eps4": "R-RAND-LA+",
    "svhn_rmcla_eps8": "R-MC-LA",
    "svhn_rmcla_eps4": "R-MC-LA",
    "svhn_rmcla_long_eps8": "R-MC-LA+",
    "svhn_rmcla_long_eps4": "R-MC-LA+",
    "natural": "Natural",
    "madry": "Madry",
    "madry_2x8": "PGD2-8",
    "svhn_madry": "Madry",
}
TARGETS = {"FGSM": "none", "LL": "least_likely", "MC": "most_confusing", "MOSA": "mosa", "RAND": "random"}
LABELS = {"gamma": 0.01, "eps_y": 0.5}
LOOP = {"momentum": 0.9, "decay_on": "kernels"}


def bat(name: str) -> Keys:
    """`bat_<what>`, by the name that the paper's tables have for it."""
    what = name.removeprefix("bat_")
    if what.startswith("imagenet"):
        return _bat_imagenet(int(match(r"imagenet_resnet(50|101|152)", what)[1]))
    if what not in ROWS:
        raise UnexpectedError(f"no expectation for the recipe '{name}': write one")
    row, svhn = ROWS[what], what.startswith("svhn")
    eps = (4 if "eps4" in what else 8) / 255
    long = row.endswith("+")
    loop = LOOP | {
        "epochs": 201 if long else 101,  # counted from 0, the last one included
        "decay_epochs": (101, 151) if long else (61, 91),
        "batch_size": 128,
        "learning_rate": 0.01 if svhn else 0.1,
        "weight_decay": 2e-4,
        "pad": 4,
        "pad_with": "grey",
        "flip": "batch",
        "seed": int("second" in what),
    }
    method, params = _bat_method(row.rstrip("+"), eps)
    ball = {} if method == "natural" else {"norm": "linf", "eps": eps}
    data = {"dataset": "svhn" if svhn else "cifar10", "network": {"arch": "madry_resnet"}, "input": SIGNED}
    return {**data, "method": method, "params": params, **ball, "loop": loop}


def _bat_method(row: str, eps: float) -> tuple[str, Keys]:
    if row in ("Natural", "Madry", "PGD2-8"):
        far = {"steps": 2, "step_size": 8 / 255} if row == "PGD2-8" else {"steps": 7, "step_size": 2 / 255}
        return ("natural", {}) if row == "Natural" else ("madry", far | MADRY | {"attack_mode": "eval"})
    parts = row.split("-")
    labels = {"LA": "adversarial", "LS": "smooth"}.get(parts[-1], "true")
    kind = next(part for part in parts if part in (*TARGETS, "Madry"))
    far = {"steps": 7, "step_size": 2 / 255} if kind == "Madry" else {"steps": 1, "step_size": eps}
    start = parts[0] in ("R", "Madry")
    target = TARGETS.get(kind, "none")
    return "bat", far | {"target": target, "random_start": start, "labels": labels, "beta": 9.0, **LABELS}


def _bat_imagenet(depth: int) -> Keys:
    params = {"steps": 2, "step_size": 8 / 255, "target": "most_confusing", "random_start": True}
    loop = LOOP | {"epochs": 100, "decay_epochs": (31, 61, 91), "learning_rate": 0.1}
    return {
        "dataset": "imagenet",
        "network": {"arch": "resnet_imagenet", "depth": depth},
        "input": SIGNED,
        "method": "bat",
        "params": params | {"labels": "adversarial", "beta": 100.0, **LABELS},
        "norm": "linf",
        "eps": 16 / 255,
        "loop": loop | {"batch_size": 256, "weight_decay": 1e-4, "flip": "image"},  # ours, as its note says
    }
