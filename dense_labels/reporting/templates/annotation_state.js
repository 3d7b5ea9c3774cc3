// What has been annotated, as a value that JSON can hold; and what is read from it.
//
// A state is {landmarks: [{id, name}], points}; points[n][id] of picture n is [x, y], in continuous pixels of the
// picture; [x, y, HIDDEN] where something hides the landmark; or HIDDEN where nobody can tell its place either. What is
// not there is not annotated. Suggestions are no part of it.
"use strict";

const HIDDEN = "hidden";

function initialState(data) {
  const landmarks = data.landmark_names.map((name, id) => ({ id, name }));
  return { landmarks, points: data.pictures.map(({ points }) => pointsById(points)) };
}

function pointsById(points) {
  return Object.fromEntries(points.flatMap((point, id) => (point ? [[id, point]] : [])));
}

const isPlaced = (point) => Array.isArray(point);
const isHidden = (point) => point === HIDDEN || (isPlaced(point) && point[2] === HIDDEN);

// A landmark at another place, hidden there if it was before.
const movedTo = (before, [x, y]) => (isHidden(before) ? [x, y, HIDDEN] : [x, y]);

// The landmark with the mark of being hidden put on, or taken off; without a place there is nothing but the mark.
function withMark(point) {
  if (!isPlaced(point)) return HIDDEN;
  return isHidden(point) ? point.slice(0, 2) : [...point, HIDDEN];
}

// Whether what a browser has kept is a state of this page.
function isState(state, data) {
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const isPair = (point) => point.length === 2 && point.every(isNumber);
  const isPoint = (point) => point === HIDDEN || (isPlaced(point) && isPair(isHidden(point) ? point.slice(0, -1) : point));
  return Array.isArray(state?.landmarks) && Array.isArray(state.points)
    && state.landmarks.every(({ id, name }) => Number.isInteger(id) && typeof name === "string")
    && state.points.length === data.pictures.length
    && state.points.every((points) => points && Object.values(points).every(isPoint));
}

// The name as files can hold it; null where it is empty or another landmark has it.
function usableName(state, text, id = null) {
  const name = text.trim().replace(/\s+/g, " ");
  return name && !state.landmarks.some((other) => other.id !== id && other.name === name) ? name : null;
}

// A name that no landmark has.
function freeName(state) {
  let number = state.landmarks.length + 1;
  while (!usableName(state, `point${number}`)) number++;
  return `point${number}`;
}

// The state with another landmark, which is the last of its list.
function withLandmark(state, name, data) {
  const id = Math.max(data.landmark_names.length - 1, ...state.landmarks.map((each) => each.id)) + 1;
  return { ...state, landmarks: [...state.landmarks, { id, name }] };
}

function withName(state, id, name) {
  return { ...state, landmarks: state.landmarks.map((each) => (each.id === id ? { id, name } : each)) };
}

function withoutLandmark(state, id) {
  const points = state.points.map((each) => Object.fromEntries(Object.entries(each).filter(([key]) => key !== `${id}`)));
  return { landmarks: state.landmarks.filter((each) => each.id !== id), points };
}

// The state with points of picture n: id -> what a state has of a landmark, or null for none.
function withPoints(state, n, changed) {
  const entries = Object.entries({ ...state.points[n], ...changed }).filter(([, point]) => point !== null);
  return { ...state, points: state.points.map((each, index) => (index === n ? Object.fromEntries(entries) : each)) };
}

function isDone(state, n) {
  return state.landmarks.length > 0 && state.landmarks.every(({ id }) => state.points[n][id] !== undefined);
}

function toMap(data, picture, [x, y]) {
  const [height, width] = data.full_size;
  return [(x * width) / picture.width - data.margin, (y * height) / picture.height - data.margin];
}

function fromMap(data, picture, [x, y]) {
  const [height, width] = data.full_size;
  const clip = (value, size) => Math.min(Math.max(value, 0), size);
  return [
    clip(((x + data.margin) * picture.width) / width, picture.width),
    clip(((y + data.margin) * picture.height) / height, picture.height),
  ];
}

// The mean label of each landmark that is placed somewhere: id -> label.
function meanLabels(data, maps, state) {
  const labelled = state.landmarks.map(({ id }) => {
    const placed = [...maps.keys()].filter((n) => isPlaced(state.points[n][id]));
    const at = (n) => labelAt(maps[n], toMap(data, data.pictures[n], state.points[n][id]));
    return [id, meanLabel(placed.map(at))];
  });
  return Object.fromEntries(labelled.filter(([, label]) => label));
}

// What a detector has predicted in picture n of the landmarks of a state: id -> {point, probability}.
function predictedIn(data, state, n) {
  const known = state.landmarks.filter(({ id }) => data.pictures[n].predicted?.[id]);
  return Object.fromEntries(known.map(({ id }) => {
    const [x, y, probability] = data.pictures[n].predicted[id];
    return [id, { point: [x, y], probability }];
  }));
}

// Where picture n has the landmarks that it has no point of, id -> {point, probability}: as predicted, or else by labels.
function suggestionsFor(data, maps, state, means, n, greys) {
  const open = Object.entries(predictedIn(data, state, n)).filter(([id]) => state.points[n][id] === undefined);
  const predicted = Object.fromEntries(open);
  const others = Object.fromEntries(Object.entries(means).filter(([id]) => !predicted[id]));
  return { ...suggestedByLabels(data, maps, state, others, n, greys), ...predicted };
}

// The same by labels and by what the pictures show. Greys are those of all pictures, as refining.js has them; null of
// one that cannot be seen yet, with which nothing is compared.
function suggestedByLabels(data, maps, state, means, n, greys) {
  const missing = Object.keys(means).filter((id) => state.points[n][id] === undefined);
  const found = Object.fromEntries(missing.map((id) => {
    const { point, probability } = placeByLabel(id, maps[n], means[id], data.settings);
    return [id, { point: fromMap(data, data.pictures[n], point), probability }];
  }));
  if (!greys[n] || !missing.length) return found;
  const turned = (k, points, into) => Object.fromEntries(Object.entries(points).map(([id, point]) => {
    const scale = [greys[k].width / data.pictures[k].width, greys[k].height / data.pictures[k].height];
    return [id, [0, 1].map((axis) => (into ? point[axis] * scale[axis] : point[axis] / scale[axis]))];
  }));
  const known = (k) => {
    const placed = Object.entries(state.points[k]).filter(([id, point]) => isPlaced(point) && means[id]);
    return { grey: greys[k], points: turned(k, Object.fromEntries(placed), true) };
  };
  const others = [...greys.keys()].filter((k) => k !== n && greys[k]).map(known);
  const starts = turned(n, Object.fromEntries(missing.map((id) => [id, found[id].point])), true);
  const given = missing.map((id) => [id, { point: starts[id], probability: found[id].probability }]);
  const exact = turned(n, refined(known(n), others, Object.fromEntries(given), data.settings), false);
  const { width, height } = data.pictures[n];
  const clip = (value, size) => Math.min(Math.max(value, 0), size);
  return Object.fromEntries(missing.map((id) => {
    const [x, y] = exact[id];
    return [id, { point: [clip(x, width), clip(y, height)], probability: found[id].probability }];
  }));
}

const placesByLabel = new Map(); // id of a landmark -> {map, label, place}: what was asked for last

// Where a label is found in a map; the same as before, where both are, as after a click on another landmark.
function placeByLabel(id, map, label, settings) {
  const known = placesByLabel.get(id);
  if (known?.map === map && label.every((value, k) => value === known.label[k])) return known.place;
  const place = suggestPlace(map, label, settings);
  placesByLabel.set(id, { map, label, place });
  return place;
}

// How large the grey picture is that refining.js compares.
function greySize(data) {
  const [height, width] = data.full_size.map((side) => Math.max(Math.round((side / data.stride) * data.settings.detail), 1));
  return { width, height };
}

// A grey picture of the colours of pixels, as a canvas has them.
function greyOf({ width, height, data: pixels }) {
  const values = new Float32Array(width * height);
  for (let n = 0; n < values.length; n++) {
    values[n] = 0.299 * pixels[4 * n] + 0.587 * pixels[4 * n + 1] + 0.114 * pixels[4 * n + 2];
  }
  return { width, height, values };
}

// Whether the page began with a landmark that is marked as hidden.
function hadMarks({ pictures, others }) {
  return [...pictures, ...others].some(({ points }) => points.some(isHidden));
}

// What is handed out: the landmarks and pictures that have a place, how many suggestions nobody has accepted, and how
// many marks of hidden landmarks are of others.
function handedOut(data, state) {
  const shown = data.pictures.map((picture, n) => ({ ...picture, points: state.points[n] }));
  const others = data.others.map((picture) => ({ ...picture, points: pointsById(picture.points) }));
  const ids = new Set(state.landmarks.map(({ id }) => `${id}`));
  const all = [...others, ...shown].map(({ name, width, height, points }) => {
    return { name, width, height, points: Object.fromEntries(Object.entries(points).filter(([id]) => ids.has(id))) };
  });
  const rows = all.filter(({ points }) => Object.values(points).some(isPlaced));
  const landmarks = state.landmarks.filter(({ id }) => rows.some(({ points }) => isPlaced(points[id])));
  const marks = (of, which) => of.flatMap(({ points }) => which.filter(({ id }) => points[id] === HIDDEN)).length;
  const carried = state.landmarks.filter(({ id }) => state.points.some((points) => isPlaced(points[id])));
  const leftOut = state.points.reduce((sum, points, n) => {
    const ids = new Set([...carried.map(({ id }) => `${id}`), ...Object.keys(predictedIn(data, state, n))]);
    return sum + [...ids].filter((id) => points[id] === undefined).length;
  }, 0);
  return { landmarks, rows, leftOut, marksLeftOut: marks(all, state.landmarks) - marks(rows, landmarks) };
}
