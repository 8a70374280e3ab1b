"""The dashboard in a real browser: what it shows is what the API says."""
import json
import shutil
from pathlib import Path

import pytest
from harness import ROOT, add_option, add_stock, token, wait_until

webdriver = pytest.importorskip("selenium.webdriver", reason="no browser is packaged here, see tools/install_packages.sh")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

CHART_JS = Path("/usr/share/javascript/chart.js/chart.min.js")


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1600"):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    yield driver
    driver.quit()


@pytest.fixture
def page(web, web_dir, browser, responder, db):
    """The files as `make run` lays them out, with two users to choose from."""
    kept = (web_dir / "index.html").read_text()
    for file in [*(ROOT / "web").iterdir(), CHART_JS]:
        shutil.copy(file, web_dir)
    users = [{"user": user, "trades": 1, "token": token(user)} for user in ("ann", "bob & <b>co</b>")]
    (web_dir / "users.json").write_text(json.dumps(users))
    yield Page(web, browser)
    for file in web_dir.iterdir():
        file.unlink()
    (web_dir / "index.html").write_text(kept)


class Page:
    def __init__(self, web, browser):
        self.web, self.browser = web, browser

    def open(self, fragment="", wait=True):
        self.browser.get("about:blank")
        self.browser.get(f"{self.web.url}/#{fragment}")
        if wait:
            self.wait()

    def wait(self):
        wait_until(lambda: self.find("#figures div") and not self.find("main.waiting"), what="the dashboard to be filled")

    def find(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        """In one step, because the page may be drawing anew."""
        return self.browser.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)

    def figures(self):
        return dict(text.split("\n") for text in self.texts("#figures div"))

    def choose(self, id, value):
        Select(self.browser.find_element(By.ID, id)).select_by_value(value)

    def chart(self, id):
        """What a chart draws: its labels and values."""
        return self.browser.execute_script(f"return [charts.{id}.data.labels, charts.{id}.data.datasets[0].data]")

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_figures_and_charts_are_those_of_the_api(page, db, web):
    for id, price in enumerate((11, 14, 9), 1):
        add_stock(db, "ann", id, exit_price=price, exit=f"now() - interval '{10 - id} days'", entry="now() - interval '30 days'")
    add_option(db, "ann", 1)
    page.open("user=ann&time_range=90d")
    core = web.get("/api/analytics/core?time_range=90d", "ann").json()["data"]
    series = web.get("/api/analytics/time-series?time_range=90d", "ann").json()["data"]
    figures = page.figures()
    assert (figures["net P&L"], figures["closed trades"], figures["win rate"]) == ("500.00", "4", "75 %")
    assert float(figures["profit factor"]) == round(core["profit_factor"], 2) == 6
    assert page.chart("equity") == [[p["date"] for p in series["daily_pnl"]], [p["cumulative_value"] for p in series["daily_pnl"]]]
    assert page.chart("drawdown")[1] == [-p["value"] for p in series["drawdown_curve"]]
    assert page.chart("periods")[1] == [p["value"] for p in series["daily_pnl"]]
    assert page.chart("hours") == [sorted(series["profit_by_hour"]), [series["profit_by_hour"][h] for h in sorted(series["profit_by_hour"])]]
    assert page.complaints() == []


def test_choosing_asset_and_range_asks_again_and_is_a_link(page, db):
    add_stock(db, "ann", 1, entry="now() - interval '400 days'", exit="now() - interval '390 days'")
    add_option(db, "ann", 1)
    page.open("user=ann")
    assert page.figures()["closed trades"] == "2"
    page.choose("asset", "stocks")
    wait_until(lambda: page.figures().get("closed trades") == "1", what="the stocks alone")
    assert "asset=stocks" in page.browser.current_url
    [link for link in page.find("#ranges a") if link.text == "30 days"][0].click()
    wait_until(lambda: page.figures().get("closed trades") == "0", what="the last 30 days")
    assert page.figures()["win rate"] == page.figures()["profit factor"] == "–", "an undefined figure is a dash"
    page.open(page.browser.current_url.split("#")[1])
    assert page.figures()["closed trades"] == "0"


def test_a_changed_trade_is_seen_on_the_next_look(page, db, web):
    add_stock(db, "ann", 1)
    page.open("user=ann")
    assert page.figures()["net P&L"] == "100.00"
    with db.cursor() as cursor:
        cursor.execute("UPDATE stocks SET fees = 30 WHERE user_id = 'ann'")
    assert web.trade_event("ann").status == 202
    page.open("user=ann")
    assert page.figures()["net P&L"] == "70.00"


def test_calendar_turns_months(page, db):
    add_stock(db, "ann", 1, entry="'2024-02-28T15:00Z'", exit="'2024-02-29T15:00Z'")
    page.open("user=ann")
    shown = lambda: page.browser.find_element(By.ID, "month-name").text
    first = shown()
    page.browser.find_element(By.ID, "month-before").click()
    wait_until(lambda: shown() not in ("", first), what="the month before")
    assert shown() < first
    page.browser.execute_script("month = '2024-03'; turnMonth(-1)")
    wait_until(lambda: shown() == "2024-02", what="February 2024")
    cells = [cell.text for cell in page.find("#calendar td")]
    assert "29\n100.00" in cells and page.browser.find_element(By.ID, "month-profit").text == "100.00 in 1 trades"


def test_groups_positions_and_hostile_names(page, db):
    user = "bob & <b>co</b>"
    add_stock(db, user, 1, symbol="<IMG SRC=X>")
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO stocks (user_id, id, symbol, trade_type, number_shares, entry_price, entry_date)"
                       " VALUES (%s, 2, 'OPEN', 'SELL', 5, 20, now() - interval '3 days')", [user])
    page.open()
    page.choose("user", user)
    wait_until(lambda: page.figures().get("closed trades") == "1" and not page.find("main.waiting"), what="the other user")
    assert page.texts("#groups td")[:2] == ["<IMG SRC=X>", "1"] and not page.find("#groups img")
    assert page.texts("#positions td")[:5] == ["OPEN", "short stock", "5", "20.00", "–"]
    page.choose("dimension", "side")
    wait_until(lambda: page.texts("#groups td")[:1] == ["long"], what="the groups by side")


def test_each_answer_can_be_seen(page, db):
    add_stock(db, "ann", 1)
    page.open("user=ann")
    [line for line in page.find("#requests tr[data-path]") if "/core?" in line.text][0].click()
    assert json.loads(page.browser.find_element(By.ID, "answer").text)["data"]["total_pnl"] == 100
    assert "curl -s -H 'Authorization: Bearer " in page.browser.find_element(By.ID, "curl").text


def test_a_refused_token_is_said_and_nothing_is_shown(page, web_dir):
    (web_dir / "users.json").write_text(json.dumps([{"user": "ann", "trades": 1, "token": token("ann", secret="x" * 40)}]))
    page.open(wait=False)
    problem = page.browser.find_element(By.ID, "problem")
    wait_until(lambda: "401" in problem.text, what="the refusal")
    assert page.texts("#figures dd") == []


def test_without_the_chart_library_the_numbers_are_still_there(page, db, web_dir):
    (web_dir / "chart.min.js").unlink()
    add_stock(db, "ann", 1)
    page.open("user=ann")
    assert page.figures()["net P&L"] == "100.00"
    assert "libjs-chart.js" in page.browser.find_element(By.ID, "problem").text


@pytest.fixture
def page_with_sessions(page, web_dir, responder, start_responder):
    """As an operator serves it: no list of users, and browsers may log in."""
    (web_dir / "users.json").unlink()
    assert responder.stop() == 0
    responder.expected_end = True
    start_responder(AUTH_MODE="jwt,session", SESSION_COOKIE="pnlcache", SESSION_COOKIE_SECURE="false")
    page.browser.delete_all_cookies()
    yield page
    page.browser.delete_all_cookies()


def test_logged_in_the_page_holds_no_token_and_logs_out(page_with_sessions, db):
    page = page_with_sessions
    add_stock(db, "ann", 1)
    page.open(wait=False)
    by_id = lambda id: page.browser.find_element(By.ID, id)
    wait_until(lambda: by_id("log-in").is_displayed() and "401" in by_id("problem").text, what="the page of nobody")
    by_id("token").send_keys(token("ann"))
    by_id("log-in").click()
    page.wait()
    assert by_id("session-user").text == "ann" and not by_id("token").is_displayed() and by_id("token").get_property("value") == ""
    assert page.figures()["net P&L"] == "100.00"
    page.open()  # nothing is pasted any more
    assert page.figures()["net P&L"] == "100.00" and by_id("session-user").text == "ann"
    page.find("#requests tr[data-path]")[0].click()
    assert by_id("curl").text.startswith("curl -s -b cookies.txt ")
    by_id("log-out").click()
    wait_until(lambda: page.texts("#log-in") == ["log in"] and "401" in page.texts("#problem")[0], what="the page of nobody")
    assert page.texts("#figures dd") == [] and page.browser.get_cookies() == []


def test_a_session_that_ended_elsewhere_asks_to_log_in_again(page_with_sessions, db, servers):
    page = page_with_sessions
    by_id = lambda id: page.browser.find_element(By.ID, id)
    page.open(wait=False)
    wait_until(lambda: by_id("log-in").is_displayed(), what="the page of nobody")
    by_id("token").send_keys(token("ann"))
    by_id("log-in").click()
    page.wait()
    assert page.web.request("DELETE", "/api/sessions", user="ann").status == 200
    page.choose("asset", "stocks")
    wait_until(lambda: by_id("log-in").is_displayed() and "log in again" in by_id("problem").text, what="the offer to log in")


def test_where_there_are_no_sessions_a_token_is_all_that_is_asked_for(page, db, web_dir):
    (web_dir / "users.json").unlink()
    add_stock(db, "ann", 1)
    page.open(wait=False)
    by_id = lambda id: page.browser.find_element(By.ID, id)
    wait_until(lambda: "401" in by_id("problem").text, what="the refusal")
    assert not by_id("log-in").is_displayed()
    by_id("token").send_keys(token("ann") + "\n")
    page.wait()
    assert page.figures()["net P&L"] == "100.00"
