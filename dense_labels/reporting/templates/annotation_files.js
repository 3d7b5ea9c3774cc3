// What the page hands out: points in continuous pixels of the upright pictures, as --annotations takes them.
//
// A landmark is {id, name}; a row is {name, width, height, points}, points[id] being what a state has of a landmark.
"use strict";

// A table, one line a picture; two empty cells are a landmark that is not annotated. Where something hides a landmark, or
// did before marks were taken away (hadMarks), a third column of each says which: 1 where it is hidden, whether it has a
// place or not, and 2 where it is seen.
function csvOf(landmarks, rows, hadMarks = false) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const axes = haveMarks(landmarks, rows) || hadMarks ? "xyv" : "xy";
  const lines = [["file", ...landmarks.flatMap(({ name }) => [...axes].map((axis) => `${name}_${axis}`))]];
  const cellsOf = (point) => {
    const place = isPlaced(point) ? point.slice(0, 2).map((value) => value.toFixed(3)) : ["", ""];
    return [...place, isHidden(point) ? "1" : isPlaced(point) ? "2" : ""].slice(0, axes.length);
  };
  for (const row of rows) lines.push([row.name, ...landmarks.flatMap(({ id }) => cellsOf(row.points[id]))]);
  return lines.map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

// Whether one of the landmarks is marked as hidden in one of the rows.
function haveMarks(landmarks, rows) {
  return rows.some(({ points }) => landmarks.some(({ id }) => isHidden(points[id])));
}

// COCO key points of objects of that category; v is 2 where a landmark is seen, 1 where something hides it, and 0 where
// it has no place. Those that are hidden and have none are named in a key that is not of COCO's own. The area is that of
// the bbox, and there is no mask, but pycocotools and other programs need the keys.
function cocoOf(landmarks, rows, category) {
  const rounded = (value) => Math.round(value * 1000) / 1000;
  const place = (point) => (isPlaced(point) ? point.slice(0, 2).map(rounded) : undefined);
  const placed = rows.map(({ points }) => landmarks.map(({ id }) => place(points[id])));
  const known = placed.flat().filter((point) => point);
  // Where all numbers are whole, readers take them to count pixels at their centres.
  if (known.length && known.flat().every(Number.isInteger)) known[0][0] = rounded(known[0][0] + 0.001);
  const images = rows.map(({ name, width, height }, n) => ({ id: n + 1, file_name: name, width, height }));
  const annotations = placed.map((points, n) => {
    const found = points.filter((point) => point);
    const [left, top] = [0, 1].map((axis) => Math.min(...found.map((point) => point[axis])));
    const [right, bottom] = [0, 1].map((axis) => Math.max(...found.map((point) => point[axis])));
    const [width, height] = [right - left, bottom - top].map((side) => Math.max(rounded(side), 1)); // as readers make it
    const marks = landmarks.map(({ id }) => rows[n].points[id]);
    const unplaced = landmarks.filter((_, k) => marks[k] === HIDDEN).map(({ name }) => name);
    return {
      id: n + 1, image_id: n + 1, category_id: 1, num_keypoints: found.length,
      keypoints: points.flatMap((point, k) => (point ? [...point, isHidden(marks[k]) ? 1 : 2] : [0, 0, 0])),
      bbox: [left, top, width, height], area: rounded(width * height), iscrowd: 0, segmentation: [],
      ...(unplaced.length ? { hidden_without_place: unplaced } : {}),
    };
  });
  const kind = { id: 1, name: category, keypoints: landmarks.map(({ name }) => name), skeleton: [] };
  return `${JSON.stringify({ images, annotations, categories: [kind] })}\n`;
}
