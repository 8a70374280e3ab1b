// The dashboard: asks the API for the chosen user, trades and range, and draws the answers. It computes no figure of its
// own; what the server says is undefined (null) is shown as a dash.
"use strict";

const RANGES = { today: "today", "7d": "7 days", "30d": "30 days", "90d": "90 days", "6m": "6 months", "1y": "1 year", ytd: "this year", all_time: "all" };
const GROUPS_SHOWN = 15;
const DASH = "–";

const at = id => document.getElementById(id);
const charts = {};
let turn = 0; // counts choices: an answer to an older one is dropped
let month = null; // YYYY-MM of the calendar; null: the present one
let requests = [];
let session = null; // of the cookie, which no script can read: {user_id, csrf_token, ...}; it goes along with each request by itself

// --- the choice, which is the address (#user=..&asset=..&time_range=..), so that every view is a link ---------------

function choice() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const among = (id, value) => ([...at(id).options].some(o => o.value === value) ? value : at(id).value);
  return {
    user: among("user", wanted.get("user")),
    asset: among("asset", wanted.get("asset")),
    range: Object.hasOwn(RANGES, wanted.get("time_range") ?? "") ? wanted.get("time_range") : "all_time",
  };
}

const link = c => "#" + new URLSearchParams({ user: c.user, asset: c.asset, time_range: c.range });

function bearer(user) {
  const option = [...at("user").options].find(o => o.value === user);
  return option ? option.dataset.token : at("token").value.trim();
}

// --- sessions (AUTH_MODE=jwt,session) -----------------------------------------------------------------------------

// null: nobody is logged in; `possible`: somebody could be.
function takeSession(found, possible) {
  session = found;
  at("session").hidden = !found;
  at("token-field").hidden = Boolean(found);
  at("log-in").hidden = Boolean(found) || !possible;
  at("session-user").textContent = found?.user_id ?? "";
}

// GET tells of it, POST with a pasted token begins one, DELETE ends it. What is wrong, or "".
async function askSession(method, headers = {}) {
  const response = await fetch("/api/session", { method, headers, cache: "no-store" }).catch(() => null);
  const answer = response ? await response.json().catch(() => ({})) : {};
  if (response?.ok) takeSession(method === "DELETE" ? null : answer.data, true);
  else if (method === "GET") takeSession(null, response?.status !== 404); // 404: there are no sessions here
  return response?.ok ? "" : `/api/session: ${response?.status ?? "no answer"} ${answer.detail ?? ""}`;
}

async function logIn() {
  const problem = await askSession("POST", { Authorization: "Bearer " + at("token").value.trim() });
  if (!problem) at("token").value = ""; // from now on the cookie is enough
  await show();
  if (problem) complain(problem);
}

async function logOut() {
  const problem = await askSession("DELETE", { "X-CSRF-Token": session.csrf_token });
  if (problem) complain(problem);
  else location.reload(); // nothing of the user stays on the page
}

// --- asking -----------------------------------------------------------------------------------------------------

async function ask(path) {
  const token = bearer(choice().user), asked = turn;
  const request = { path, token, status: "", took: null, cache: "", text: "" };
  requests.push(request);
  const began = performance.now();
  try {
    const response = await fetch(path, { headers: token ? { Authorization: "Bearer " + token } : {}, cache: "no-cache" });
    request.text = await response.text();
    request.status = response.status;
    request.cache = response.headers.get("Cache-Status") ?? "";
    if (session && request.status === 401) takeSession(null, true); // it has ended
  } catch (problem) {
    request.text = String(problem.message);
    request.status = "no answer";
  }
  request.took = performance.now() - began;
  if (asked !== turn) return null;
  showRequests();
  return understand(request);
}

// The data of an answer; null when there is none, after saying why.
function understand(request) {
  let answer;
  try { answer = JSON.parse(request.text); } catch { answer = {}; }
  if (answer.success) return answer;
  complain(`${request.path}: ${request.status} ${answer.detail ?? answer.title ?? request.text.slice(0, 200)}`);
  return null;
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = false;
}

// --- numbers ----------------------------------------------------------------------------------------------------

const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const fixed = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const number = value => (value === null || value === undefined ? DASH : plain.format(value));
const money = value => (value === null || value === undefined ? DASH : fixed.format(value));
const percent = value => (value === null || value === undefined ? DASH : plain.format(value) + " %");
const tone = value => (value > 0 ? "gain" : value < 0 ? "loss" : "");

// With winners and no loser the profit factor has no value; traders know it as infinite.
const profitFactor = core => (core.profit_factor === null && core.winning_trades > 0 ? "∞" : number(core.profit_factor));

// --- pieces of the page ---------------------------------------------------------------------------------------------

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

// columns: [heading, value of a row, class of its cell or null]. A column with a class is right-aligned.
function table(id, columns, rows, nothing) {
  const head = element("tr"), body = [];
  for (const [heading, , kind] of columns) head.append(element("th", heading, kind ? "number" : ""));
  for (const row of rows) {
    const line = element("tr");
    for (const [, value, kind] of columns) line.append(element("td", value(row), kind ? "number " + kind(row) : ""));
    body.push(line);
  }
  if (rows.length === 0) {
    at(id).replaceChildren(element("caption", nothing, "nothing"));
    return;
  }
  at(id).replaceChildren(head, ...body);
}

function chart(id, type, labels, values, colours, more = {}) {
  at(id).setAttribute("aria-label", values.length === 0 ? "no trades" : `${labels[0]} to ${labels[labels.length - 1]}: ${money(values[0])} to ${money(values[values.length - 1])}`);
  if (!window.Chart) return;
  const ink = getComputedStyle(document.body).getPropertyValue("--soft"), line = getComputedStyle(document.body).getPropertyValue("--line");
  charts[id]?.destroy();
  charts[id] = new Chart(at(id), {
    type,
    data: { labels, datasets: [{ data: values, backgroundColor: colours, borderColor: colours, borderWidth: type === "line" ? 1.5 : 0, pointRadius: values.length > 1 ? 0 : 3, ...more }] },
    options: {
      animation: false, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: item => money(item.parsed.y) } } },
      scales: {
        x: { ticks: { color: ink, maxRotation: 0, autoSkipPadding: 16 }, grid: { display: false } },
        y: { ticks: { color: ink, callback: value => plain.format(value) }, grid: { color: line } },
      },
    },
  });
}

const colour = name => getComputedStyle(document.body).getPropertyValue(name).trim();
const gainOrLoss = values => values.map(value => colour(value < 0 ? "--loss" : "--gain"));

function bars(id, labels, values) {
  chart(id, "bar", labels, values, gainOrLoss(values));
}

// --- what is shown ----------------------------------------------------------------------------------------------

function showRanges(c) {
  at("ranges").replaceChildren(...Object.entries(RANGES).map(([name, text]) => {
    const a = element("a", text);
    a.href = link({ ...c, range: name });
    if (name === c.range) a.setAttribute("aria-current", "true");
    return a;
  }));
}

function showFigures(core, risk, performance) {
  const figures = [
    ["net P&L", money(core.total_pnl), tone(core.total_pnl)], ["closed trades", number(core.total_trades)],
    ["win rate", percent(core.win_rate)], ["profit factor", profitFactor(core)],
    ["expectancy", money(performance.trade_expectancy), tone(performance.trade_expectancy)], ["average win", money(core.average_win)],
    ["average loss", money(core.average_loss)], ["payoff ratio", number(performance.payoff_ratio)],
    ["maximum drawdown", money(risk.maximum_drawdown)], ["Sharpe ratio", number(risk.sharpe_ratio)],
    ["Sortino ratio", number(risk.sortino_ratio)], ["average R", number(performance.average_r_multiple)],
    ["longest winning streak", number(core.max_consecutive_wins)], ["longest losing streak", number(core.max_consecutive_losses)],
    ["average holding time", performance.average_hold_time_days === null ? DASH : plain.format(performance.average_hold_time_days) + " d"],
    ["commissions and fees", money(core.total_costs)],
  ];
  at("figures").replaceChildren(...figures.map(([name, value, kind]) => {
    const figure = element("div");
    figure.append(element("dt", name), element("dd", value, kind));
    return figure;
  }));
}

// Days for a month or so, weeks for half a year, months beyond: what fits on a screen.
function periodsOf(series) {
  if (series.daily_pnl.length <= 45) return ["by day", series.daily_pnl];
  if (series.weekly_pnl.length <= 60) return ["by week", series.weekly_pnl];
  return ["by month", series.monthly_pnl];
}

function showSeries(series) {
  const days = series.daily_pnl.map(p => p.date), equity = series.daily_pnl.map(p => p.cumulative_value);
  chart("equity", "line", days, equity, colour("--mark"), { fill: "origin", backgroundColor: colour("--mark") + "22" });
  chart("drawdown", "line", series.drawdown_curve.map(p => p.date), series.drawdown_curve.map(p => -p.value), colour("--loss"),
    { fill: "origin", backgroundColor: colour("--loss") + "22" });
  const [name, points] = periodsOf(series);
  at("period-name").textContent = name;
  bars("periods", points.map(p => p.date), points.map(p => p.value));
  bars("weekdays", Object.keys(series.profit_by_day_of_week).map(day => day.slice(0, 3)), Object.values(series.profit_by_day_of_week));
  const hours = Object.keys(series.profit_by_hour).sort(); // objects put "10" before "00"
  bars("hours", hours, hours.map(hour => series.profit_by_hour[hour]));
}

const addDays = (date, n) => new Date(Date.parse(date + "T00:00:00Z") + n * 86400000).toISOString().slice(0, 10);

function calendarCell(day, largest) {
  if (!day) return element("td", "");
  const cell = element("td"), number_ = element("b", String(Number(day.date.slice(8))));
  cell.append(number_);
  if (day.trade_count > 0) {
    cell.append(element("span", money(day.profit), tone(day.profit)));
    const strength = Math.round(10 + 50 * Math.abs(day.profit) / largest).toString(16).padStart(2, "0");
    if (day.profit !== 0) cell.style.background = colour(day.profit < 0 ? "--loss" : "--gain") + strength;
    cell.title = `${day.date}: ${day.trade_count} trades, ${percent(day.win_rate)} won`;
  }
  return cell;
}

function showCalendar(calendar) {
  const byDate = Object.fromEntries(calendar.days.map(day => [day.date, day]));
  const largest = Math.max(1e-9, ...calendar.days.map(day => Math.abs(day.profit)));
  const head = element("tr"), names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const first = new Date(calendar.grid_start + "T00:00:00Z").getUTCDay();
  for (let i = 0; i < 7; i++) head.append(element("th", names[(first + i) % 7]));
  head.append(element("th", "week"));
  const lines = calendar.weeks.map(week => {
    const line = element("tr");
    for (let i = 0; i < 7; i++) line.append(calendarCell(byDate[addDays(week.week_start, i)], largest));
    line.append(element("td", week.trade_count > 0 ? money(week.profit) : "", "week " + tone(week.profit)));
    return line;
  });
  at("month-name").textContent = `${calendar.year}-${String(calendar.month).padStart(2, "0")}`;
  at("month-profit").textContent = `${money(calendar.month_profit)} in ${calendar.trade_count} trades`;
  month = at("month-name").textContent;
  at("calendar").replaceChildren(head, ...lines);
}

function showGroups(groups) {
  let rows = Object.values(groups).map(group => ({ name: group.group_name, core: group.core_metrics, performance: group.performance_metrics }));
  const all = rows.length;
  if (at("dimension").value === "symbol") rows.sort((a, b) => Math.abs(b.core.total_pnl) - Math.abs(a.core.total_pnl));
  rows = rows.slice(0, GROUPS_SHOWN);
  at("groups-cut").textContent = all > rows.length ? `${rows.length} of ${all}` : "";
  table("groups", [
    ["", row => row.name, null], ["trades", row => number(row.core.total_trades), () => ""], ["won", row => percent(row.core.win_rate), () => ""],
    ["profit factor", row => profitFactor(row.core), () => ""],
    ["expectancy", row => money(row.performance.trade_expectancy), row => tone(row.performance.trade_expectancy)],
    ["net P&L", row => money(row.core.total_pnl), row => tone(row.core.total_pnl)],
  ], rows, "no such groups in this range");
}

function showPositions(positions) {
  at("exposure").textContent = positions.open_count === 0 ? "" :
    `${positions.open_count} open, cost ${money(positions.cost_basis)}, unrealized ${money(positions.unrealized_pnl)}` +
    (positions.unpriced_count > 0 ? `, ${positions.unpriced_count} without a price` : "");
  table("positions", [
    ["symbol", p => p.symbol, null], ["", p => `${p.side} ${p.trade_type}`, null], ["quantity", p => number(p.quantity), () => ""],
    ["entry", p => money(p.entry_price), () => ""], ["price", p => money(p.latest_price), () => ""], ["cost", p => money(p.cost_basis), () => ""],
    ["unrealized", p => money(p.unrealized_pnl), p => tone(p.unrealized_pnl)], ["held", p => number(p.days_held) + " d", () => ""],
  ], positions.positions, "no open positions");
}

function showRequests() {
  table("requests", [
    ["path", r => r.path, null], ["status", r => String(r.status), null], ["ms", r => (r.took === null ? "…" : r.took.toFixed(1)), () => ""],
    ["bytes", r => number(r.text.length), () => ""], ["Cache-Status", r => r.cache, null],
  ], requests, "nothing yet");
  [...at("requests").rows].slice(1).forEach((line, i) => {
    line.dataset.path = requests[i].path;
    line.onclick = () => showAnswer(line, requests[i]);
  });
}

function showAnswer(line, request) {
  for (const other of at("requests").rows) other.removeAttribute("aria-selected");
  line.setAttribute("aria-selected", "true");
  const caller = request.token ? `-H 'Authorization: Bearer ${request.token}'` : "-b cookies.txt";
  at("curl").textContent = `curl -s ${caller} '${location.origin}${request.path}'`;
  try { at("answer").textContent = JSON.stringify(JSON.parse(request.text), null, 2); } catch { at("answer").textContent = request.text; }
  at("curl").hidden = at("answer").hidden = false;
}

// --- the parts, each with its own request, so that one that fails takes nothing else down ------------------------------

const query = c => `time_range=${c.range}&asset=${c.asset}`;

async function loadFigures(c) {
  const answers = await Promise.all(["core", "risk", "performance"].map(section => ask(`/api/analytics/${section}?${query(c)}`)));
  if (!answers.every(Boolean)) return;
  const [core, risk, performance] = answers.map(answer => answer.data);
  showFigures(core, risk, performance.performance_metrics);
}

async function loadSeries(c) {
  const answer = await ask(`/api/analytics/time-series?${query(c)}`);
  if (answer) showSeries(answer.data);
}

async function loadCalendar(c) {
  const answer = await ask(`/api/analytics/calendar?asset=${c.asset}` + (month ? `&month=${month}` : ""));
  if (answer) showCalendar(answer.data);
}

async function loadGroups(c) {
  const answer = await ask(`/api/analytics/grouped?grouping_types=${at("dimension").value}&${query(c)}`);
  if (answer) showGroups(answer.data);
}

async function loadPositions(c) {
  const answer = await ask(`/api/analytics/positions?asset=${c.asset}`);
  if (answer) showPositions(answer.data);
}

async function show() {
  const c = choice(), asked = ++turn;
  at("user").value = c.user;
  at("asset").value = c.asset;
  at("problem").hidden = at("curl").hidden = at("answer").hidden = true;
  if (!window.Chart) complain("chart.min.js is not beside this page, so there are tables but no charts (Debian package libjs-chart.js)");
  requests = [];
  showRanges(c);
  document.querySelector("main").classList.add("waiting");
  await Promise.all([loadFigures(c), loadSeries(c), loadCalendar(c), loadGroups(c), loadPositions(c)]);
  if (asked === turn) document.querySelector("main").classList.remove("waiting");
}

function turnMonth(by) {
  const [year, number_] = month.split("-").map(Number);
  month = new Date(Date.UTC(year, number_ - 1 + by, 1)).toISOString().slice(0, 7);
  loadCalendar(choice());
}

// --- start --------------------------------------------------------------------------------------------------------

async function start() {
  // make run leaves the sample's users here; elsewhere one has a session, or pastes a token.
  const response = await fetch("users.json").catch(() => null);
  const users = response && response.ok ? await response.json() : [];
  for (const { user, trades, token } of users) {
    const option = new Option(`${user} (${trades} trades)`, user);
    option.dataset.token = token;
    at("user").append(option);
  }
  at("user-field").hidden = users.length === 0;
  if (users.length === 0) await askSession("GET");
  const change = () => { location.hash = link({ ...choice(), user: at("user").value, asset: at("asset").value }); };
  at("user").onchange = at("asset").onchange = change;
  at("token").onchange = show;
  at("log-in").onclick = logIn;
  at("log-out").onclick = logOut;
  at("choice").onsubmit = event => { event.preventDefault(); show(); };
  at("dimension").onchange = () => loadGroups(choice());
  at("month-before").onclick = () => turnMonth(-1);
  at("month-after").onclick = () => turnMonth(1);
  window.onhashchange = show;
  show();
}
start();
