"""What the images of known data sets are like, for whoever builds a network without having any."""

# Channels, height and width; number of classes.
IMAGES = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "digits": ((1, 8, 8), 10),
    "digits_1_3": ((1, 8, 8), 2),
    "digits_5_7": ((1, 8, 8), 2),
    "fashion_mnist": ((1, 28, 28), 10),
    "imagenet": ((3, 224, 224), 1000),
    "mnist": ((1, 28, 28), 10),
    "mnist_1_3": ((1, 28, 28), 2),
    "mnist_5_7": ((1, 28, 28), 2),
    "restricted_imagenet": ((3, 224, 224), 9),
    "restricted_imagenet_64": ((3, 64, 64), 9),
    "svhn": ((3, 32, 32), 10),
    "tiny_imagenet": ((3, 64, 64), 200),
}
