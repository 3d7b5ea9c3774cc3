// As much of a browser as the annotation page needs, and hands that use it. `input.data` is what the page computes with.
"use strict";

const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const listeners = new Map(); // target -> {type: [listener]}

function whenever(target, type, listener) {
  const own = listeners.get(target) ?? {};
  (own[type] ??= []).push(listener);
  listeners.set(target, own);
}

function fire(target, type, event = {}) {
  const whole = { target, preventDefault() {}, ...event };
  for (const listener of listeners.get(target)?.[type] ?? []) listener(whole);
}

// What is drawn is not looked at: a context answers everything.
const context = new Proxy({}, { get: (_, name) => (name === "measureText" ? () => ({ width: 10 }) : () => {}), set: () => true });

function makeElement(tag) {
  const made = {
    tag, children: [], dataset: {}, style: { setProperty() {} }, classList: { toggle() {} }, clientWidth: 600, clientHeight: 400,
    append(...children) { made.children.push(...children); },
    replaceChildren(...children) { made.children = children; },
    addEventListener(type, listener) { whenever(made, type, listener); },
    closest: () => null, click() {}, focus() {}, scrollIntoView() {}, setAttribute() {}, setPointerCapture() {},
    getBoundingClientRect: () => ({ left: 0, top: 0, right: 600, bottom: 400, width: 600, height: 400 }), getContext: () => context,
  };
  return made;
}

const elements = { data: { textContent: JSON.stringify(input.data) } };
const stored = new Map();
globalThis.document = {
  getElementById: (id) => (elements[id] ??= makeElement(id)),
  createElement: makeElement,
  addEventListener: (type, listener) => whenever("document", type, listener),
};
globalThis.window = { devicePixelRatio: 1 };
Object.defineProperty(globalThis, "navigator", { value: { platform: input.platform ?? "Linux x86_64" }, configurable: true });
globalThis.addEventListener = (type, listener) => whenever("window", type, listener);
globalThis.Image = class {
  complete = false;
  addEventListener(type, listener) { whenever(this, type, listener); }
};
globalThis.Path2D = class {
  arc() {}
  moveTo() {}
  lineTo() {}
};
globalThis.requestAnimationFrame = (draw) => draw();
globalThis.ResizeObserver = class {
  observe() {}
};
globalThis.localStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
};

const press = (key, event = {}) => fire("document", "keydown", { key, target: makeElement("body"), ...event });

// The hand of somebody who annotates: places are in pixels of the picture.
function pointer(type, point) {
  const [clientX, clientY] = view.toCanvas(point);
  const buttons = type === "up" ? 0 : 1;
  fire(elements.canvas, `pointer${type}`, { pointerId: 1, pointerType: "mouse", button: 0, buttons, clientX, clientY });
}

function click(point) {
  pointer("down", point);
  pointer("up", point);
}
