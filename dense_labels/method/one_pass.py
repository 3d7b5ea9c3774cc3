"""All cells of an image against all of another: a value for each row of scores, and its gradient, in one sweep.

Equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from dense_labels.method import geometry

# (scores, best, true_scores, squared_distances) -> (values, d_scores, d_true_scores); see `sweep`
ValueAndGradient = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
_PARALLEL_IMAGES, _PARALLEL_BLOCKS = 4, 2  # in flight at a time


def sweep(
    value_and_gradient: ValueAndGradient,
    labels_a: tf.Tensor,
    labels_b: tf.Tensor,
    points_in_b: tf.Tensor,
    weights: tf.Tensor,
    stride: int,
    *,
    labels_c: tf.Tensor | None = None,
    direct: float = 0.0,
    pack: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums a weighted value per cell of A and forms the gradient of the sum in the same sweep over the scores.

    The sum is a scalar and its rows are independent. So the gradient with respect to a block of scores can be formed
    together with its values, and leaves two small products: one with the labels of B for the gradient of A's labels,
    one with those of A for the gradient of B's. The block is then forgotten. Memory grows with the cells, not with
    their pairs; nothing is sampled or approximated.

    Scores and sums are float64 if the labels are, else float32 (on a GPU, TensorFlow's TF32 setting applies). The
    gradient is formed whether or not it is asked for; there is none by points_in_b or weights, nor of the errors.

    Args:
      value_and_gradient: what R cells of A add: `(scores, best, true_scores, squared_distances) -> (values, d_scores,
        d_true_scores)`.
          scores: [R, M], inner product of each label of A with those of all cells of B.
          best: int32 [R], the cell of B with the highest score.
          true_scores: [R], the same product with the label of B at the cell's true place, read between cells.
          squared_distances: [R, M], from the true place to the centres of the cells of B, in squared pixels.
          values: [R]; d_scores [R, M] and d_true_scores [R]: the derivative of each by its scores.
      labels_a: [B, h, w, L].
      labels_b: [B, h', w', L].
      points_in_b: float32 [B, h, w, 2], true place in B of each cell of A, (x, y) in pixels; anything where weights
        are 0.
      weights: [B, h, w], 0 or more.
      stride: side of a cell in pixels.
      labels_c: [B, h'', w'', L], of a third image for each pair, or None. With it each label a of A takes part as
        softmax(a c^T) c, the mean of the labels c of the third image by how well they match a: the exchange of Thewlis,
        Albanie, Bilen and Vedaldi, "Unsupervised learning of landmarks by descriptor vector exchange", ICCV 2019.
      direct: with `labels_c`, what the values of the labels of A as they are count beside those of the exchanged ones:
        the two are added. At first exchanged labels are nearly alike, and what is learned of them is little.
      pack: whether cells of weight 0 are left out, so that the work grows with the others. False has static shapes,
        as XLA needs.

    Returns:
      `(values, errors)`, both [B]: the weighted sums over the cells of A of their values and of the distance in pixels
      from the best match, of exchanged labels with `labels_c`, to the true place. The first is differentiable by all
      label maps, once.

    Raises:
      NotImplementedError: when a second derivative is asked for.
    """
    dtype = tf.float64 if labels_a.dtype == tf.float64 else tf.float32
    points_in_b, weights = tf.cast(points_in_b, dtype), tf.cast(weights, dtype)

    @tf.custom_gradient
    def of_labels(*labels):
        def image(inputs):
            of_image, points, weight = inputs
            return _sweep_image(value_and_gradient, of_image, points, weight, stride, direct, pack)

        inputs = ([tf.cast(each, dtype) for each in labels], points_in_b, weights)
        number, maps = tf.TensorSpec([], dtype), [tf.TensorSpec(each.shape[1:], dtype) for each in labels]
        values, errors, d_labels = tf.map_fn(
            image, inputs, fn_output_signature=(number, number, maps), parallel_iterations=_PARALLEL_IMAGES
        )

        def gradient(d_values, d_errors):
            del d_errors
            by_image = d_values[:, tf.newaxis, tf.newaxis, tf.newaxis]
            first = [tf.cast(by_image * d_each, each.dtype) for d_each, each in zip(d_labels, labels)]
            return _first_order(*first, *labels)

        return (values, errors), gradient

    return of_labels(labels_a, labels_b) if labels_c is None else of_labels(labels_a, labels_b, labels_c)


def _sweep_image(
    value_and_gradient: ValueAndGradient,
    labels: Sequence[tf.Tensor],
    points_in_b: tf.Tensor,
    weights: tf.Tensor,
    stride: int,
    direct: float,
    pack: bool,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Does `sweep` for one image, whose labels are of A, B and perhaps C: its value, its error, the gradients."""
    labels_a, labels_b, *labels_c = labels
    shape, length = tf.shape(labels_a), labels_a.shape[-1]
    cells = shape[0] * shape[1]
    weights = tf.reshape(weights, [cells])
    kept = tf.where(weights != 0)[:, 0] if pack else tf.range(cells, dtype=tf.int64)
    a, weights = tf.gather(tf.reshape(labels_a, [cells, length]), kept), tf.gather(weights, kept)
    places = tf.gather(tf.reshape(points_in_b, [cells, 2]), kept)
    places = tf.where(weights[:, tf.newaxis] > 0, places, 0)
    with tf.GradientTape() as tape:
        tape.watch(labels_b)
        true_labels = geometry.bilinear_sample(labels_b[tf.newaxis], places[tf.newaxis], stride)[0]

    value, error, d_a, d_true_labels, d_b, *d_c = _sweep_rows(
        value_and_gradient, a, labels_b, labels_c, true_labels, places, weights, stride, direct
    )
    d_a = tf.scatter_nd(kept[:, tf.newaxis], d_a, tf.cast([cells, length], tf.int64))
    d_b += tape.gradient(true_labels, labels_b, output_gradients=d_true_labels)
    return value, error, [tf.reshape(d_a, shape), d_b, *d_c]


def _sweep_rows(
    value_and_gradient: ValueAndGradient,
    a: tf.Tensor,
    labels_b: tf.Tensor,
    labels_c: list[tf.Tensor],
    true_labels: tf.Tensor,
    places: tf.Tensor,
    weights: tf.Tensor,
    stride: int,
    direct: float,
) -> tuple[tf.Tensor, ...]:
    """Sweeps N rows of one image in blocks.

    Returns:
      The two sums and the gradients by a, true_labels, labels_b and each of labels_c, of which there is one or none.
    """
    centres = tf.cast(geometry.cell_centres(tf.shape(labels_b)[0], tf.shape(labels_b)[1], stride), a.dtype)
    b = tf.reshape(labels_b, [-1, labels_b.shape[-1]])  # [M, L]
    c = [tf.reshape(each, [-1, each.shape[-1]]) for each in labels_c]
    number = tf.shape(a)[0]
    count, (a, true_labels, places, weights) = _blocks(tf.shape(b)[0], a, true_labels, places, weights)

    def compare(row, true_label, place, weight):
        """The two sums of a block of labels [R, L], and the gradients by these, the true labels and B, [L, M]."""
        scores = tf.matmul(row, b, transpose_b=True)  # [R, M]
        best = tf.argmax(scores, axis=-1, output_type=tf.int32)
        true_scores = tf.reduce_sum(row * true_label, axis=-1)
        values, d_scores, d_true_scores = value_and_gradient(
            scores, best, true_scores, _squared_distances(place, centres)
        )
        d_true_scores = weight * d_true_scores[:, tf.newaxis]
        off = tf.norm(tf.gather(tf.reshape(centres, [-1, 2]), best) - place, axis=-1)
        sums = [tf.reduce_sum(each * weight[:, 0]) for each in (values, off)]
        d_row = weight * tf.matmul(d_scores, b) + d_true_scores * true_label
        d_b = tf.matmul(row * weight, d_scores, transpose_a=True)  # its transpose is a third slower
        return *sums, d_row, d_true_scores * row, d_b

    def step(index, value, error, d_a, d_true_labels, d_b, *d_c):
        true_label, place, weight = true_labels[index], places[index], weights[index, :, tf.newaxis]
        row, gradients_of_row = _exchange(a[index], *c) if c else (a[index], lambda d_row: (d_row,))
        more, off, d_row, *d_others = compare(row, true_label, place, weight)
        d_row, *d_of_c = gradients_of_row(d_row)
        if c and direct:
            of_direct, _, *d_direct = compare(a[index], true_label, place, direct * weight)
            more += of_direct
            d_row, *d_others = (first + second for first, second in zip((d_row, *d_others), d_direct))
        d_true_label, d_of_b = d_others
        return (
            index + 1,
            value + more,
            error + off,
            d_a.write(index, d_row),
            d_true_labels.write(index, d_true_label),
            d_b + d_of_b,
            *(so_far + d_each for so_far, d_each in zip(d_c, d_of_c)),
        )

    zero = tf.zeros([], a.dtype)
    arrays = [tf.TensorArray(a.dtype, count, element_shape=a.shape[1:]) for _ in range(2)]
    start = (0, zero, zero, *arrays, *(tf.zeros_like(tf.transpose(each)) for each in (b, *c)))
    _, value, error, d_a, d_true_labels, *d_maps = tf.while_loop(
        lambda index, *_: index < count, step, start, parallel_iterations=_PARALLEL_BLOCKS
    )
    d_rows = (tf.reshape(array.stack(), [-1, a.shape[-1]])[:number] for array in (d_a, d_true_labels))
    maps = (labels_b, *labels_c)
    return value, error, *d_rows, *(tf.reshape(tf.transpose(d), tf.shape(of)) for d, of in zip(d_maps, maps))


def _exchange(a: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Expresses labels a [R, L] through those of a third image, c [M, L].

    Returns:
      p c [R, L] with p = softmax(a c^T); and a function from g, the gradient of a sum by p c, to those by a [R, L] and
      by c, transposed [L, M]. The one by the scores a c^T is p (g c^T - g (p c)), row by row.
    """
    probability = tf.nn.softmax(tf.matmul(a, c, transpose_b=True))  # [R, M]
    exchanged = tf.matmul(probability, c)

    def gradients(by_exchanged):
        mean = tf.reduce_sum(by_exchanged * exchanged, axis=-1, keepdims=True)
        d_scores = probability * (tf.matmul(by_exchanged, c, transpose_b=True) - mean)
        d_c = tf.matmul(by_exchanged, probability, transpose_a=True) + tf.matmul(a, d_scores, transpose_a=True)
        return tf.matmul(d_scores, c), d_c

    return exchanged, gradients


def _blocks(columns: int | tf.Tensor, *rows: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Cuts tensors [N, ...] into blocks of nearly equal size; returns their number and [blocks, R, ...], zeros last."""
    number = tf.shape(rows[0])[0]
    most = tf.maximum(1, _block_bytes() // (rows[0].dtype.size * columns))
    count = tf.maximum(1, -(-number // most))
    size = -(-number // count)
    padding = count * size - number

    def cut(values):
        padded = tf.pad(values, [[0, padding]] + [[0, 0]] * (values.shape.rank - 1))
        return tf.reshape(padded, tf.concat([[count, size], tf.shape(values)[1:]], axis=0))

    return count, [cut(values) for values in rows]


def _block_bytes() -> int:
    """Returns how large a block of scores is: on a CPU it stays in the cache; a GPU needs more to do at a time."""
    return 2**26 if tf.config.list_logical_devices("GPU") else 2**21


def _squared_distances(points: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Returns the squared pixels from points [R, 2] to all centres [h, w, 2]: [R, h * w]."""
    x = tf.square(points[:, 0:1] - centres[0, :, 0])  # [R, w]
    y = tf.square(points[:, 1:2] - centres[:, 0, 1])  # [R, h]
    # y + x for each row and column, as y 1 + 1 x: a product takes half the time of a sum that broadcasts.
    columns, rows = tf.stack([tf.ones_like(x), x], axis=1), tf.stack([y, tf.ones_like(y)], axis=2)
    return tf.reshape(tf.matmul(rows, columns), [tf.shape(points)[0], -1])  # [R, h, w] -> [R, h * w]


@tf.custom_gradient
def _first_order(*gradients_and_labels: tf.Tensor):
    """Passes the gradients, the first half, on, and refuses to be differentiated once more.

    The labels are arguments so that a second derivative by them comes here.
    """

    def refuse(*_):
        raise NotImplementedError(
            "the matching losses have no second derivatives: their gradient is formed without the graph behind it; "
            "differentiate once"
        )

    return gradients_and_labels[: len(gradients_and_labels) // 2], refuse
