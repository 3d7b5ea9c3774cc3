"""The peer: the first paper's networks, losses and training step as one writes them in PyTorch eager.

python -m benchmarks.matching and python -m benchmarks.train_step time it beside this project.

The losses go through the batch image by image and hold the scores of all cells of A, visible or not, with all cells of
B, and a tensor of their distances, as the public implementations do. These take the distances from a tensor of
differences, [N, M, 2]; `tuned` sums squares by rows and columns instead, with roots in place. In both there is no graph
for what has no gradient, labels are laid out for their product whatever the memory format of the network, activations
are in place, Adam is fused into one kernel, and both views go through the network in one batch.
"""

import torch
from torch import nn

FILTERS = {  # (size, filters, dilation), as in models/
    "simple": ((5, 20, 1), (5, 48, 1), (3, 64, 1), (3, 80, 1), (3, 256, 1)),
    "dilations": ((5, 20, 1), (5, 48, 1), (5, 64, 2), (3, 80, 4), (3, 256, 2)),
}
STRIDE = 2


def network(name, label_size=3, *, norm="none", activation="relu"):
    """Creates a network.

    Args:
      name: "simple" or "dilations".
      label_size: L, the length of a label.
      norm: "none" or "batch".
      activation: "relu" or "leaky_relu", whose negative slope is 0.2.

    Returns:
      `nn.Sequential` from images [B, 3, H, W], normalised, to labels [B, L, H // 2, W // 2].

    Raises:
      KeyError: if there is no such network.
    """
    layers, width = [], 3
    for size, filters, dilation in FILTERS[name]:
        layers.append(nn.Conv2d(width, filters, size, padding=size // 2 * dilation, dilation=dilation))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01))  # Keras' numbers
        layers.append(nn.LeakyReLU(0.2, inplace=True) if activation == "leaky_relu" else nn.ReLU(inplace=True))
        if width == 3:
            layers.append(nn.MaxPool2d(2, STRIDE))
        width = filters
    layers.append(nn.Conv2d(width, label_size, 1))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def distance_loss(labels_a, labels_b, points_in_b, visible, *, gamma=0.5, stride=STRIDE, tuned=False):
    """Expected distance to the power gamma between the match and the true place, equation (5).

    Args:
      labels_a: [B, L, h, w].
      labels_b: [B, L, h, w].
      points_in_b: [B, h, w, 2], (x, y) in pixels of B.
      visible: [B, h, w], 1 or 0.
      gamma: exponent of the distance in pixels.
      stride: side of a cell in pixels.
      tuned: compute the distances the fastest way rather than the usual one.

    Returns:
      Scalar: the mean over the visible cells of an image (0 where none is visible), averaged over the images.
    """
    distances = _distances_by_rows_and_columns if tuned else _distances

    def row_values(scores, b, points):
        return (scores.softmax(1) * distances(points, *b.shape[1:], stride, gamma)).sum(1)

    return _mean_over_images(row_values, labels_a, labels_b, points_in_b, visible)


def log_loss(labels_a, labels_b, points_in_b, visible, *, stride=STRIDE):
    """Negative log-likelihood of the true match, equation (4), bilinear between cells.

    Args:
      labels_a: [B, L, h, w].
      labels_b: [B, L, h, w].
      points_in_b: [B, h, w, 2], (x, y) in pixels of B.
      visible: [B, h, w], 1 or 0.
      stride: side of a cell in pixels.

    Returns:
      Scalar, as of `distance_loss`.
    """

    def row_values(scores, b, points):
        cells, weights = _bilinear_weights(points, *b.shape[1:], stride)
        return -(scores.log_softmax(1).gather(1, cells) * weights).sum(1)

    return _mean_over_images(row_values, labels_a, labels_b, points_in_b, visible)


def training_step(
    net, batch, *, precision="float32", memory_format=torch.contiguous_format, learning_rate=1e-3, tuned=False
):
    """Creates one step of training by `distance_loss` with gamma 0.5.

    Args:
      net: what `network` returned.
      batch: `(images, points_in_b, visible)`, images [2 B, 3, H, W], those of A before those of B.
      precision: "float32", or "bfloat16" for autocast of the network; the loss is float32.
      memory_format: `torch.contiguous_format` or `torch.channels_last`.
      learning_rate: of Adam.
      tuned: as of `distance_loss`.

    Returns:
      A function: one step, the loss.
    """
    images, points_in_b, visible = batch
    net, images = net.to(memory_format=memory_format), images.contiguous(memory_format=memory_format)
    optimizer = torch.optim.Adam(net.parameters(), learning_rate, fused=True)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            labels = net(images)
        labels_a, labels_b = labels.float().chunk(2)
        loss = distance_loss(labels_a, labels_b, points_in_b, visible, tuned=tuned)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _mean_over_images(row_values, labels_a, labels_b, points_in_b, visible):
    total = 0.0
    for a, b, points, seen in zip(labels_a, labels_b, points_in_b, visible):
        scores = a.flatten(1).contiguous().T @ b.flatten(1).contiguous()  # [N, M]
        values = row_values(scores, b, points.reshape(-1, 2))
        seen = seen.flatten()
        total = total + (values * seen).sum() / seen.sum().clamp(min=1)
    return total / len(labels_a)


@torch.no_grad()
def _distances(points, height, width, stride, gamma):
    """Pixels to the power gamma between points [N, 2] and all cell centres: [N, height * width]."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centres = stride * torch.stack([x.flatten(), y.flatten()], dim=1)
    differences = points[:, None] - centres  # [N, M, 2]
    return (differences * differences).sum(2).sqrt().pow(gamma)


@torch.no_grad()
def _distances_by_rows_and_columns(points, height, width, stride, gamma):
    """The same."""
    x = (points[:, :1] - (torch.arange(width) + 0.5) * stride).square_()  # [N, w]
    y = (points[:, 1:] - (torch.arange(height) + 0.5) * stride).square_()  # [N, h]
    return (y[:, :, None] + x[:, None, :]).sqrt_().pow_(gamma).flatten(1)


@torch.no_grad()
def _bilinear_weights(points, height, width, stride):
    """The four cells around each point [N, 2] and their weights, both [N, 4]; points further out read the border."""
    last = torch.tensor([width - 1, height - 1])
    place = (points / stride - 0.5).clamp(min=torch.zeros(2), max=last)
    low = place.floor()
    (x1, y1), low = (place - low).T, low.long()
    (left, top), (right, bottom) = low.T, torch.minimum(low + 1, last).T
    cells = torch.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], 1)
    return cells, torch.stack([(1 - y1) * (1 - x1), (1 - y1) * x1, y1 * (1 - x1), y1 * x1], 1)
