// Where landmarks lie exactly, near where labels find them, as dense_labels/annotation/refining.py has it.
//
// A grey picture is {values, width, height}: Float32Array, row by row, from 0 to 255. Points are (x, y) in its pixels.
// What is known of a picture is {grey, points}: id of a landmark -> where it is annotated.
"use strict";

// The places of landmarks, id -> point, that found has places and probabilities of, id -> {point, probability}.
function refined(target, others, found, settings) {
  const places = { ...target.points };
  const weights = Object.fromEntries(Object.keys(places).map((id) => [id, 1]));
  for (const [id, { point, probability }] of Object.entries(found)) [places[id], weights[id]] = [point, probability];
  const patches = Object.keys(found).map((id) => [id, meanPatch(others.filter(({ points }) => points[id]), id, settings)]);
  for (const reach of [settings.reach, settings.near]) {
    const together = placedTogether(others.map(({ points }) => points), places, weights, settings);
    for (const [id, patch] of patches.filter(([, each]) => each)) {
      const starts = [places[id], together[id]].map((start) => findPatch(target.grey, patch, start, reach, settings));
      const best = starts[1].agreement > starts[0].agreement ? starts[1] : starts[0];
      [places[id], weights[id]] = [best.point, Math.max(best.agreement, settings.least)];
    }
  }
  return Object.fromEntries(Object.keys(found).map((id) => [id, places[id]]));
}

// The mean of what pictures show about a landmark, each less its mean and of length 1; null of none.
function meanPatch(pictures, id, settings) {
  if (!pictures.length) return null;
  const all = pictures.map(({ grey, points }) => patchAbout(grey, points[id], settings.half));
  return Float64Array.from(all[0], (_, place) => all.reduce((sum, patch) => sum + patch[place], 0) / all.length);
}

// A patch about a point between the pixels; the border is repeated.
function patchAbout(grey, [x, y], half) {
  const side = 2 * half + 1;
  const [across, down] = [[x, grey.width], [y, grey.height]].map(([place, length]) =>
    Array.from({ length: side }, (_, step) => {
      const at = Math.min(Math.max(place - 0.5 + step - half, 0), length - 1);
      const first = Math.floor(at);
      return { first, second: Math.min(first + 1, length - 1), share: at - first };
    }));
  const read = (row, { first, second, share }) =>
    grey.values[row * grey.width + first] * (1 - share) + grey.values[row * grey.width + second] * share;
  const values = down.flatMap((row) => across.map((column) =>
    read(row.first, column) * (1 - row.share) + read(row.second, column) * row.share));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const norm = Math.max(Math.hypot(...values.map((value) => value - mean)), 1e-6);
  return values.map((value) => (value - mean) / norm);
}

// Where a picture agrees best with a patch near a point, and how well it does there, from -1 to 1.
function findPatch(grey, patch, about, reach, { half, pull }) {
  const [side, count] = [2 * half + 1, 2 * reach + 1];
  const size = side + 2 * reach;
  const clip = (value, length) => Math.min(Math.max(value, 0), length - 1);
  const middle = [clip(Math.floor(about[0]), grey.width), clip(Math.floor(about[1]), grey.height)];
  const seen = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const row = clip(middle[1] - reach - half + i, grey.height) * grey.width;
    for (let j = 0; j < size; j++) seen[i * size + j] = grey.values[row + clip(middle[0] - reach - half + j, grey.width)];
  }
  const [sums, squares] = [boxSums(seen, size, side), boxSums(seen.map((value) => value * value), size, side)];
  const [agreement, pulled] = [new Float64Array(count * count), new Float64Array(count * count)];
  let best = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      let product = 0;
      for (let k = 0; k < side; k++) {
        const from = (i + k) * size + j;
        const to = k * side;
        for (let l = 0; l < side; l++) product += seen[from + l] * patch[to + l];
      }
      const cell = i * count + j;
      const spread = squares[cell] - (sums[cell] * sums[cell]) / (side * side);
      agreement[cell] = product / Math.sqrt(Math.max(spread, 1));
      pulled[cell] = agreement[cell] - (pull * ((i - reach) ** 2 + (j - reach) ** 2)) / reach ** 2;
      if (pulled[cell] > pulled[best]) best = cell;
    }
  }
  const [row, column] = [Math.floor(best / count), best % count];
  const point = [
    middle[0] + 0.5 + column - reach + peakBeside(pulled, best, 1, column, count),
    middle[1] + 0.5 + row - reach + peakBeside(pulled, best, count, row, count),
  ];
  return { point, agreement: agreement[best] };
}

// The sums of all squares of some side in a square of values, row by row.
function boxSums(values, size, side) {
  const [wide, count] = [size + 1, size - side + 1];
  const before = new Float64Array(wide * wide); // sums of what lies above and to the left
  for (let i = 0; i < size; i++) {
    for (let j = 0, row = 0; j < size; j++) {
      row += values[i * size + j];
      before[(i + 1) * wide + j + 1] = before[i * wide + j + 1] + row;
    }
  }
  return Float64Array.from({ length: count * count }, (_, cell) => {
    const [top, left] = [Math.floor(cell / count) * wide, cell % count];
    const bottom = top + side * wide;
    return before[bottom + left + side] - before[bottom + left] - before[top + left + side] + before[top + left];
  });
}

// How far beside a cell the peak of a parabola through it and its neighbours lies; 0 at the ends.
function peakBeside(values, cell, step, at, count) {
  if (at < 1 || at > count - 2) return 0;
  const [before, here, after] = [values[cell - step], values[cell], values[cell + step]];
  const bend = before - 2 * here + after;
  return bend < 0 ? (0.5 * (before - after)) / bend : 0;
}

// Where affine maps of other pictures' landmarks onto places put each, on average; where it is if none does.
function placedTogether(pictures, places, weights, settings) {
  const put = {};
  for (const points of pictures) {
    const ids = Object.keys(points).filter((id) => places[id]);
    if (ids.length < settings.enough) continue;
    const of = (from) => ids.map((id) => from[id]);
    mappedOnto(of(points), of(places), of(weights), settings).forEach((point, n) => (put[ids[n]] ??= []).push(point));
  }
  const mean = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  return { ...places, ...Object.fromEntries(Object.entries(put).map(([id, points]) => [id, mean(points)])) };
}

// Puts points where the affine map that takes them nearest to some places does, less led by far ones.
function mappedOnto(points, places, weights, { rounds, firm, slack }) {
  let trust = points.map(() => 1);
  let mapped = points;
  for (let round = 0; round < rounds; round++) {
    const total = weights.reduce((sum, weight, n) => sum + weight * trust[n], 0);
    const share = weights.map((weight, n) => (weight * trust[n]) / total);
    const mean = (of) => [0, 1].map((axis) => of.reduce((sum, point, n) => sum + share[n] * point[axis], 0));
    const [middle, middleTo] = [mean(points), mean(places)];
    const moment = (of, about, axis, to) =>
      points.reduce((sum, point, n) => sum + share[n] * (point[axis] - middle[axis]) * (of[n][to] - about[to]), 0);
    const scatter = [0, 1].map((axis) => [0, 1].map((to) => moment(points, middle, axis, to)));
    const held = firm * (scatter[0][0] + scatter[1][1]);
    const across = [0, 1].map((axis) => [0, 1].map((to) => moment(places, middleTo, axis, to) + (axis === to ? held : 0)));
    const [a, b, d] = [scatter[0][0] + held + 1e-9, scatter[0][1], scatter[1][1] + held + 1e-9];
    const matrix = [0, 1].map((to) => [
      (d * across[0][to] - b * across[1][to]) / (a * d - b * b), (a * across[1][to] - b * across[0][to]) / (a * d - b * b),
    ]);
    mapped = points.map(([x, y]) => [0, 1].map((to) =>
      (x - middle[0]) * matrix[to][0] + (y - middle[1]) * matrix[to][1] + middleTo[to]));
    const away = mapped.map((point, n) => Math.hypot(point[0] - places[n][0], point[1] - places[n][1]));
    const scale = slack * Math.max(medianOf(away), 1);
    trust = away.map((distance) => 1 / (1 + (distance / scale) ** 2));
  }
  return mapped;
}

function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}
