"""Tests of the pages in a real browser, where there is one: that it finds no fault in them, and where a click lands."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from dense_labels.annotation import refining, suggesting
from dense_labels.evaluation.result import Result
from dense_labels.reporting import annotation_page, filling, page
from tests.dense_labels.reporting.test_annotation_page import pictures, sheet
from tests.dense_labels.reporting.test_page import examples

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--window-size=1280,800", *QUIET)
# A hand on what a page is pointed at, whose side is given in pixels; pointers that a script makes cannot be captured.
HAND = """
HTMLElement.prototype.setPointerCapture = () => {};
function at(target, [width, height], [x, y]) {
  const box = target.getBoundingClientRect();
  const scale = Math.min(box.width / width, box.height / height);
  return {
    clientX: box.left + (box.width - width * scale) / 2 + x * scale,
    clientY: box.top + (box.height - height * scale) / 2 + y * scale,
  };
}
const hit = (target, type, place, more = {}) => target.dispatchEvent(new PointerEvent(`pointer${type}`, {
  ...place, ...more, pointerId: 1, pointerType: "mouse", button: 0, buttons: type === "up" ? 0 : 1, bubbles: true,
}));
"""


def opened(path, drive="", *flags):
    """What a browser makes of a page: its elements, and what a hand, in JavaScript, returns once all is loaded.

    Whatever the browser has to say against the page, such as that its policy refuses something, is an error.
    """
    text = path.read_text("utf-8")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[-1]
    told = f"document.title = JSON.stringify((() => {{{drive}}})() ?? null);"
    driven = f"{script}{HAND}addEventListener('load', () => {{ {told} }});"
    text = text.replace(filling.source_hash(script), filling.source_hash(driven)).replace(script, driven)
    path.write_text(text, "utf-8")
    profile = f"--user-data-dir={path.parent}/profile"
    command = [CHROMIUM, *FLAGS, *flags, profile, "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title, done.stderr
    return done.stdout, json.loads(html.unescape(title[1]))


def annotation(tmp_path, **changed):
    path = tmp_path / "annotate.html"
    settings = {"window": suggesting.WINDOW, "finer": suggesting.FINER, **refining.SETTINGS}
    annotation_page.write(path, "<b>", sheet(settings=settings, **changed), iter(pictures()), command="<b>")
    return path


def test_a_browser_opens_the_annotation_page_from_a_file_and_its_policy_lets_it_run(tmp_path):
    elements, _ = opened(annotation(tmp_path))
    assert "0 of 3 pictures done." in elements and "Saved in this browser as you go." in elements
    assert elements.count('class="landmark') == 2 and elements.count('class="thumbnail"') == 3


def test_a_fault_of_a_script_is_noticed(tmp_path):
    with pytest.raises(AssertionError, match="nothing_of_that_name"):
        opened(annotation(tmp_path), "return nothing_of_that_name;")


@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_a_click_lands_in_the_pixel_that_is_seen_there_also_after_a_zoom(tmp_path, ratio):
    drive = """
        choosePicture(1);
        const canvas = byId("canvas");
        const click = (place) => ["down", "up"].forEach((type) => hit(canvas, type, place, { shiftKey: true }));
        click(at(canvas, [120, 84], [30, 40]));
        const near = at(canvas, [120, 84], [118, 3]);
        const turn = () => new WheelEvent("wheel", { ...near, deltaY: -300, cancelable: true });
        for (let k = 0; k < 3; k++) canvas.dispatchEvent(turn());
        click(near);
        return { points: state.points[1], zoomed: view.scale / view.least };
    """
    _, done = opened(annotation(tmp_path), drive, f"--force-device-scale-factor={ratio}")
    assert done["zoomed"] > 3
    np.testing.assert_allclose([done["points"][k] for k in "01"], [[30, 40], [118, 3]], atol=0.1)


def test_the_row_of_the_chosen_landmark_is_in_view_and_the_buttons_stay(tmp_path):
    names = [f"landmark {k}" for k in range(60)]
    none = np.zeros([3, 60])
    drive = """
        for (let k = 0; k < 40; k++) chooseLandmark(1);
        const box = (of) => of.getBoundingClientRect();
        return {
          selected, row: box(byId("landmarks").children[selected]).bottom, list: box(byId("lists")).bottom,
          button: box(byId("accept-all")).top, page: document.documentElement.scrollHeight - innerHeight,
        };
    """
    points = np.zeros([3, 60, 2])
    path = annotation(tmp_path, landmark_names=names, annotated=none, hidden=none, points=points, others=[])
    _, done = opened(path, drive)
    assert done["selected"] == 40 and done["row"] <= done["list"] + 1 and done["button"] > 0 and done["page"] == 0


def test_a_browser_opens_the_report_and_a_point_is_where_the_pointer_is(tmp_path):
    path = tmp_path / "report.html"
    panels = {"c": np.zeros([4, 5, 3], np.uint8)}
    page.write(path, "<b>", examples(), result=Result(landmark_names=("a", "b")), panels=panels)
    drive = """
        draw(); // which gives the canvas its shape
        hit(byId("source"), "move", at(byId("source"), [18, 12], [4.5, 9]));
        draw();
        return { point: state.point, said: byId("status").textContent };
    """
    elements, done = opened(path, drive)
    assert done["point"] == pytest.approx([4.5, 9], abs=0.05) and "Point (4.5, 9.0) of picture A" in done["said"]
    assert elements.count('class="tile"') == 3
