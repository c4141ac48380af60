"""Tsipras et al., Tables 2 and 4; the loop of Madry et al., and on photographs of the authors' later library."""

from published.keys import MADRY, Keys, match

STANDARDISED = ("per_image", (), ())
RESTRICTED = ("fixed", (0.4717, 0.4499, 0.3837), (0.2600, 0.2516, 0.2575))  # of the authors' later library
RADII = {
    ("mnist", "linf"): (0.1, 0.2, 0.3),
    ("mnist", "l2"): (0.5, 1.5, 2.5),
    ("cifar10", "linf"): (2 / 255, 4 / 255, 8 / 255),
    ("cifar10", "l2"): (20 / 255, 80 / 255, 320 / 255),
    ("restricted_imagenet", "linf"): (0.005,),
    ("restricted_imagenet", "l2"): (1.0,),
}
MADRY_MNIST = {"reduction": "sum", "optimiser": "adam", "epochs": 84, "batch_size": 50, "learning_rate": 1e-4}
MADRY_CIFAR10 = {
    "epochs": 205,  # 80,000 batches of 128; the rate falls after 40,000 and 60,000
    "decay_epochs": (103.3, 154.45),
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 2e-4,
    "decay_on": "kernels",
    "pad": 2,
    "flip": "image",
}
LIBRARY = {
    "epochs": 150,
    "decay_epochs": (51, 101),
    "batch_size": 256,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "flip": "image",
}
SETS: dict[str, Keys] = {
    "mnist": {"network": {"arch": "madry_cnn"}, "loop": MADRY_MNIST},
    "cifar10": {
        "network": {"arch": "madry_resnet", "widen_factor": 1},
        "loop": MADRY_CIFAR10,
        "input": STANDARDISED,
    },
    "restricted_imagenet": {
        "network": {"arch": "resnet_imagenet", "depth": 50},
        "loop": LIBRARY,
        "input": RESTRICTED,
    },
}


def tsipras(name: str) -> Keys:
    """`tsipras_<data>_<kind>_<norm>_<place of the radius in Table 4>`, without a place where there is one radius."""
    pattern = r"tsipras_(mnist|cifar10|restricted_imagenet)_(natural|robust|halfhalf)(?:_(linf|l2)(?:_([123]))?)?"
    data, kind, norm, place = match(pattern, name).groups()
    own = {"dataset": data, **SETS[data]}
    if kind == "natural":
        return {**own, "method": "natural", "params": {}}
    eps = RADII[data, norm][int(place or 1) - 1]
    steps, step = (40, eps / 30) if (data, norm) == ("mnist", "linf") else (7, eps / 4)
    if norm == "l2":
        step = 2.5 * eps / 7
    mode = "eval" if data == "restricted_imagenet" else "train"
    params = MADRY | {"steps": steps, "step_size": step, "attack_mode": mode, "clean_share": 0.5 * (kind == "halfhalf")}
    return {**own, "method": "madry", "params": params, "norm": norm, "eps": eps}


def madry(name: str) -> Keys:
    """`madry_<data>_<training>`."""
    data, kind = match(r"madry_(mnist|cifar10)_(natural|adv_trained|secret)", name).groups()
    own = {"dataset": data, **SETS[data]}
    own["network"] = {"arch": own["network"]["arch"]}
    if kind == "natural":
        return {**own, "method": "natural", "params": {}}
    far = {"steps": 40, "step_size": 0.01} if data == "mnist" else {"steps": 7, "step_size": 2 / 255}
    eps = 0.3 if data == "mnist" else 8 / 255
    return {**own, "method": "madry", "params": MADRY | far, "norm": "linf", "eps": eps}
