"""Tests of using the annotation page, by hands that click, drag and press keys in a stand-in for a browser."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from dense_labels.reporting import annotation_page
from tests.dense_labels.reporting.test_annotation_page import TEMPLATES, pictures, sheet

STUB = pathlib.Path(__file__).with_name("page_stub.js")
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")


def used(hands, *, platform="Linux x86_64", **changed):
    """What is left when hands, in JavaScript, have used the page: its state, and what the browser has kept of it."""
    scripts = [STUB, *(TEMPLATES / name for name in (*annotation_page.SCRIPTS, "annotation.js"))]
    text = "".join(path.read_text() for path in scripts) + hands
    text += ";console.log(JSON.stringify({ state, current, selected, kept: JSON.parse(stored.get(KEY)) }));"
    data = json.dumps({"data": annotation_page.page_data(sheet(**changed), pictures()), "platform": platform})
    done = subprocess.run(["node", "-e", text], input=data, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_click_places_and_a_drag_moves():
    done = used("choosePicture(1); selected = 1; click([30, 40]); pointer('down', [30, 40]); pointer('move', [50, 60]);"
                "pointer('up', [50, 60]);")  # fmt: skip
    assert done["state"]["points"][1] == {"1": [50, 60]} and done["kept"]["state"] == done["state"]


@pytest.mark.parametrize("key", ["PageDown", "Enter"])
def test_a_drag_that_outlives_its_picture_moves_nothing(key):
    """Neither in the picture where it began, nor in the next one."""
    done = used(f"""
        choosePicture(1); selected = 1; click([30, 40]);
        pointer("down", [30, 40]); pointer("move", [50, 60]); press("{key}"); pointer("move", [70, 60]);
        pointer("up", [70, 60]);
    """)
    assert done["current"] == 2 and done["state"]["points"][1]["1"] == [30, 40] and done["state"]["points"][2] == {}


@pytest.mark.parametrize("zoom", ["fire(elements.canvas, 'wheel', { ...at, deltaY: -900 })", "press('+')"])
def test_a_mark_stays_under_the_pointer_where_somebody_zooms_while_dragging_it(zoom):
    """The wheel keeps what is under the pointer in its place; keys do not: the mark goes with the picture."""
    done = used(f"""
        choosePicture(1); selected = 1; click([30, 40]);
        pointer("down", [30, 40]); pointer("move", [60, 40]);
        const [clientX, clientY] = view.toCanvas([60, 40]);
        const at = {{ pointerId: 1, pointerType: "mouse", button: 0, clientX, clientY, deltaMode: 0 }};
        {zoom};
        const under = view.toPicture([clientX, clientY]);
        fire(elements.canvas, "pointerup", at);
        state.under = under;
    """)
    assert done["state"]["points"][1]["1"] == pytest.approx(done["state"]["under"], abs=0.01)


@pytest.mark.parametrize("platform, pressed", [("MacIntel", False), ("Linux x86_64", True)])
def test_a_press_that_opens_a_menu_moves_nothing(platform, pressed):
    """On a Mac a click with Ctrl does, and nobody says that it has ended."""
    done = used(
        """
        choosePicture(1); selected = 1; click([30, 40]);
        const [clientX, clientY] = view.toCanvas([30, 40]);
        fire(elements.canvas, "pointerdown",
          { pointerId: 1, pointerType: "mouse", button: 0, buttons: 1, ctrlKey: true, clientX, clientY });
        state.pressed = view.drag !== null;
        """,
        platform=platform,
    )
    assert done["state"]["pressed"] == pressed


def test_a_mark_that_was_let_go_where_the_page_was_not_told_stays_where_it_was():
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]);
        pointer("down", [30, 40]); pointer("move", [50, 60]);
        const [clientX, clientY] = view.toCanvas([70, 60]);
        fire(elements.canvas, "pointermove", { pointerId: 1, button: 0, buttons: 0, clientX, clientY });
        state.drawn = view.marks.find((mark) => mark.id === 1).point;
        pointer("up", [70, 60]);
    """)
    assert done["state"]["points"][1]["1"] == done["state"]["drawn"] == [30, 40]


def test_a_canvas_that_is_shown_a_fraction_wider_is_clicked_where_it_is_seen():
    done = used("""
        choosePicture(1); selected = 1;
        elements.canvas.getBoundingClientRect = () => ({ left: 10, top: 20, width: 600.6, height: 400.4 });
        const [x, y] = view.toCanvas([100, 80]);
        const [clientX, clientY] = [10 + x * 1.001, 20 + y * 1.001];
        const at = { pointerId: 1, pointerType: "mouse", button: 0, buttons: 1, clientX, clientY };
        fire(elements.canvas, "pointerdown", at); fire(elements.canvas, "pointerup", at);
    """)
    assert done["state"]["points"][1]["1"] == [100, 80]


def test_a_key_that_is_held_is_one_step_to_undo():
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]); selected = 1;
        press("ArrowRight"); press("ArrowRight");
        for (let k = 0; k < 400; k++) press("ArrowRight", { repeat: true });
        press("z", { ctrlKey: true });
    """)
    assert done["state"]["points"][1]["1"] == [31, 40]
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]); selected = 1;
        press("ArrowRight"); press("z", { ctrlKey: true }); press("ArrowRight", { repeat: true });
        press("z", { ctrlKey: true });
    """)
    assert done["state"]["points"][1]["1"] == [30, 40]


def test_a_double_click_deletes_one_landmark():
    done = used("""
        choosePicture(1);
        const remove = () => byId("landmarks").children[0].children[3];
        fire(remove(), "click", { detail: 1 }); fire(remove(), "click", { detail: 2 });
    """)
    assert [each["id"] for each in done["state"]["landmarks"]] == [1]


@pytest.mark.parametrize(
    "pointer, detail, disabled, taken",
    [("mouse", 1, False, 1), ("mouse", 1, True, 1), ("touch", 1, False, 0), ("", 0, False, 0), ("", 0, True, 1)],
)
def test_after_a_click_by_mouse_keys_are_the_pages(pointer, detail, disabled, taken):
    """Of a finger, a keyboard or a reader of screens the focus stays, unless the button hears nothing any more."""
    done = used(f"""
        let focused = 0;
        byId("canvas").focus = () => focused++;
        const button = {{ disabled: {json.dumps(disabled)}, closest: (which) => (which === "button" ? button : null) }};
        const canvas = {{ closest: () => null }};
        if ("{pointer}") fire("document", "pointerdown", {{ pointerType: "{pointer}" }});
        fire("document", "click", {{ target: button, detail: {detail} }});
        fire("document", "click", {{ target: canvas, detail: 1 }});
        state.focused = focused;
    """)
    assert done["state"]["focused"] == taken


def test_a_key_that_is_held_over_a_change_of_picture_is_two_steps():
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]); selected = 1;
        press("ArrowRight"); choosePicture(2); selected = 1;
        press("ArrowRight", { repeat: true });
        press("z", { ctrlKey: true });
    """)
    assert done["state"]["points"][1]["1"] == [31, 40] and done["state"]["points"][2] == {}


def test_undo_is_heard_where_the_help_has_the_focus():
    """As it has after somebody began anew there."""
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]);
        const help = { closest: (which) => (which.includes("details") ? {} : null) };
        fire("document", "keydown", { key: "Delete", target: help });
        if (!pointOf(1)) throw new Error("a key that the help has for itself");
        fire("document", "keydown", { key: "z", ctrlKey: true, target: help });
    """)
    assert done["state"]["points"][1] == {}


def test_after_an_undo_a_click_places_a_landmark_that_is_there():
    none = {"landmark_names": (), "others": (), "points": [[]] * 3, "annotated": [[]] * 3, "hidden": [[]] * 3}
    done = used('click([30, 40]); press("z", { ctrlKey: true }); click([50, 60]);', **none)
    (landmark,) = done["state"]["landmarks"]
    assert done["state"]["points"][0] == {str(landmark["id"]): [50, 60]} and done["selected"] == landmark["id"]
    done = used('press("z", { ctrlKey: true }); press("y", { ctrlKey: true });', **none)
    assert done["state"]["landmarks"] == []


def test_two_tabs_do_not_overwrite_each_other():
    done = used("""
        choosePicture(1); selected = 1;
        const other = withPoints(state, 2, { 0: [7, 8] });
        localStorage.setItem(KEY, JSON.stringify({ state: other, current: 2 }));
        fire("window", "storage", { key: KEY });
        click([30, 40]);
    """)
    assert done["current"] == 1 and done["kept"]["state"] == done["state"]
    assert done["state"]["points"][1:] == [{"1": [30, 40]}, {"0": [7, 8]}]


def test_an_undo_leaves_what_another_tab_did():
    done = used("""
        choosePicture(1); selected = 1; click([30, 40]);
        localStorage.setItem(KEY, JSON.stringify({ state: withPoints(state, 2, { 0: [7, 8] }), current: 2 }));
        fire("window", "storage", { key: KEY });
        press("z", { ctrlKey: true });
    """)
    assert done["state"]["points"][1:] == [{"1": [30, 40]}, {"0": [7, 8]}] and done["kept"]["state"] == done["state"]


def test_a_key_that_is_held_accepts_one_picture():
    done = used('choosePicture(1); press("Enter"); for (let k = 0; k < 5; k++) press("Enter", { repeat: true });')
    assert done["current"] == 2 and done["state"]["points"][2] == {}
    assert set(done["state"]["points"][1]) == {"0"}  # that of a landmark that another picture has


def test_an_undo_chooses_the_landmark_again_that_it_took_back_and_keeps_the_zoom():
    done = used("""
        choosePicture(1); selected = 1; press("+"); press("+");
        const { scale } = view;
        click([30, 40]); press("z", { ctrlKey: true }); click([50, 38]);
        state.same = view.scale === scale;
    """)
    assert done["state"]["points"][1] == {"1": [50, 38]} and done["state"]["same"]


def test_the_next_click_places_what_the_page_says_it_will():
    none = {"landmark_names": (), "others": (), "points": [[]] * 3, "annotated": [[]] * 3, "hidden": [[]] * 3}
    done = used(
        """
        const named = (name) => {
          byId("new-name").value = name;
          fire(byId("add"), "submit");
          return byId("status").textContent;
        };
        const words = [named("nose"), named("left")];
        click([30, 40]);
        state.words = words;
        """,
        **none,
    )
    assert done["state"]["words"] == ["nose added: click it in the picture", "left added; a click places nose"]
    (placed,) = done["state"]["points"][0].items()
    assert placed == (str(done["state"]["landmarks"][0]["id"]), [30, 40])


def test_enter_that_is_held_on_a_button_presses_it_once():
    done = used("""
        let held = 0;
        const button = makeElement("button");
        button.closest = (which) => (which === "button" ? button : null);
        press("Enter", { target: button, repeat: true, preventDefault: () => (held += 1) });
        state.held = held;
        fire(byId("accept-all"), "click", { detail: 1 }); fire(byId("accept-all"), "click", { detail: 2 });
    """)
    assert done["state"]["held"] == 1 and done["current"] == 1


def test_a_mark_without_a_place_is_taken_off_by_the_button_that_made_it():
    done = used("""
        choosePicture(2); selected = 1; press("h");
        const marked = state.points[2][1];
        selected = 1; press("h");
        state.marked = marked;
    """)
    assert done["state"]["marked"] is not None and done["state"]["points"][2] == {}


def test_arrows_in_the_list_of_pictures_place_nothing():
    done = used("""
        choosePicture(2); selected = 1;
        const thumbnail = makeElement("button");
        thumbnail.closest = (which) => (which === "input, details" ? null : thumbnail);
        press("ArrowDown", { target: thumbnail });
    """)
    assert done["state"]["points"][2] == {}


def test_keys_are_taken_where_letters_are_not_latin():
    done = used('choosePicture(1); selected = 1; click([30, 40]); press("я", { code: "KeyZ", ctrlKey: true });')
    assert done["state"]["points"][1] == {}


def test_a_table_takes_back_the_mark_that_an_earlier_table_gave():
    """Else a merge would keep it, for a table without marks cannot say that one was taken away."""
    given = used("""
        const given = [];
        const give = () => {
          const { landmarks, rows } = handedOut(data, state);
          given.push(csvToGive(landmarks, rows));
        };
        choosePicture(1); selected = 1; click([30, 40]); give();
        selected = 1; hide(); give();
        selected = 1; hide(); give();
        gaveMarks = false; restore(); give(); // the page is opened again
        state.given = given;
    """)["state"]["given"]
    assert [table.splitlines()[0].count("_v") > 0 for table in given] == [False, True, True, True]
    assert [",1" in table.splitlines()[-1].split(",", 1)[1] for table in given[1:3]] == [True, False]


def test_a_picture_is_shown_before_its_suggestions_are_worked_out_and_enter_waits_for_them():
    done = used("""
        choosePicture(2);
        state.shown = view.marks.length;
        render();
        state.later = view.marks.map(({ label }) => label);
        choosePicture(1); press("Enter");
    """)["state"]
    assert done["shown"] == 0 and list(done["points"][1]) == ["0"]
    assert len(done["later"]) == 1 and done["later"][0].startswith("1 · ")


def test_only_the_chosen_landmark_has_its_probability_in_the_picture():
    """All have it in the list; in the picture many would cover it."""
    both = np.array([[1, 1], [0, 0], [0, 0]])
    done = used("choosePicture(1); render(); state.labels = view.marks.map(({ label }) => label);", annotated=both)
    chosen, other = done["state"]["labels"]
    assert chosen.startswith("1 · ") and chosen.endswith(" %") and other == "2"


@pytest.mark.parametrize("corner", [[0, 0], [120, 84], [119, 2]])
def test_what_lies_under_the_wheel_stays_there_at_the_border_too(corner):
    """And the border goes up to the middle, so that no corner lies under a button for good."""
    done = used(f"""
        const corner = {json.dumps(corner)};
        const [clientX, clientY] = view.toCanvas(corner);
        for (let k = 0; k < 5; k++) fire(elements.canvas, "wheel", {{ clientX, clientY, deltaY: -300, deltaMode: 0 }});
        const under = view.toPicture([clientX, clientY]);
        view.pan(corner[0] ? -9999 : 9999, corner[1] > 2 ? -9999 : 9999);
        const [middle, scale] = [view.toCanvas(corner), view.scale];
        fire(elements.canvas, "wheel", {{ clientX, clientY, deltaY: 9000, deltaMode: 0 }});
        state.found = {{ under, middle, scale, ends: [view.toCanvas([0, 0]), view.toCanvas([120, 84])] }};
    """)["state"]["found"]
    assert done["under"] == pytest.approx(corner) and done["scale"] > 4
    assert done["middle"] == pytest.approx((300, 200), abs=2 * done["scale"])  # the last corner is 2 pixels beside one
    (left, top), (right, bottom) = done["ends"]
    assert (left + right, top + bottom) == pytest.approx((600, 400)) and min(left, top) == pytest.approx(0, abs=15)


def test_suggestions_are_worked_out_once_for_all_pictures_that_are_loaded():
    """Also where the last one cannot be shown."""
    done = used("""
        let asked = 0;
        const own = suggestionsFor;
        suggestionsFor = (...given) => { asked++; return own(...given); };
        seenGrey = () => null;
        images.forEach((image) => (image.complete = true));
        images.forEach((image, n) => fire(image, n < 2 ? "load" : "error"));
        state.asked = asked;
    """)
    assert done["state"]["asked"] == 1


def test_the_picture_fills_a_canvas_whose_side_is_no_whole_number_of_pixels_of_the_screen():
    """It would be shown a fraction of a pixel off from where it is clicked."""
    done = used("""
        Object.assign(window, { devicePixelRatio: 1.25 });
        elements.canvas.clientHeight = 403;
        let scales;
        const plain = elements.canvas.getContext();
        const told = (_, name) => (name === "setTransform" ? (x, a, b, y) => (scales = [x, y]) : plain[name]);
        elements.canvas.getContext = () => new Proxy(plain, { get: told, set: () => true });
        view.draw();
        state.sides = [600 * scales[0], 403 * scales[1], elements.canvas.width, elements.canvas.height];
    """)
    assert done["state"]["sides"] == pytest.approx([750, 504, 750, 504])
