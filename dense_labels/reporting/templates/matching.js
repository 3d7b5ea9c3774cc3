// Equation (3) as dense_labels/matching.py has it, on label maps that were stored as 16-bit whole numbers.
//
// A map is {labels, height, width, length, stride}: its cell (i, j) is at ((j + .5) stride, (i + .5) stride), in
// continuous pixels of its picture, (x, y) from the outer top-left corner.
"use strict";

// Base64 of bytes -> Uint8Array. A page holds tens of megabytes of them: here and below, loops are what is fast.
function bytes(text) {
  const characters = atob(text);
  const found = new Uint8Array(characters.length);
  for (let n = 0; n < found.length; n++) found[n] = characters.charCodeAt(n);
  return found;
}

// Base64 of little-endian int16 -> Float32Array of labels.
function labelsOf(text, scale) {
  const whole = new Int16Array(bytes(text).buffer);
  const labels = new Float32Array(whole.length);
  for (let n = 0; n < labels.length; n++) labels[n] = whole[n] * scale;
  return labels;
}

function labelOf(map, cell) {
  return map.labels.subarray(cell * map.length, (cell + 1) * map.length);
}

// The label of a map at a point between its cells, bilinear; points beyond the outermost cell centres read the border.
function labelAt(map, [x, y]) {
  const clip = (value, size) => Math.min(Math.max(value / map.stride - 0.5, 0), size - 1);
  const column = clip(x, map.width);
  const row = clip(y, map.height);
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, map.width - 1), Math.min(top + 1, map.height - 1)];
  const label = new Float32Array(map.length);
  for (const [i, j, weight] of [
    [top, left, (top + 1 - row) * (left + 1 - column)],
    [top, right, (top + 1 - row) * (column - left)],
    [bottom, left, (row - top) * (left + 1 - column)],
    [bottom, right, (row - top) * (column - left)],
  ]) {
    const start = (i * map.width + j) * map.length;
    for (let k = 0; k < map.length; k++) label[k] += weight * map.labels[start + k];
  }
  return label;
}

// How well a label fits each cell of a map, and the cell that it fits best.
function scoresOf(map, label) {
  const scores = new Float32Array(map.height * map.width);
  let best = 0;
  for (let cell = 0; cell < scores.length; cell++) {
    let score = 0;
    for (let k = 0; k < map.length; k++) score += label[k] * map.labels[cell * map.length + k];
    scores[cell] = score;
    if (scores[cell] > scores[best]) best = cell;
  }
  return { scores, best };
}

// Where a label is found in a map: the probability of each cell, the most probable one and the mean place.
function findLabel(map, label) {
  const { scores: probability, best } = scoresOf(map, label);
  const cells = probability.length;
  const highest = probability[best];
  let [total, x, y] = [0, 0, 0];
  for (let cell = 0; cell < cells; cell++) {
    probability[cell] = Math.exp(probability[cell] - highest);
    const [cellX, cellY] = centreOf(map, cell);
    total += probability[cell];
    x += probability[cell] * cellX;
    y += probability[cell] * cellY;
  }
  for (let cell = 0; cell < cells; cell++) probability[cell] /= total;
  return { probability, largest: 1 / total, best: centreOf(map, best), expected: [x / total, y / total] };
}

function centreOf(map, cell) {
  return [((cell % map.width) + 0.5) * map.stride, (Math.floor(cell / map.width) + 0.5) * map.stride];
}

// The place of a label in the ball that the label sphere bounds, through a basis [length][3].
function placeOf(label, basis) {
  const norm = Math.hypot(...label) || 1;
  const place = [0, 1, 2].map((axis) => label.reduce((sum, value, k) => sum + value * basis[k][axis], 0) / norm);
  const length = Math.max(Math.hypot(...place), 1);
  return place.map((value) => value / length);
}

// A share in percent, to two figures.
function inPercent(share) {
  const percent = 100 * share;
  return `${percent < 9.95 ? percent.toPrecision(2) : percent.toFixed(0)} %`;
}
