// The page: a point of one picture, the same point in the others, and its label on the sphere.
"use strict";

const RAMP = [[0, 0, 4], [60, 9, 101], [120, 28, 109], [176, 46, 90], [224, 92, 46], [251, 155, 6], [252, 255, 164]];
const EXPECTED = "#009e73", BEST = "#d55e00", TRUE = "#0072b2"; // as in the panels; they differ in shape too
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const pictures = data.pictures.map(read);
const tiles = pictures.map(createTile);
const chips = data.landmark_names.map(createChip);
const state = { source: 0, ...firstPoint(pictures[0]), spin: turn(-0.35, 0.25) };
let waiting = false;

function read(stored, index) {
  const image = new Image();
  image.onload = refresh;
  image.src = stored.image;
  const size = { height: data.rows, width: data.columns };
  const colours = { picture: bytes(stored.picture_colours), labels: bytes(stored.label_colours) };
  const picture = {
    ...size, length: data.length, stride: data.stride, labels: labelsOf(stored.labels, data.scale), image, colours,
    name: String.fromCharCode(65 + index), object: bytes(stored.object), landmarks: stored.landmarks,
    labelImage: imageOf(size, (cell) => [...colours.labels.slice(3 * cell, 3 * cell + 3), 255]),
  };
  const cells = [...picture.object.keys()].filter((cell) => data.basis && picture.object[cell]);
  picture.places = cells.map((cell) => ({ cell, place: placeOf(labelOf(picture, cell), data.basis) }));
  return picture;
}

// Its first landmark, else the cell of the object whose label is longest.
function firstPoint(picture) {
  const landmark = picture.landmarks.findIndex((point) => point);
  if (landmark >= 0) return { point: picture.landmarks[landmark], landmark };
  const length = (cell) => Math.hypot(...labelOf(picture, cell));
  const cells = [...picture.object.keys()].filter((cell) => picture.object[cell]);
  const longest = cells.reduce((best, cell) => (length(cell) > length(best) ? cell : best), cells[0] ?? 0);
  return { point: centreOf(picture, longest), landmark: null };
}

// A canvas with a pixel for each cell.
function imageOf({ height, width }, colourOf) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  for (let cell = 0; cell < width * height; cell++) pixels.data.set(colourOf(cell), 4 * cell);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function createTile(picture) {
  const button = document.createElement("button");
  button.className = "tile";
  button.type = "button";
  const canvas = document.createElement("canvas");
  const caption = document.createElement("span");
  caption.className = "caption";
  button.append(canvas, caption);
  button.addEventListener("click", () => choose(pictures.indexOf(picture)));
  byId("tiles").append(button);
  return { button, canvas, caption };
}

function createChip(name, landmark) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name.replaceAll("_", " ");
  button.addEventListener("click", () => {
    [state.landmark, state.point] = [landmark, pictures[state.source].landmarks[landmark]];
    refresh();
  });
  byId("landmarks").append(button);
  return button;
}

// Takes another picture to point at; the point goes along to where it is found there.
function choose(index) {
  const known = state.landmark !== null && pictures[index].landmarks[state.landmark];
  const found = findLabel(pictures[index], labelAt(pictures[state.source], state.point));
  if (!known) state.landmark = null;
  [state.point, state.source] = [known || found.best, index];
  refresh();
}

function pointAt(x, y) {
  const clip = (value, size) => Math.min(Math.max(value, 0), size);
  [state.point, state.landmark] = [[clip(x, data.width), clip(y, data.height)], null];
  refresh();
}

// Draws everything anew, once before the screen is next shown.
function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function draw() {
  const source = pictures[state.source];
  const label = labelAt(source, state.point);
  const errors = pictures.map((picture, index) => drawTile(tiles[index], picture, findLabel(picture, label)));
  drawSource(source);
  if (data.basis) drawSphere(source, label);
  chips.forEach((chip, landmark) => {
    chip.disabled = !source.landmarks[landmark];
    chip.setAttribute("aria-pressed", state.landmark === landmark);
  });
  byId("true-key").hidden = state.landmark === null;
  byId("source-name").textContent = source.name;
  say(source, label, errors.filter((error, index) => error !== null && index !== state.source));
}

function say(source, label, errors) {
  const what = state.landmark === null ? "Point" : data.landmark_names[state.landmark].replaceAll("_", " ");
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const off = errors.length ? `; in the other pictures its expected place is ${mean.toFixed(1)} px off on average` : "";
  byId("status").textContent =
    `${what} (${written(state.point)}) of picture ${source.name}, its label ${Math.hypot(...label).toPrecision(3)} long` +
    `${off}. Places are in pixels of pictures of ${data.width} x ${data.height}.`;
}

const written = (point) => point.map((value) => value.toFixed(1)).join(", ");
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;

// Fits a canvas to the place it has on the page; returns its context, scaled to pixels of the picture.
function prepare(canvas, width, height) {
  const ratio = (canvas.clientWidth * (window.devicePixelRatio || 1)) / width;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, unit: width / canvas.clientWidth }; // a unit is as wide as a pixel of the page
}

function drawPicture(context, picture, dim) {
  if (chosen("shown") === "picture") context.drawImage(picture.image, 0, 0, data.width, data.height);
  else drawCells(context, picture.labelImage);
  if (!dim) return;
  // Paler and darker, so that the glow stands out.
  for (const [operation, colour] of [["saturation", "rgb(128 128 128 / 60%)"], ["source-over", "rgb(0 0 0 / 38%)"]]) {
    [context.globalCompositeOperation, context.fillStyle] = [operation, colour];
    context.fillRect(0, 0, data.width, data.height);
  }
}

const drawCells = (context, cells) => context.drawImage(cells, 0, 0, data.columns * data.stride, data.rows * data.stride);

function drawSource(source) {
  const canvas = byId("source");
  const { context, unit } = prepare(canvas, data.width, data.height);
  drawPicture(context, source, false);
  const [x, y] = state.point;
  const cross = new Path2D();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    cross.moveTo(x + 5 * unit * dx, y + 5 * unit * dy);
    cross.lineTo(x + 16 * unit * dx, y + 16 * unit * dy);
  }
  cross.moveTo(x + 10 * unit, y);
  cross.arc(x, y, 10 * unit, 0, 7);
  stroke(context, cross, unit, "#000000");
  canvas.setAttribute("aria-label", `Picture ${source.name}: the arrow keys move the point, with Shift by five cells`);
}

// Draws where the label is found in a picture; returns how far off the true place it is, null where that is not known.
function drawTile({ button, canvas, caption }, picture, found) {
  const { context, unit: pixel } = prepare(canvas, data.width, data.height);
  const unit = pixel * Math.min(1, canvas.clientWidth / 180); // marks leave the glow to be seen in small tiles
  const heat = byId("heat").checked;
  drawPicture(context, picture, heat);
  if (heat) drawCells(context, imageOf(picture, (cell) => glow(found.probability[cell] / found.largest)));
  const truth = state.landmark === null ? null : picture.landmarks[state.landmark];
  const [square, ring, cross] = [new Path2D(), new Path2D(), new Path2D()];
  square.rect(found.best[0] - 5 * unit, found.best[1] - 5 * unit, 10 * unit, 10 * unit);
  ring.arc(...found.expected, 8 * unit, 0, 7);
  stroke(context, square, unit, BEST);
  stroke(context, ring, unit, EXPECTED);
  if (truth) {
    for (const side of [-1, 1]) {
      cross.moveTo(truth[0] - 5 * unit, truth[1] - 5 * side * unit);
      cross.lineTo(truth[0] + 5 * unit, truth[1] + 5 * side * unit);
    }
    stroke(context, cross, unit, TRUE);
  }
  const pressed = picture === pictures[state.source];
  const error = truth && Math.hypot(found.expected[0] - truth[0], found.expected[1] - truth[1]);
  const percent = inPercent(found.largest);
  caption.replaceChildren(...[
    ["name", picture.name], ["place", written(found.expected)], ["", truth ? `${error.toFixed(1)} px off` : percent],
  ].map(([kind, text]) => Object.assign(document.createElement("span"), { className: kind, textContent: text })));
  button.setAttribute("aria-pressed", pressed);
  button.setAttribute("aria-label", `Picture ${picture.name}: expected at ${written(found.expected)}, most probable ` +
    `cell at ${written(found.best)} with ${percent}${truth ? `, ${error.toFixed(1)} pixels off` : ""}. Point at it`);
  Object.assign(button.dataset, { best: found.best, expected: found.expected });
  return truth ? error : null;
}

// The colour of a probability, relative to the largest; its square root, so that a weak second peak is seen.
function glow(relative) {
  const root = Math.sqrt(relative);
  const place = Math.min(root * (RAMP.length - 1), RAMP.length - 1.001);
  const [low, high] = [RAMP[Math.floor(place)], RAMP[Math.floor(place) + 1]];
  return [...low.map((value, k) => value + (high[k] - value) * (place % 1)), 255 * Math.min(1, 1.5 * root)];
}

function stroke(context, path, unit, colour) {
  for (const [style, width] of [["#ffffff", 5], [colour, 2.5]]) {
    [context.strokeStyle, context.lineWidth] = [style, width * unit];
    context.stroke(path);
  }
}

// The sphere in a frame of its own, from -1.1 to 1.1; its first axis comes out of the page and its third points up.
function drawSphere(source, label) {
  const { context, unit } = prepare(byId("sphere"), 2.2, 2.2);
  context.translate(1.1, 1.1);
  const style = getComputedStyle(document.body);
  context.fillStyle = style.getPropertyValue("--card");
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = unit;
  circle(context, [0, 0], 1);
  context.fill();
  const colours = source.colours[chosen("dots")];
  const dots = source.places.map(({ cell, place }) => ({ cell, place: seen(place) })).sort((a, b) => a.place[0] - b.place[0]);
  const size = Math.min(Math.max(80 / Math.sqrt(dots.length), 2), 4.5);
  const drawn = dots.findIndex(({ place }) => place[0] >= 0);
  const front = drawn < 0 ? dots.length : drawn;
  drawDots(context, dots.slice(0, front), colours, unit, size, 0.25);
  drawGraticule(context);
  drawDots(context, dots.slice(front), colours, unit, size, 1);
  const place = seen(placeOf(label, data.basis));
  const mark = new Path2D();
  mark.arc(place[1], -place[2], 9 * unit, 0, 7);
  mark.moveTo(place[1] + 1.5 * unit, -place[2]);
  mark.arc(place[1], -place[2], 1.5 * unit, 0, 7);
  context.setLineDash(place[0] < 0 ? [3 * unit, 3 * unit] : []); // broken on the far side
  stroke(context, mark, unit, "#000000");
  context.setLineDash([]);
}

function circle(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
}

function drawDots(context, dots, colours, unit, size, alpha) {
  context.globalAlpha = alpha;
  for (const { cell, place } of dots) {
    context.fillStyle = `rgb(${colours.slice(3 * cell, 3 * cell + 3).join()})`;
    circle(context, [place[1], -place[2]], size * (1 + 0.3 * place[0]) * unit);
    context.fill();
  }
  context.globalAlpha = 1;
}

function drawGraticule(context) {
  const steps = Array.from({ length: 73 }, (_, k) => (k * Math.PI) / 36);
  const at = (latitude, longitude) =>
    seen([Math.cos(latitude) * Math.cos(longitude), Math.cos(latitude) * Math.sin(longitude), Math.sin(latitude)]);
  const lines = [-1, 0, 1].map((k) => steps.map((step) => at((k * Math.PI) / 6, step)));
  for (let k = 0; k < 6; k++) lines.push(steps.map((step) => at(step, (k * Math.PI) / 6)));
  for (const line of lines) {
    context.beginPath();
    line.forEach((place, k) => {
      const draw = k && place[0] >= 0 && line[k - 1][0] >= 0 ? "lineTo" : "moveTo";
      context[draw](place[1], -place[2]);
    });
    context.stroke();
  }
}

const seen = (place) => state.spin.map((row) => row[0] * place[0] + row[1] * place[1] + row[2] * place[2]);

// The rotation that moves what is seen to the right and then up, by angles in radians.
function turn(right, up) {
  const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(up), Math.sin(up)];
  return [[d * c, -d * s, -t], [s, c, 0], [t * c, -t * s, d]];
}

function turnSphere(right, up) {
  const by = turn(right, up);
  state.spin = by.map((row) => [0, 1, 2].map((k) => row.reduce((sum, value, n) => sum + value * state.spin[n][k], 0)));
  refresh();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onArrow(element, move) {
  element.addEventListener("keydown", (event) => {
    if (!ARROWS[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(...ARROWS[event.key], event.shiftKey ? 5 : 1);
  });
}

function listen() {
  const source = byId("source");
  const follow = (event) => {
    const box = source.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    pointAt(x * data.width, y * data.height);
  };
  source.addEventListener("pointermove", follow);
  source.addEventListener("pointerdown", follow);
  onArrow(source, (dx, dy, cells) => {
    pointAt(state.point[0] + dx * cells * data.stride, state.point[1] + dy * cells * data.stride);
  });
  if (data.basis) listenToSphere(byId("sphere"));
  byId("explorer").addEventListener("keydown", (event) => {
    const index = event.key.length === 1 ? event.key.toUpperCase().charCodeAt(0) - 65 : -1;
    if (pictures[index] && !event.altKey && !event.ctrlKey && !event.metaKey) choose(index);
  });
  byId("explorer").addEventListener("change", refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  new ResizeObserver(refresh).observe(byId("explorer"));
}

function listenToSphere(sphere) {
  let last = [0, 0];
  sphere.addEventListener("pointerdown", (event) => {
    sphere.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  sphere.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const radius = sphere.clientWidth / 2.2;
    turnSphere((event.clientX - last[0]) / radius, (last[1] - event.clientY) / radius);
    last = [event.clientX, event.clientY];
  });
  onArrow(sphere, (dx, dy, times) => turnSphere(dx * times * 0.1, -dy * times * 0.1));
}

if (!data.basis) byId("sphere-figure").remove();
document.querySelector(".ramp").style.background =
  `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`).join()})`;
listen();
refresh();
