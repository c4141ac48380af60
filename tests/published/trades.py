"""TRADES, Section 5 and Tables 3 to 5; the released scripts."""

from published.keys import MADRY, TRADES, Keys, match

CIFAR10 = {
    "epochs": 76,  # the script; the paper says 100
    "keep_epochs": (75,),
    "batch_size": 128,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 2e-4,
    "decay_epochs": (75, 90, 100),
    "pad": 4,
    "flip": "image",
    "seed": 1,
}
MNIST = {"batch_size": 128, "learning_rate": 0.01, "momentum": 0.9, "seed": 1}
CNN = MNIST | {"epochs": 100, "decay_epochs": (55, 75, 90)}
PGD = {"steps": 10, "step_size": 0.007}


def trades(name: str) -> Keys:
    """`trades_<what>`: the number at the end is beta, or the divisor lambda of the hinge."""
    what = name.removeprefix("trades_").replace("binary_mnist", "binary_lambda5")  # the script's
    if what.startswith(("binary", "net")):
        return _trades_small(*match(r"(binary_lambda|net_beta)([1-5])", what).groups())
    if what.startswith("resnet18"):
        beta = float(match(r"resnet18_beta([1-5])", what)[1])
        loop = CIFAR10 | {"epochs": 100, "keep_epochs": (75, 76)}
        return _trades_cifar10({"arch": "resnet", "depth": 18}, "trades", PGD | TRADES | {"beta": beta}, loop)
    if what.endswith("mnist"):
        return _trades_mnist(what)
    network = {"arch": "wide_resnet", "depth": 34, "widen_factor": 10}
    method = match(r"(?:(natural|madry|kurakin|zheng|ross)_)?wrn34(_beta1)?", what)[1] or "trades"
    params = {
        "natural": {},
        "madry": PGD | MADRY,
        "kurakin": PGD | {"target": "none", "random_start": False, "clean_share": 0.5, "weight": 1.0},
        "zheng": {"weight": 1.0, "sigma": 0.1, "detach_clean": False},
        "ross": {"weight": 0.1},
        "trades": PGD | TRADES | {"beta": 1.0 if what.endswith("beta1") else 6.0},
    }[method]
    return _trades_cifar10(network, method, params, CIFAR10)


def _trades_small(kind: str, number: str) -> Keys:
    params = {"steps": 20, "step_size": 0.01} | (
        {"divisor": float(number)} if kind == "binary_lambda" else {"beta": float(number)} | TRADES
    )
    binary = kind == "binary_lambda"
    return {
        "dataset": "mnist_1_3" if binary else "mnist",
        "network": {"arch": "net"} | ({"outputs": 1} if binary else {}),
        "method": "trades_binary" if binary else "trades",
        "params": params,
        "eps": 0.1,
        "norm": "linf",
        "loop": MNIST | {"epochs": 30 if binary else 50},
    }


def _trades_mnist(what: str) -> Keys:
    method = match(r"(?:(natural|madry)_)?mnist", what)[1] or "trades"
    params = {} if method == "natural" else {"steps": 40, "step_size": 0.01}
    params |= {"natural": {}, "madry": MADRY, "trades": TRADES | {"beta": 6.0}}[method]
    ball = {} if method == "natural" else {"norm": "linf", "eps": 0.3}
    network = {"arch": "small_cnn"}
    return {"dataset": "mnist", "network": network, "method": method, "params": params, **ball, "loop": CNN}


def _trades_cifar10(network: Keys, method: str, params: Keys, loop: Keys) -> Keys:
    ball = {"norm": "linf", "eps": 0.031} if "steps" in params else {}
    return {"dataset": "cifar10", "network": network, "method": method, "params": params, **ball, "loop": loop}
