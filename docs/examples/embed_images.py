"""Turn the images of a dataset into vectors that every command takes: embeddings by a trained network, or the pixels.

    python embed_images.py digits runs/experts/expert-0000.safetensors embeddings.npz
    python embed_images.py digits pixels pixels.npz

The network may have been trained on another dataset, of images of the same shape. Any other encoder does as well: all
that is needed is an .npz file with train_vectors, train_labels and the same of val and test.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from potstill import load_dataset
from potstill.networks import build_network
from potstill.networks.weights import WeightsFile, install_features

source, weights, target = sys.argv[1:]
dataset = load_dataset(source)
if weights != "pixels":
    file = WeightsFile(Path(weights))
    network = build_network(file.about["network"], dataset.shape, dataset.class_count, torch.Generator()).eval()
    install_features(network, file.read(), file.path)

arrays = {}
for name, split in {"train": dataset.train, "val": dataset.validation, "test": dataset.test}.items():
    if weights == "pixels":
        vectors = split.images.flatten(1).float() / 255
    else:
        with torch.inference_mode():
            parts = torch.arange(len(split)).split(500)
            vectors = torch.cat([network.embed(split.normalised(part)) for part in parts])
    arrays[f"{name}_vectors"], arrays[f"{name}_labels"] = vectors.numpy(), split.labels.numpy()
np.savez(target, **arrays)
print(f"{target}: {', '.join(f'{name} {values.shape}' for name, values in arrays.items())}")
