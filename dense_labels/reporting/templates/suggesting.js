// Where landmarks lie by their labels, as dense_labels/annotation/suggesting.py has it; needs matching.js.
"use strict";

// The mean of labels of one length, which is as a label itself; null of none.
function meanLabel(labels) {
  if (!labels.length) return null;
  return Float32Array.from(labels[0], (_, k) => labels.reduce((sum, label) => sum + label[k], 0) / labels.length);
}

// The expected place of a label in a window of so many cells about the most probable one, on scores interpolated to
// so many places along each side of a cell, which is as interpolating labels; and the probability of that cell.
function suggestPlace(map, label, { window, finer }) {
  const { scores, best } = scoresOf(map, label);
  const scored = { ...map, labels: scores, length: 1 };
  const weightOf = (score) => Math.exp(score - scores[best]);
  const [row, column] = [Math.floor(best / map.width), best % map.width];
  const [top, bottom] = [Math.max(row - window, 0), Math.min(row + window, map.height - 1)];
  const [left, right] = [Math.max(column - window, 0), Math.min(column + window, map.width - 1)];
  let [total, x, y] = [0, 0, 0];
  for (let i = top * finer; i < (bottom + 1) * finer; i++) {
    for (let j = left * finer; j < (right + 1) * finer; j++) {
      const place = [((j + 0.5) * map.stride) / finer, ((i + 0.5) * map.stride) / finer];
      const weight = weightOf(labelAt(scored, place)[0]);
      [total, x, y] = [total + weight, x + weight * place[0], y + weight * place[1]];
    }
  }
  const all = scores.reduce((sum, score) => sum + weightOf(score), 0);
  return { point: [x / total, y / total], probability: 1 / all };
}
