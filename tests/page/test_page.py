"""The page as people see it, in a real browser, over a made-up daemon."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.conftest import Site
from tests.page.fake import DAY, Fleet, alarm, example

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = ["<img src=x onerror=alert(1)>", '"><script>alert(2)</script>', "a/b?c=d&e#f %2e \u202e", "x" * 300]
VIEWS = ["#/", "#/sensors", "#/sensor/pumps/pump-2", "#/alarms?state=all", "#/models/pumps/pump-2", "#/diagnosis"]
PAINTED = """(selector) => {
  const canvas = document.querySelector(selector);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let k = 0; k < pixels.length; k += 4) if (pixels[k + 3] === 255) seen.add(pixels.slice(k, k + 3).join());
  return [...seen];
}"""


def heading(page: Page) -> str:
    """What the view says first."""
    return page.locator("h1").first.inner_text().replace("\u00a0", " ")


def test_first_sentence_says_which_machines_misbehave_since_when(site: Callable, visit: Callable) -> None:
    fleet = example(alarms=2)
    page = visit(site(fleet).address)
    since = [
        page.evaluate("(t) => new Date(t * 1000).toISOString().slice(11, 16)", one["opened_unix"])
        for one in fleet.alarms[:2]
    ]
    assert re.fullmatch(rf"2 machines misbehave: pump-2 since .*{since[0]}, pump-5 since .*{since[1]}\.", heading(page))
    card = page.get_by_role("article", name="Alarm of pump-2")
    assert fleet.alarms[0]["reason"] in card.inner_text()
    assert "4.1 expected 1.5 (1.1 to 1.9)" in card.inner_text()
    assert page.title() == "(2) Overview · lstm_stream"


@pytest.mark.parametrize(
    ("sensors", "checks", "sentence"),
    [
        (34, {}, "All 34 sensors behave as usual."),
        (0, {}, "Waiting for the first message."),
        (3, {"broker": "unreachable: connection refused"}, "Not working: broker: unreachable: connection refused."),
    ],
)
def test_first_sentence_in_quiet_times(
    site: Callable, visit: Callable, sensors: int, checks: dict[str, str], sentence: str
) -> None:
    fleet = Fleet([f"s{k}" for k in range(sensors)])
    fleet.checks.update(checks)
    assert heading(visit(site(fleet).address)) == sentence


def test_overview_follows_the_stream_without_reloading(site: Callable, visit: Callable) -> None:
    fleet = example(alarms=0)
    page = visit(site(fleet).address)
    assert "misbehave" not in heading(page)
    fleet.sensors[6].update(state="alarmed", alarm="alarm-7")
    fleet.alarms.append(alarm(7, "pump-7", "pumps", fleet.now - 60))
    page.evaluate("document.hasStayed = true")
    page.clock.install()
    page.clock.fast_forward(11_000)  # the view's own refreshing
    page.get_by_role("article", name="Alarm of pump-7").wait_for()
    assert heading(page).startswith("1 machine misbehaves: pump-7 since")
    assert page.evaluate("document.hasStayed")


def test_ten_thousand_sensors_searched_sorted_and_paged(site: Callable, visit: Callable) -> None:
    fleet = Fleet([f"pump-{k}" for k in range(10_000)])
    page = visit(site(fleet).address, "#/sensors")
    rows = page.locator("tbody tr")
    assert rows.count() == 50
    page.get_by_role("button", name="Next").click()
    page.get_by_text("51\u2013100 of 10,000").wait_for()
    page.get_by_role("searchbox").fill("PUMP-777")
    page.get_by_text("11 found").wait_for()
    page.get_by_role("button", name="Sensor").click()
    page.wait_for_selector("th[aria-sort=ascending]")
    page.locator("tbody tr:first-child th", has_text=re.compile("^pump-777$")).wait_for()
    assert rows.count() == 11
    page.reload()
    page.get_by_text("11 found").wait_for()
    assert page.get_by_role("searchbox").input_value() == "PUMP-777"


def test_the_list_says_that_it_is_sorted_by_score_beside_threshold(site: Callable, visit: Callable) -> None:
    fleet = Fleet(["Zeta", "alpha", "new"])
    for one, score, threshold in zip(fleet.sensors, (2.0, 1.5, 0.0), (6.0, 2.0, None), strict=True):
        one.update(score=score, threshold=threshold)
    fleet.sensors[2]["state"] = "warming"
    page = visit(site(fleet).address, "#/sensors")
    assert page.locator("th[aria-sort=descending]").inner_text() == "Score beside threshold"
    cells = page.locator("tbody td.number").all_inner_texts()
    assert cells == ["1.50 of 2.00", "2.00 of 6.00", "\u2013"]


def test_a_recording_is_not_as_old_as_it_is_long_ago(site: Callable, visit: Callable) -> None:
    fleet = example(alarms=1)
    fleet.age = 200 * DAY
    fleet.alarms[0].update(opened_unix=fleet.now - 200 * DAY - 3 * 3600)
    page = visit(site(fleet).address)
    assert "3 h" in page.get_by_role("article").locator(".when").inner_text()


def test_just_after_midnight_the_last_hours_need_no_date(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address)
    said = page.evaluate("""async () => {
      const { clock, setClock } = await import("/static/format.js");
      const at = (...parts) => Date.UTC(2026, ...parts) / 1000;
      setClock(at(10, 22, 0, 10));
      return [clock(at(10, 21, 23, 50)), clock(at(10, 21, 9, 0))];
    }""")
    assert said == ["23:50", "21 Nov 09:00"]


def test_a_sensor_that_warms_up_says_how_long_it_takes(site: Callable, visit: Callable) -> None:
    fleet = example()
    fleet.sensors[-1]["count"] = 80
    page = visit(site(fleet).address, "#/sensor/pumps/pump-34")
    facts = page.locator("dl.facts").inner_text()
    assert "80 of 200 to warm up, 10 h to go" in facts
    assert "after its warm-up" in facts
    assert page.get_by_role("button", name="Accept as new normal").count() == 0
    page.evaluate("location.hash = '#/'")
    page.get_by_role("region", name="Warming up").get_by_role("link", name="pump-34").wait_for()


def test_of_many_channels_the_one_in_alarm_is_drawn(site: Callable, visit: Callable) -> None:
    fleet = example()
    fleet.channels = 30
    fleet.alarms[0]["channels"] = {"zone-29": {"actual": 9.0, "contribution": 0.9}}
    page = visit(site(fleet).address, "#/sensor/pumps/pump-2")
    page.wait_for_selector("figure.score canvas")
    names = page.locator("figure.channel figcaption > b").all_inner_texts()
    assert len(names) == 12
    assert names[0] == "zone-29"


def test_charts_are_drawn_zoomed_together_and_brought_back(
    site: Callable, visit: Callable, wait_until: Callable
) -> None:
    page = visit(site(example()).address, "#/sensor/pumps/pump-2")
    page.wait_for_selector("figure.score canvas")
    assert page.locator("figure canvas").count() == 4  # three channels and the score
    for selector in ("figure.channel canvas", "figure.score canvas"):
        wait_until(lambda selector=selector: len(page.evaluate(PAINTED, selector)) > 3, "something drawn")
    assert "213,94,0" in page.evaluate(PAINTED, "figure.channel canvas")  # where the alarm begins
    before = [plot.screenshot() for plot in page.locator(".plot").all()]
    page.locator(".u-over").first.scroll_into_view_if_needed()
    box = page.locator(".u-over").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 50, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Reset zoom").wait_for()
    assert "from=" in page.url
    page.mouse.move(0, 0)
    after = [plot.screenshot() for plot in page.locator(".plot").all()]
    assert all(one != other for one, other in zip(before, after, strict=True))
    page.get_by_role("button", name="Reset zoom").click()
    wait_until(lambda: "range=1d" in page.url, "the former range")


def test_charts_obey_the_keyboard(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address, "#/sensor/pumps/pump-2?range=6h")
    page.wait_for_selector("figure.score canvas")
    group = page.get_by_role("group", name=re.compile("arrow keys"))
    group.focus()
    page.keyboard.press("+")
    page.wait_for_selector(".zoomed")
    narrow = page.locator(".zoomed").inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(text) => document.querySelector('.zoomed').innerText !== text", arg=narrow)
    page.keyboard.press("0")
    page.wait_for_selector(".zoomed", state="detached")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "group"


def test_from_an_alarm_to_its_sensor_by_keyboard_alone(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address)
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert focused[1] != "none", f"no sign of the focus on {focused[0]}"
        if focused[0] == "pump-2":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("figure.score canvas")
    assert heading(page) == "pump-2"
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert page.locator(".top [aria-current]").inner_text() == "Sensors"


def test_an_alarm_has_an_address_of_its_own(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address, "#/alarms/alarm-1")
    assert heading(page) == "Alarm of pump-5"
    assert "flow repeats its last value" in page.locator("article").inner_text()
    page.wait_for_selector("figure.score canvas")  # how it was before
    assert "far longer than it ever did. Look for a frozen sensor." in page.locator("article").inner_text()


def test_was_normal_asks_obeys_and_can_be_undone(site: Callable, visit: Callable) -> None:
    fleet = example()
    page = visit(site(fleet).address)
    card = page.get_by_role("article", name="Alarm of pump-2")
    card.get_by_role("button", name="Was normal").click()
    assert "will raise no alarm again" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert fleet.posted == []
    card.get_by_role("button", name="Was normal").click()
    page.get_by_label("Comment").fill("a <b>test</b> run")
    page.get_by_role("button", name="It was normal").click()
    card.wait_for(state="detached")
    assert page.evaluate("document.activeElement.tagName") == "H1"  # not lost with the card
    expected = {"verb": "normal", "group": "pumps", "sensor": "pump-2", "argument": "alarm-0"}
    assert fleet.posted == [{**expected, "comment": "a <b>test</b> run"}]
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("pump-2: undo done.").wait_for()
    assert fleet.posted[1]["argument"] == "command-1"


def test_acknowledging_takes_one_click(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address)
    card = page.get_by_role("article", name="Alarm of pump-2")
    card.get_by_role("button", name="Acknowledge").click()
    card.get_by_text("acknowledged by operator").wait_for()
    assert card.get_by_role("button", name="Acknowledge").count() == 0


def test_the_budget_counts_real_alarms_and_says_so(site: Callable, visit: Callable) -> None:
    tile = visit(site(example()).address).get_by_role("region", name="Alarm budget").inner_text()
    assert "0.82 of 1 a sensor-week" in tile
    assert "alarms, real ones included, of the false ones asked for" in tile


def test_where_commands_are_off_there_is_no_button_for_one(site: Callable, visit: Callable) -> None:
    fleet = example()
    address = site(fleet).address
    views = ("sensor/pumps/pump-2", "alarms", "models/pumps/pump-2")
    for fleet.obeys in (True, False):
        page = visit(address)
        page.get_by_role("article").first.wait_for()
        for view in ("overview", *views):
            page.evaluate("(hash) => { location.hash = hash }", f"#/{view}")
            page.locator(f".view.{view.split('/')[0]} :is(article, table, .title)").first.wait_for()
            assert (page.locator(".view [data-verb]").count() > 0) is fleet.obeys, view


def test_rollback_says_what_will_happen(site: Callable, visit: Callable) -> None:
    fleet = example()
    page = visit(site(fleet).address, "#/models/pumps/pump-2")
    page.get_by_role("button", name="Roll back").first.click()
    assert "Roll pump-2 back to generation 3?" in page.get_by_role("dialog").inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    page.get_by_text("pump-2: rollback done.").wait_for()
    assert (fleet.posted[0]["verb"], fleet.posted[0]["argument"]) == ("rollback", "3")


def test_diagnosis_shows_what_was_rejected_and_what_helps(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address, "#/diagnosis")
    text = page.locator("main").inner_text()
    for said in ("2 hours behind", "no number in 'ON BATTERY'", "1,204", "zigbee2mqtt/hall/lamp", "2 h behind"):
        assert said in text
    page.set_viewport_size({"width": 360, "height": 740})
    code = page.locator("code", has_text="no_channels").bounding_box()
    assert code
    assert code["height"] < 24  # whole, not letter by letter in a narrow column


@pytest.mark.parametrize("width", [390, 1440])
def test_numbers_of_an_alarm_stand_on_one_line(site: Callable, visit: Callable, width: int) -> None:
    page = visit(site(example(alarms=2)).address, width=width, height=900)
    page.wait_for_selector(".against")
    heights = page.locator(".against").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
    assert max(heights) < 24


@pytest.mark.parametrize("width", [360, 1280])
def test_names_stay_names_and_fit(site: Callable, visit: Callable, width: int) -> None:
    fleet = Fleet([*HOSTILE, *map(str, range(9))], 2, group=HOSTILE[0])
    for one, name in zip(fleet.alarms, HOSTILE, strict=False):
        one.update(sensor=name, reason=HOSTILE[1], channels={name: {"actual": 1e300, "contribution": 1.0}})
    sample = {"topic": HOSTILE[0], "detail": HOSTILE[3], "at": fleet.now}
    fleet.problems["rejections"] = [{"reason": HOSTILE[1], "count": 1, "latest": sample}]
    fleet.problems["hints"] = HOSTILE
    fleet.sensors[0]["channels"] = HOSTILE
    address = site(fleet).address
    page = visit(address, width=width)
    for view in ("#/", "#/sensors", "#/alarms?state=all", "#/diagnosis", "#/models"):
        page.evaluate("(hash) => { location.hash = hash }", view)
        page.wait_for_selector("h1")
        page.locator("main :not(option)", has_text=HOSTILE[0]).first.wait_for()
        assert page.evaluate("document.querySelectorAll('main :is(img, script)').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    page.evaluate("location.hash = '#/sensors'")
    page.get_by_role("link", name=HOSTILE[2]).click()
    page.wait_for_selector("figure.score canvas")
    assert heading(page) == HOSTILE[2]


def test_a_phone_never_scrolls_sideways(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address, width=360, height=740)
    for view in VIEWS:
        page.evaluate("(hash) => { location.hash = hash }", view)
        page.wait_for_selector(f".view.{view.strip('#/').split('/')[0].split('?')[0] or 'overview'} h1")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, view


def test_says_when_the_daemon_is_gone_and_when_it_is_back(site: Callable, visit: Callable) -> None:
    server: Site = site(example())
    page = visit(server.address, offline=True)
    live = page.locator("#live", has_text=re.compile("^live$"))
    live.wait_for()
    server.stop()
    page.clock.install()
    page.clock.fast_forward(30_000)
    page.get_by_text("The daemon has not answered since").wait_for()
    assert "stale since" in page.locator("#live").inner_text()
    assert page.get_by_role("article").count() == 3  # what was known stays in sight
    server.start()
    page.clock.fast_forward(10_000)
    live.wait_for()
    assert page.locator("#gone").is_hidden()


def test_light_and_dark_follow_the_system_or_the_choice(site: Callable, visit: Callable) -> None:
    page = visit(site(example()).address, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(14, 17, 19)"
    page.get_by_role("button", name="Colours").click()
    assert page.evaluate(ground) == "rgb(246, 247, 248)"
    page.reload()
    page.wait_for_selector("h1")
    assert page.evaluate(ground) == "rgb(246, 247, 248)"


@pytest.mark.parametrize(
    ("dark", "rules"),
    [(False, ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]), (True, ["color-contrast"])],
)
def test_no_barrier_that_axe_knows(site: Callable, visit: Callable, dark: bool, rules: list[str]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    fleet = example()
    fleet.command(
        {"verb": "acknowledge", "group": "pumps", "sensor": "pump-5", "argument": "alarm-1", "comment": "seen"}
    )
    page = visit(site(fleet).address, dark=dark)
    found: list[tuple[str, Any, str]] = []
    for view in VIEWS[::2] if dark else VIEWS:
        page.evaluate("(hash) => { location.hash = hash }", view)
        page.wait_for_selector(f".view.{view.strip('#/').split('/')[0].split('?')[0] or 'overview'} h1")
        result = Axe().run(page, options={"runOnly": rules})
        for violation in result.response["violations"]:
            found += [(view, violation["id"], node["html"][:200]) for node in violation["nodes"]]
    assert found == []
