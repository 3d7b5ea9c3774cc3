// What the page hands out: points in continuous pixels of the upright pictures, as --annotations takes them.
//
// A landmark is {id, name}; a row is {name, width, height, points}, points[id] being [x, y] or not there.
"use strict";

// A table, one line a picture; two empty cells are a landmark that is not annotated.
function csvOf(landmarks, rows) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [["file", ...landmarks.flatMap(({ name }) => [`${name}_x`, `${name}_y`])]];
  for (const row of rows) {
    const cells = landmarks.flatMap(({ id }) => row.points[id]?.map((value) => value.toFixed(3)) ?? ["", ""]);
    lines.push([row.name, ...cells]);
  }
  return lines.map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

// COCO key points; v is 2 where a landmark is annotated, else 0.
function cocoOf(landmarks, rows) {
  const rounded = (value) => Math.round(value * 1000) / 1000;
  const placed = rows.map(({ points }) => landmarks.map(({ id }) => points[id]?.map(rounded)));
  const known = placed.flat().filter((point) => point);
  // Where all numbers are whole, readers take them to count pixels at their centres.
  if (known.length && known.flat().every(Number.isInteger)) known[0][0] = rounded(known[0][0] + 0.001);
  const images = rows.map(({ name, width, height }, n) => ({ id: n + 1, file_name: name, width, height }));
  const annotations = placed.map((points, n) => {
    const found = points.filter((point) => point);
    const [left, top] = [0, 1].map((axis) => Math.min(...found.map((point) => point[axis])));
    const [right, bottom] = [0, 1].map((axis) => Math.max(...found.map((point) => point[axis])));
    return {
      id: n + 1, image_id: n + 1, category_id: 1, num_keypoints: found.length,
      keypoints: points.flatMap((point) => (point ? [...point, 2] : [0, 0, 0])),
      bbox: [left, top, rounded(right - left), rounded(bottom - top)],
    };
  });
  const category = { id: 1, name: "object", keypoints: landmarks.map(({ name }) => name), skeleton: [] };
  return `${JSON.stringify({ images, annotations, categories: [category] })}\n`;
}
