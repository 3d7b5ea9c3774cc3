// The page: what is shown of a state, what changes it, and where it is kept.
"use strict";

const MOST_UNDONE = 300;
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const KEY = `dense-labels-annotation:${data.id}`;
const maps = data.pictures.map((picture) => ({
  height: data.height, width: data.width, length: data.length, stride: data.stride,
  labels: labelsOf(picture.labels, data.scale),
}));
const greys = data.pictures.map(() => null); // of those that are loaded
let waiting = data.pictures.length; // for pictures that are not loaded yet
const images = data.pictures.map(({ image }) => Object.assign(new Image(), { src: image }));
const undone = [], redone = [];
let state = initialState(data);
let current = 0; // picture
let selected = null; // id of a landmark
let dragged = null; // {id, point} while a mark is moved
let revealed = null; // id of the landmark whose row was scrolled to
let nudged = null; // {state, current, id} after an arrow key
let saves = true, downloaded = true;
let gaveMarks = false; // whether a table with marks of what is hidden was handed out
let suggested = {}; // id -> {point, probability}, in the current picture
let suggestedFor = null; // the state and picture they are of

const view = new View(byId("canvas"), {
  pressed: place,
  moved: (id, point) => {
    dragged = id === null ? null : { id, point };
    if (id !== null) selected = id;
    render({ list: false });
  },
  dropped: (id, point) => {
    dragged = null;
    selected = id;
    change(withPoints(state, current, { [id]: movedTo(pointOf(id), rounded(point)) }), `${nameOf(id)} moved`);
  },
  clicked: (id) => {
    dragged = null;
    selected = id;
    if (suggested[id]) accept([id]);
    else render();
  },
});
const thumbnails = data.pictures.map(createThumbnail);

const rounded = (point) => point.map((value) => Math.round(value * 1000) / 1000);
const nameOf = (id) => state.landmarks.find((each) => each.id === id)?.name ?? "";
const pointOf = (id) => state.points[current][id];

// Takes a new state: it can be undone, which chooses the landmark again that was chosen; and it is kept.
function change(next, said = "", chosen = selected) {
  undone.push({ state, current, selected: chosen });
  if (undone.length > MOST_UNDONE) undone.shift();
  redone.length = 0;
  settle(next, said);
}

function settle(next, said) {
  [state, downloaded] = [next, false];
  keep();
  render();
  if (said) say(said);
}

function step(from, to, word) {
  const last = from.pop();
  if (!last) return;
  to.push({ state, current, selected });
  const stays = last.current === current;
  ({ state, current } = last);
  dragged = null;
  if (!stays) showPicture();
  selected = state.landmarks.some(({ id }) => id === last.selected) ? last.selected : firstOpen();
  settle(state, word);
}

const undo = () => step(undone, redone, "Undone");
const redo = () => step(redone, undone, "Done again");

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify({ state, current, gaveMarks }));
    saves = true;
  } catch {
    saves = false;
  }
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (!kept || !isState(kept.state, data)) return false;
    state = kept.state;
    gaveMarks ||= Boolean(kept.gaveMarks);
    current = data.pictures[kept.current] ? kept.current : 0;
    return true;
  } catch {
    return false;
  }
}

// Takes over what another tab of this page has kept, so that neither overwrites the work of the other.
function takeOver() {
  const last = { state, current };
  const restored = restore();
  current = last.current;
  if (!restored || JSON.stringify(state) === JSON.stringify(last.state)) return;
  undone.length = redone.length = 0; // states without the work of the other
  if (!state.landmarks.some(({ id }) => id === selected)) selected = null;
  downloaded = false;
  render();
  say("Taken over from another tab with this page");
}

// Places the chosen landmark where somebody clicked. While no other picture has points, a click adds one to the list.
function place(point) {
  const { width, height } = data.pictures[current];
  if (point[0] < 0 || point[1] < 0 || point[0] > width || point[1] > height) return say("That is outside of the picture");
  if (selected !== null && !isPlaced(pointOf(selected))) return placeSelected(point);
  const first = state.points.every((points, n) => n === current || !Object.keys(points).length) && !data.others.length;
  if (!first) {
    const which = selected === null ? "Choose a landmark in the list" : `${nameOf(selected)} is set: drag it`;
    return say(`${which}, or choose another landmark`);
  }
  const next = withLandmark(state, freeName(state), data);
  selected = next.landmarks.at(-1).id;
  change(withPoints(next, current, { [selected]: rounded(point) }), `${next.landmarks.at(-1).name} added: name it in the list`, null);
}

function placeSelected(point) {
  setAndGoOn(movedTo(pointOf(selected), rounded(point)), isHidden(pointOf(selected)) ? "placed, hidden" : "placed");
}

// Sets the chosen landmark, and chooses the next one that is open.
function setAndGoOn(point, word) {
  const id = selected;
  const after = state.landmarks.findIndex((each) => each.id === id) + 1;
  const order = [...state.landmarks.slice(after), ...state.landmarks.slice(0, after)];
  const next = order.find((each) => each.id !== id && pointOf(each.id) === undefined);
  selected = next?.id ?? (point === HIDDEN ? null : id); // so that no click places it unless somebody chooses it
  change(withPoints(state, current, { [id]: point }), `${nameOf(id)} ${word}${next ? `; next: ${next.name}` : ""}`, id);
}

function accept(ids) {
  suggestNow();
  const found = ids.filter((id) => suggested[id]);
  if (!found.length) return false;
  const points = Object.fromEntries(found.map((id) => [id, rounded(suggested[id].point)]));
  change(withPoints(state, current, points), found.length > 1 ? `${found.length} accepted` : `${nameOf(found[0])} accepted`);
  return true;
}

function acceptAll() {
  accept(state.landmarks.map(({ id }) => id));
  const open = [...data.pictures.keys()].map((k) => (current + 1 + k) % data.pictures.length);
  const next = open.find((n) => !isDone(state, n));
  if (!state.landmarks.length) say("Click the landmarks in this picture first");
  else if (next === undefined) say("All pictures are done: download the points");
  else if (next === current) say("Place the landmarks that are missing here first");
  else choosePicture(next);
}

function clear() {
  if (selected === null || pointOf(selected) === undefined) return;
  change(withPoints(state, current, { [selected]: null }), `${nameOf(selected)} cleared`);
}

// A landmark that is placed keeps its place. A suggestion is nobody's word for where a hidden landmark lies.
function hide() {
  if (selected === null) return;
  if (pointOf(selected) === HIDDEN) {
    return change(withPoints(state, current, { [selected]: null }), `${nameOf(selected)} is no longer marked as hidden`);
  }
  const point = withMark(pointOf(selected));
  if (point === HIDDEN) return setAndGoOn(point, "marked as hidden; if its place can be told, choose it and click there");
  const word = isHidden(point) ? "marked as hidden where it is" : "is no longer marked as hidden";
  change(withPoints(state, current, { [selected]: point }), `${nameOf(selected)} ${word}`);
}

// A key that is held makes one step of all its nudges.
function nudge(dx, dy, goesOn) {
  if (selected === null) return say("Choose a landmark in the list first");
  suggestNow();
  const known = pointOf(selected);
  const from = isPlaced(known) ? known : suggested[selected]?.point ?? view.middle();
  const { width, height } = data.pictures[current];
  const clip = (value, size) => Math.min(Math.max(value, 0), size);
  const point = [clip(from[0] + dx, width), clip(from[1] + dy, height)];
  const next = withPoints(state, current, { [selected]: movedTo(known, rounded(point)) });
  const said = `${nameOf(selected)} at ${point.map((v) => v.toFixed(1)).join(", ")}`;
  if (goesOn && nudged?.state === state && nudged.current === current && nudged.id === selected) settle(next, said);
  else change(next, said);
  nudged = { state, current, id: selected };
  view.reveal(point);
}

function choosePicture(n) {
  if (!data.pictures[n]) return;
  current = n;
  keep();
  showPicture();
  [suggested, suggestedFor] = [{}, null];
  render({ list: false });
  renderProgress();
  requestAnimationFrame(() => setTimeout(() => current === n && render())); // what takes longer, once that is seen
  say(`Picture ${n + 1} of ${data.pictures.length}: ${data.pictures[n].name}`);
}

function showPicture() {
  const { width, height } = data.pictures[current];
  dragged = null;
  selected = firstOpen();
  view.show({ image: images[current], width, height });
  byId("canvas").scrollIntoView({ block: "nearest" }); // of a narrow page, whose list of pictures is below
  reveal(byId("pictures"), thumbnails[current].button);
}

// The landmark that is chosen in a picture that nobody has touched yet.
function firstOpen() {
  const open = state.landmarks.find(({ id }) => pointOf(id) === undefined)
    ?? state.landmarks.find(({ id }) => isPlaced(pointOf(id)));
  return open ? open.id : null;
}

// Scrolls a list alone; scrollIntoView would scroll a narrow page too, away from the picture.
function reveal(list, child) {
  const [box, at] = [list.getBoundingClientRect(), child.getBoundingClientRect()];
  list.scrollTop += Math.min(at.top - box.top, 0) + Math.max(at.bottom - box.bottom, 0);
  list.scrollLeft += Math.min(at.left - box.left, 0) + Math.max(at.right - box.right, 0);
}

// Zooms about the chosen landmark, where it is seen.
function zoom(factor) {
  const known = selected === null ? null : pointOf(selected);
  const point = isPlaced(known) ? known.slice(0, 2) : suggested[selected]?.point;
  view.zoom(factor, point && view.toCanvas(point));
}

function chooseLandmark(step) {
  const index = state.landmarks.findIndex(({ id }) => id === selected);
  const next = state.landmarks[(index + step + state.landmarks.length) % state.landmarks.length];
  if (!next) return;
  selected = next.id;
  render();
  say(`${next.name}: ${stateOf(next.id).words}`);
}

// How a landmark stands in the current picture, in words and in a few letters.
function stateOf(id) {
  const point = pointOf(id);
  if (point === HIDDEN) return { kind: "hidden", text: "hidden", words: "hidden, without a place" };
  if (isHidden(point)) return { kind: "placed", text: "hidden", words: "placed, hidden" };
  if (point) return { kind: "placed", text: "✓", words: "placed" };
  if (!suggested[id]) return { kind: "open", text: "–", words: "not placed" };
  const percent = inPercent(suggested[id].probability);
  return { kind: "suggested", text: percent, words: `suggested, ${percent}` };
}

function suggestNow() {
  if (suggestedFor?.state === state && suggestedFor.current === current) return;
  suggested = suggestionsFor(data, maps, state, meanLabels(data, maps, state), current, greys);
  suggestedFor = { state, current };
}

function render({ list = true } = {}) {
  if (list) suggestNow();
  const shown = state.landmarks.flatMap(({ id }, index) => {
    const moved = dragged?.id === id ? dragged.point : null;
    const point = moved ?? (isPlaced(pointOf(id)) ? pointOf(id).slice(0, 2) : suggested[id]?.point);
    if (!point) return [];
    const kind = moved || pointOf(id) ? "placed" : "suggested";
    const number = `${index + 1}${isHidden(pointOf(id)) ? " hidden" : ""}`;
    const label = kind === "suggested" && id === selected ? `${number} · ${stateOf(id).text}` : number;
    return [{ id, point, kind, label, colour: hueOf(index), selected: id === selected }];
  });
  view.mark(shown);
  if (!list) return;
  renderList();
  renderProgress();
  const open = Object.keys(suggested).length;
  byId("accept-all").textContent = open ? `Accept ${open}, next picture` : "Next picture";
  byId("accept").disabled = !suggested[selected];
  byId("hide").disabled = selected === null;
  byId("hide").setAttribute("aria-pressed", selected !== null && isHidden(pointOf(selected)));
  byId("clear").disabled = selected === null || pointOf(selected) === undefined;
  byId("undo").disabled = !undone.length;
  byId("redo").disabled = !redone.length;
  byId("canvas").setAttribute("aria-label",
    `Picture ${current + 1} of ${data.pictures.length}, ${data.pictures[current].name}. ` +
    (selected === null ? "No landmark is chosen" : `${nameOf(selected)}, ${stateOf(selected).words}; the arrow keys move it`));
}

function renderProgress() {
  const done = data.pictures.filter((_, n) => isDone(state, n)).length;
  byId("progress").max = data.pictures.length;
  byId("progress").value = done;
  byId("progress-text").textContent = `${done} of ${data.pictures.length} pictures done.`;
  byId("saved").textContent = saves
    ? "Saved in this browser as you go." : "This browser keeps nothing: download before you close the page.";
  byId("saved").className = saves ? "" : "notice";
  thumbnails.forEach(({ button, badge }, n) => {
    const set = state.landmarks.filter(({ id }) => state.points[n][id] !== undefined).length;
    badge.textContent = isDone(state, n) ? "✓" : `${set}/${state.landmarks.length}`;
    badge.classList.toggle("done", isDone(state, n));
    button.setAttribute("aria-current", n === current);
  });
}

// The list is made anew where landmarks have come or gone; else only what stands in it changes, so that focus stays.
function renderList() {
  const list = byId("landmarks");
  const ids = state.landmarks.map(({ id }) => id).join();
  if (list.dataset.ids !== ids) {
    list.replaceChildren(...state.landmarks.map(createRow));
    list.dataset.ids = ids;
  }
  state.landmarks.forEach(({ id, name }, index) => {
    const row = list.children[index];
    const [choose, input, badge] = row.children;
    const { kind, text, words } = stateOf(id);
    if (document.activeElement !== input) input.value = name;
    row.className = `landmark ${kind}`;
    choose.setAttribute("aria-pressed", id === selected);
    choose.setAttribute("aria-label", `Choose ${name}: ${words}`);
    badge.textContent = text;
    if (id === selected && id !== revealed) reveal(byId("lists"), row);
  });
  revealed = selected;
}

function createRow({ id, name }, index) {
  const choose = element("button", { type: "button", className: "choose", textContent: index + 1 });
  choose.style.setProperty("--hue", hueOf(index));
  choose.addEventListener("click", () => {
    selected = id;
    render();
  });
  const input = element("input", { type: "text", maxLength: 60, value: name, autocomplete: "off", spellcheck: false });
  input.setAttribute("autocapitalize", "off"); // names are compared letter by letter
  input.setAttribute("autocorrect", "off");
  input.setAttribute("aria-label", `Name of landmark ${index + 1}`);
  input.addEventListener("focus", () => {
    selected = id;
    render();
  });
  input.addEventListener("change", () => rename(id, input));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") input.blur();
  });
  const remove = element("button", { type: "button", className: "remove", textContent: "×" });
  remove.setAttribute("aria-label", `Delete landmark ${index + 1}`);
  remove.addEventListener("click", (event) => {
    if (event.detail > 1) return; // a double click would delete the next one too, which has come to its place
    const was = selected;
    if (selected === id) selected = null;
    change(withoutLandmark(state, id), `${nameOf(id)} deleted in all pictures; Undo brings it back`, was);
  });
  const row = element("li", {});
  row.append(choose, input, element("span", { className: "state" }), remove);
  return row;
}

function rename(id, input) {
  const name = usableName(state, input.value, id);
  if (name === nameOf(id)) return;
  if (name) change(withName(state, id, name), `Renamed to ${name}`);
  else say(input.value.trim() ? "Another landmark has that name" : "A landmark needs a name");
  input.value = nameOf(id);
}

function add(event) {
  event.preventDefault();
  const input = byId("new-name");
  const name = input.value.trim() ? usableName(state, input.value) : freeName(state);
  if (!name) return say("Another landmark has that name");
  input.value = "";
  const [next, was] = [withLandmark(state, name, data), selected];
  if (selected === null || pointOf(selected) !== undefined) selected = next.landmarks.at(-1).id;
  const what = selected === was ? `; a click places ${nameOf(selected)}` : ": click it in the picture";
  change(next, `${name} added${what}`, was);
}

function createThumbnail(picture, n) {
  const button = element("button", { type: "button", className: "thumbnail", title: picture.name });
  const image = element("img", { src: picture.image, alt: "", decoding: "async" });
  const badge = element("span", { className: "badge" });
  const name = element("span", { className: "name", textContent: picture.name });
  button.append(image, name, badge);
  button.addEventListener("click", () => choosePicture(n));
  byId("pictures").append(button);
  images[n].addEventListener("load", () => {
    greys[n] = seenGrey(images[n]);
    if (n === current) view.draw();
    loaded();
  });
  images[n].addEventListener("error", loaded);
  return { button, badge };
}

// Suggests anew once all pictures are there; after each of them, that would take longer than all else.
function loaded() {
  waiting--;
  if (waiting) return;
  suggestedFor = null;
  render();
}

function seenGrey(image) {
  const canvas = element("canvas", greySize(data));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return greyOf(context.getImageData(0, 0, canvas.width, canvas.height));
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function download(ending, type, write) {
  const { landmarks, rows, leftOut, marksLeftOut } = handedOut(data, state);
  if (!rows.length) return say("There is nothing to download: no point is placed or accepted");
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const url = URL.createObjectURL(new Blob([write(landmarks, rows)], { type }));
  const link = element("a", { href: url, download: `annotations-${stamp}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  downloaded = true;
  const points = rows.reduce((sum, row) => sum + Object.values(row.points).filter(isPlaced).length, 0);
  const left = leftOut ? ` ${leftOut} suggestions that nobody has accepted are left out.` : "";
  const marks = marksLeftOut ? ` ${marksLeftOut} hidden marks are left out, of pictures or landmarks without any point.` : "";
  say(`${link.download}: ${points} points in ${rows.length} pictures.${left}${marks}`);
}

// A table; one that takes back marks of an earlier one says so.
function csvToGive(landmarks, rows) {
  gaveMarks ||= haveMarks(landmarks, rows);
  keep();
  return csvOf(landmarks, rows, hadMarks(data) || gaveMarks);
}

function restart() {
  if (!confirm("Forget all that was done in this page? Undo brings it back.")) return;
  selected = null;
  change(initialState(data));
  choosePicture(0);
  say("Begun anew");
}

const say = (text) => {
  byId("status").textContent = text;
};

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const REPEATED = "+=-,.";
const KEYS = {
  Enter: acceptAll,
  a: () => accept([selected]),
  h: hide,
  Delete: clear,
  Backspace: clear,
  ",": () => chooseLandmark(-1),
  ".": () => chooseLandmark(1),
  PageUp: () => choosePicture(current - 1),
  PageDown: () => choosePicture(current + 1),
  "+": () => zoom(1.4),
  "=": () => zoom(1.4),
  "-": () => zoom(1 / 1.4),
  0: () => view.fit(),
};

function onKey(event) {
  if (event.target.closest("input")) return;
  const letter = /^[^ -~]$/.test(event.key) && /^Key[A-Z]$/.test(event.code) ? event.code.slice(3) : event.key; // not Latin
  const key = letter.length === 1 ? letter.toLowerCase() : letter;
  if ((event.ctrlKey || event.metaKey) && !event.altKey) {
    const act = { z: event.shiftKey ? redo : undo, y: redo }[key];
    if (act) event.preventDefault();
    return act?.();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("details")) return;
  const onButton = event.target.closest("button");
  if (onButton && key === "Enter") {
    if (event.repeat) event.preventDefault(); // or it would be pressed again and again
    return;
  }
  const arrow = ARROWS[key];
  if (!arrow && !KEYS[key]) return;
  if (arrow && event.target.closest("#pictures")) return; // they scroll there
  event.preventDefault();
  if (event.repeat && !arrow && !REPEATED.includes(key)) return; // a key that is held accepts nothing that nobody saw
  if (arrow) nudge(...arrow.map((value) => value * (event.shiftKey ? 10 : 1)), event.repeat);
  else KEYS[key]();
}

function listen() {
  const clicks = {
    undo, redo, accept: KEYS.a, hide, clear, "accept-all": acceptAll, restart,
    "zoom-in": KEYS["+"], "zoom-out": KEYS["-"], "zoom-fit": KEYS[0],
    csv: () => download("csv", "text/csv", csvToGive),
    coco: () => download("json", "application/json", (...found) => cocoOf(...found, data.category)),
  };
  const once = ["accept-all", "hide"]; // a double click would act on the next picture or landmark too
  for (const [id, act] of Object.entries(clicks)) {
    byId(id).addEventListener("click", (event) => once.includes(id) && event.detail > 1 || act());
  }
  // After a click by mouse keys are the page's, for Enter would press the button again. So they are where a button is
  // disabled now, which hears nothing.
  let pressedBy = ""; // "mouse", or what else a button is pressed by
  document.addEventListener("pointerdown", (event) => pressedBy = event.pointerType, true);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const isByMouse = event.detail && pressedBy === "mouse";
    if (button && !button.closest("#add") && (isByMouse || button.disabled)) byId("canvas").focus({ preventScroll: true });
    pressedBy = "";
  });
  byId("add").addEventListener("submit", add);
  document.addEventListener("keydown", onKey);
  addEventListener("storage", ({ key }) => key === KEY && takeOver());
  addEventListener("beforeunload", (event) => {
    if (saves || downloaded) return;
    event.preventDefault();
    event.returnValue = ""; // which some browsers ask for
  });
}

const went = restore();
keep();
listen();
showPicture();
render();
if (went) say("This goes on with what this browser has kept");
else if (state.landmarks.length) say("Check the suggestions: drag those that are off, then accept");
else say("Click the landmarks of this picture, one after the other");
