"""Yang et al., Tables 2 to 4; the released code, which sums losses over a batch."""

from published.keys import MADRY, TRADES, Keys, match

SETS = {
    "mnist_cnn1": ("mnist", {"arch": "cnn1"}, 0.1),
    "mnist_cnn2": ("mnist", {"arch": "small_cnn"}, 0.1),
    "cifar10_wrn4010": ("cifar10", {"arch": "wide_resnet", "depth": 40, "widen_factor": 10}, 0.031),
    "svhn_wrn4010": ("svhn", {"arch": "wide_resnet", "depth": 40, "widen_factor": 10}, 0.031),
    "restricted_imagenet_resnet50": ("restricted_imagenet_64", {"arch": "resnet_imagenet", "depth": 50}, 0.005),
}
LOOPS: dict[str, Keys] = {  # rates fall after 40 epochs, and so from the 41st
    "mnist": {
        "epochs": 160,
        "decay_epochs": (41, 81, 121, 141),
        "batch_size": 64,
        "learning_rate": 1e-4,
        "momentum": 0.9,
    },
    "cifar10": {"epochs": 120, "decay_epochs": (41, 81, 101), "batch_size": 64, "pad": 4, "flip": "image"},
    "svhn": {"epochs": 60, "decay_epochs": (31, 51), "batch_size": 64},
    "restricted_imagenet_64": {
        "epochs": 70,
        "decay_epochs": (41, 61),
        "batch_size": 128,
        "learning_rate": 1e-2,
        "optimiser": "adam",
        "pad": 8,
        "cut_from": "picture",  # of 72 pixels and more
    },
}
SLOW = {("cifar10", "rst"), ("svhn", "at"), ("svhn", "rst"), ("svhn", "llr")}
DROPOUT = {"cifar10": 0.2, "svhn": 0.5}


def yang(name: str) -> Keys:
    """`yang_<data>_<network>_<method><number>_dropout`: the number is RST's lambda or TRADES' beta."""
    found = match(rf"yang_({'|'.join(SETS)})_(natural|gr|llr|at|rst|trades)(0_5|[1236])?(_dropout)?", name)
    where, method, number, dropout = found.groups()
    data, network, eps = SETS[where]
    rate = 1e-3 if (data, method) in SLOW else 1e-2
    weight = float(number.replace("_", ".")) if number else None
    pgd = {"steps": 10, "step_size": eps / 5}
    llr = {"weight": 3.0, "mu": 6.0} if eps == 0.005 else {"weight": 4.0, "mu": 3.0}
    params: dict[str, Keys] = {
        "natural": {},
        "gr": {"weight": 1.0, "distance": 1.0, "variant": "intended"},
        "llr": llr | {"steps": 2, "step_size": eps / 2, "variant": "intended", "attack_mode": "eval"},
        "at": pgd | MADRY,
        "rst": pgd | {"weight": weight, "attack_mode": "train"},
        "trades": pgd | TRADES | {"beta": weight},
    }
    return {
        "dataset": data,
        "network": network | ({"drop_rate": DROPOUT[data]} if dropout else {}),
        "method": "madry" if method == "at" else method,
        "params": params[method],
        **({} if method in ("natural", "gr") else {"norm": "linf", "eps": eps}),
        "loop": {"learning_rate": rate, "reduction": "sum"} | LOOPS[data],
    }
