// The picture that is annotated, in a canvas: zoom, pan, and the marks of its landmarks. Knows nothing of what they mean.
"use strict";

const MOST_ZOOM = 40; // canvas pixels for one of the picture
const SLACK = 4; // pixels that a pointer may move and still click

// The colour of a landmark, far from those of its neighbours in the list.
const hueOf = (index) => `hsl(${(index * 137.5 + 200) % 360} 90% 60%)`;

class View {
  // handlers: pressed([x, y]) in pixels of the picture, moved(id, [x, y]), dropped(id, [x, y]), clicked(id).
  constructor(canvas, handlers) {
    Object.assign(this, { canvas, handlers, marks: [], pointers: new Map(), drag: null, picture: null });
    for (const [type, listener] of Object.entries({
      pointerdown: this.down, pointermove: this.move, pointerup: this.up, pointercancel: this.cancel,
    })) canvas.addEventListener(type, listener.bind(this));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.place(event));
    }, { passive: false });
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  // Shows a whole picture: {image, width, height}. What is being dragged stays in the picture before, where it was.
  show(picture) {
    Object.assign(this, { picture, drag: null });
    this.pointers.clear();
    this.fit();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.picture || !width || !height) return;
    this.size = [width, height];
    this.least = Math.min(width / this.picture.width, height / this.picture.height);
    this.scale = this.least;
    this.offset = [(width - this.picture.width * this.scale) / 2, (height - this.picture.height * this.scale) / 2];
    this.draw();
  }

  // Keeps what lies in the middle there, or the whole picture in view.
  resized() {
    if (!this.picture || !this.canvas.clientWidth) return;
    if (!this.size || this.scale <= this.least * 1.001) return this.fit();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.offset = [this.offset[0] + (width - this.size[0]) / 2, this.offset[1] + (height - this.size[1]) / 2];
    this.size = [width, height];
    this.least = Math.min(width / this.picture.width, height / this.picture.height);
    this.draw();
  }

  zoom(factor, about = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const scale = Math.min(Math.max(this.scale * factor, this.least), Math.max(MOST_ZOOM, this.least));
    const kept = about.map((value, axis) => value - ((value - this.offset[axis]) * scale) / this.scale);
    [this.scale, this.offset] = [scale, kept];
    this.pan(0, 0);
  }

  // Moves the picture: its border up to the middle of the canvas, so that nothing lies under a button for good. A whole
  // picture stays where it fits.
  pan(dx, dy) {
    if (this.scale <= this.least * 1.001) return this.fit();
    const middles = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const lengths = [this.picture.width * this.scale, this.picture.height * this.scale];
    this.offset = [dx, dy].map((by, axis) =>
      Math.min(Math.max(this.offset[axis] + by, middles[axis] - lengths[axis]), middles[axis]));
    this.draw();
  }

  // Moves the picture so that a point of it is seen.
  reveal(point) {
    const sides = [this.canvas.clientWidth, this.canvas.clientHeight];
    const by = this.toCanvas(point).map((value, axis) => Math.min(Math.max(value, 0), sides[axis]) - value);
    if (by.some((value) => value)) this.pan(...by);
  }

  // The middle of what is seen, in pixels of the picture.
  middle() {
    return this.toPicture([this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]);
  }

  toPicture(place) {
    return place.map((value, axis) => (value - this.offset[axis]) / this.scale);
  }

  toCanvas(point) {
    return point.map((value, axis) => value * this.scale + this.offset[axis]);
  }

  // In the whole pixels that the picture is laid out in; a zoomed page may show the canvas a fraction wider.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  }

  // The mark under a pointer, the selected one before others; a finger is wider than a mouse.
  markAt(place, event) {
    const reach = event.pointerType === "mouse" ? 9 : 20;
    const away = (mark) => Math.hypot(...this.toCanvas(mark.point).map((value, axis) => value - place[axis]));
    const near = this.marks.filter((mark) => away(mark) <= reach).sort((a, b) => away(a) - away(b));
    return near.find((mark) => mark.selected) ?? near[0] ?? null;
  }

  down(event) {
    const opensMenu = event.button > 0 || (event.ctrlKey && /Mac/.test(navigator.platform));
    if (opensMenu || !this.picture) return;
    this.canvas.focus({ preventScroll: true }); // takes what is being typed, which a touch would do too late
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.place(event);
    this.pointers.set(event.pointerId, place);
    if (this.pointers.size > 1) {
      if (this.drag?.mark && this.drag.moved) this.handlers.moved(null);
      this.drag = { pinch: true };
      return;
    }
    const mark = event.shiftKey ? null : this.markAt(place, event); // with Shift a click is between marks
    const at = this.toPicture(place);
    const grip = mark?.point.map((value, axis) => value - at[axis]); // of the picture, which may be zoomed meanwhile
    this.drag = { mark, grip, start: place, last: place, moved: false };
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    if (!event.buttons) return this.cancel(event); // it was let go where the page was not told, as in a menu
    const place = this.place(event);
    if (this.drag.pinch) return this.pinch(event.pointerId, place);
    this.pointers.set(event.pointerId, place);
    const { start, mark } = this.drag;
    this.drag.moved ||= Math.hypot(place[0] - start[0], place[1] - start[1]) > SLACK;
    if (!this.drag.moved) return;
    if (mark) this.handlers.moved(mark.id, this.draggedTo(place));
    else this.pan(place[0] - this.drag.last[0], place[1] - this.drag.last[1]);
    this.drag.last = place;
  }

  draggedTo(place) {
    const [sides, at] = [[this.picture.width, this.picture.height], this.toPicture(place)];
    return this.drag.grip.map((value, axis) => Math.min(Math.max(at[axis] + value, 0), sides[axis]));
  }

  pinch(id, place) {
    const spread = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const centre = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const before = [...this.pointers.values()];
    this.pointers.set(id, place);
    const after = [...this.pointers.values()];
    if (after.length < 2) return;
    this.zoom(spread(after) / Math.max(spread(before), 1), centre(after));
    this.pan(centre(after)[0] - centre(before)[0], centre(after)[1] - centre(before)[1]);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { drag } = this;
    if (drag.pinch) return;
    this.drag = null;
    if (drag.mark && drag.moved) this.handlers.dropped(drag.mark.id, this.draggedAfter(drag, this.place(event)));
    else if (drag.mark) this.handlers.clicked(drag.mark.id);
    else if (!drag.moved) this.handlers.pressed(this.toPicture(drag.start));
  }

  draggedAfter(drag, place) {
    this.drag = drag;
    const point = this.draggedTo(place);
    this.drag = null;
    return point;
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.drag = this.pointers.size ? this.drag : null;
    this.handlers.moved(null);
  }

  // Draws marks: {id, point, label, colour, kind: "placed" | "suggested", selected}.
  mark(marks) {
    this.marks = marks;
    this.draw();
  }

  draw() {
    if (!this.picture || !this.size) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const size = [width, height].map((side) => Math.round(side * ratio));
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const context = this.canvas.getContext("2d");
    context.setTransform(size[0] / width, 0, 0, size[1] / height, 0, 0); // what was rounded would shift the picture
    context.clearRect(0, 0, ...size);
    context.imageSmoothingEnabled = this.scale * (this.picture.width / (this.picture.image.naturalWidth || 1)) < 4;
    const sides = [this.picture.width * this.scale, this.picture.height * this.scale];
    if (this.picture.image.complete) context.drawImage(this.picture.image, ...this.offset, ...sides);
    for (const mark of [...this.marks].sort((a, b) => (a.selected ? 1 : 0) - (b.selected ? 1 : 0))) {
      this.drawMark(context, mark);
    }
  }

  // A ring that leaves the point itself to be seen: whole where it is placed, broken where it is suggested.
  drawMark(context, { point, label, colour, kind, selected }) {
    const [x, y] = this.toCanvas(point);
    const radius = selected ? 10 : 7;
    const path = new Path2D();
    path.arc(x, y, radius, 0, 7);
    const cross = new Path2D();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      cross.moveTo(x + dx * 2, y + dy * 2);
      cross.lineTo(x + dx * (selected ? 16 : 7), y + dy * (selected ? 16 : 7));
    }
    for (const [style, width] of [["rgb(0 0 0 / 85%)", selected ? 4.5 : 4], [colour, selected ? 2.5 : 2]]) {
      [context.strokeStyle, context.lineWidth] = [style, width];
      context.setLineDash(kind === "suggested" ? [3.5, 3.5] : []);
      context.stroke(path);
      context.setLineDash([]);
      context.lineWidth = width - 1;
      if (kind === "placed" || selected) context.stroke(cross);
    }
    context.font = `${selected ? 700 : 600} 12px system-ui, sans-serif`;
    context.lineJoin = "round";
    [context.strokeStyle, context.lineWidth, context.fillStyle] = ["rgb(0 0 0 / 85%)", 3.5, "#ffffff"];
    context.strokeText(label, x + radius + 3, y - radius + 1);
    context.fillText(label, x + radius + 3, y - radius + 1);
  }
}
