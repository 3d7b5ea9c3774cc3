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

const meanPatches = new Map(); // id of a landmark -> {pictures, patch}: the mean that was asked for last

// The mean of what pictures show about a landmark, each less its mean and of length 1; null of none. The same array as
// before, where the pictures and their points are.
function meanPatch(pictures, id, settings) {
  if (!pictures.length) return null;
  const known = meanPatches.get(id);
  const isSame = ({ grey, points }, n) =>
    grey === known.pictures[n].grey && points[id].every((value, axis) => value === known.pictures[n].points[id][axis]);
  if (known?.pictures.length === pictures.length && pictures.every(isSame)) return known.patch;
  const patch = new Float64Array((2 * settings.half + 1) ** 2);
  for (const { grey, points } of pictures) {
    const own = patchAbout(grey, points[id], settings.half);
    for (let place = 0; place < patch.length; place++) patch[place] += own[place] / pictures.length;
  }
  meanPatches.set(id, { pictures, patch });
  return patch;
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
  const values = new Float64Array(side * side);
  let [sum, squares, place] = [0, 0, 0];
  for (const row of down) {
    const [above, below] = [row.first * grey.width, row.second * grey.width];
    for (const { first, second, share } of across) {
      const high = grey.values[above + first] * (1 - share) + grey.values[above + second] * share;
      const low = grey.values[below + first] * (1 - share) + grey.values[below + second] * share;
      values[place] = high * (1 - row.share) + low * row.share;
      sum += values[place++];
    }
  }
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  const norm = Math.max(Math.sqrt(squares), 1e-6);
  return values.map((value) => (value - mean) / norm);
}

// Where a picture agrees best with a patch near a point, and how well it does there, from -1 to 1.
function findPatch(grey, patch, about, reach, settings) {
  const agreementAt = agreementWith(grey, patch, settings);
  const count = 2 * reach + 1;
  const middle = [[about[0], grey.width], [about[1], grey.height]].map(([value, length]) =>
    Math.min(Math.max(Math.floor(value), 0), length - 1));
  const pulled = new Float64Array(count * count);
  let best = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      const cell = i * count + j;
      pulled[cell] = agreementAt(middle[0] - reach + j, middle[1] - reach + i)
        - (settings.pull * ((i - reach) ** 2 + (j - reach) ** 2)) / reach ** 2;
      if (pulled[cell] > pulled[best]) best = cell;
    }
  }
  const [row, column] = [Math.floor(best / count), best % count];
  const [x, y] = [middle[0] - reach + column, middle[1] - reach + row];
  const beside = [peakBeside(pulled, best, 1, column, count), peakBeside(pulled, best, count, row, count)];
  return { point: [x + 0.5 + beside[0], y + 0.5 + beside[1]], agreement: agreementAt(x, y) };
}

const agreements = new WeakMap(); // patch -> {grey, rows}: how well the picture that was asked for last agrees

// How well a picture agrees with a patch about a whole pixel: a function of its column and row. It works out each value
// once, for most of what is asked after a click was asked before.
function agreementWith(grey, patch, { half, reach }) {
  if (agreements.get(patch)?.grey !== grey) agreements.set(patch, { grey, rows: [] });
  const { rows } = agreements.get(patch);
  const [side, margin] = [2 * half + 1, half + reach];
  const { width, values, sums, squares } = widened(grey, margin);
  const sumOf = (of, from) => {
    const to = from + side * (width + 1);
    return of[to + side] - of[to] - of[from + side] + of[from];
  };
  return (x, y) => {
    const [column, row] = [x + reach, y + reach]; // of the patch's first pixel in what is widened
    const known = (rows[row] ??= new Float64Array(width).fill(NaN));
    if (!Number.isNaN(known[column])) return known[column];
    const corner = row * (width + 1) + column;
    const spread = sumOf(squares, corner) - sumOf(sums, corner) ** 2 / (side * side);
    known[column] = productWith(values, row * width + column, width, patch, side) / Math.sqrt(Math.max(spread, 1));
    return known[column];
  };
}

// The sum of products of a patch and what lies below it, where most of the time goes.
function productWith(values, corner, width, patch, side) {
  let sum = 0;
  for (let k = 0; k < side; k++) {
    const [from, to] = [corner + k * width, k * side];
    for (let l = 0; l < side; l++) sum += values[from + l] * patch[to + l];
  }
  return sum;
}

let widenedLast = {}; // the grey picture that was asked for last, with what is made of it

// A grey picture whose border is repeated so far, and the sums of all values, and of squares, above and to the left.
function widened(grey, margin) {
  if (widenedLast.grey === grey) return widenedLast;
  const [width, height] = [grey.width + 2 * margin, grey.height + 2 * margin];
  const clip = (value, length) => Math.min(Math.max(value - margin, 0), length - 1);
  const values = new Float64Array(width * height);
  const [sums, squares] = [0, 1].map(() => new Float64Array((width + 1) * (height + 1)));
  for (let i = 0; i < height; i++) {
    const row = clip(i, grey.height) * grey.width;
    for (let j = 0, sum = 0, square = 0; j < width; j++) {
      const value = grey.values[row + clip(j, grey.width)];
      [sum, square] = [sum + value, square + value * value];
      const at = (i + 1) * (width + 1) + j + 1;
      values[i * width + j] = value;
      [sums[at], squares[at]] = [sums[at - width - 1] + sum, squares[at - width - 1] + square];
    }
  }
  widenedLast = { grey, width, values, sums, squares };
  return widenedLast;
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
