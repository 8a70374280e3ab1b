"""What the metrics specification promises of every document: the fields of each section in their order (sections 7-16), the
decimals of each number (4.3) and when a value is null (the tables' "null when", 17). Written from the specification alone;
test_specification.py holds the programs' answers against it.

A field is one line: its name, its kind, and behind the first bar when it is null, else it never is. The names in such a
condition are fields of the same object, of the other sections of the same selection and range, or facts of meta. Behind a
second bar: when either is right, because what decides is not in the documents (the SQL cross-checks know it).
"""
from collections import namedtuple
from decimal import Decimal

Field = namedtuple("Field", "name kind null either")

# Decimals of the kinds of numbers (4.3).
DECIMALS = {"M": 4, "P": 4, "N": 6, "D": 6, "I": 0, "price": 8}


def fields(text):
    """The table of a section, by name."""
    table = {}
    for line in text.strip().splitlines():
        definition, *conditions = (part.strip() for part in line.split("|"))
        name, kind = definition.split()
        null, either = (conditions + ["", ""])[:2]
        table[name] = Field(name, kind, compile(null or "False", name, "eval"), compile(either or "False", name, "eval"))
    return table


CORE = fields("""
    total_trades I
    winning_trades I
    losing_trades I
    break_even_trades I
    win_rate P | total_trades == 0
    loss_rate P | total_trades == 0
    win_rate_ex_breakeven P | winning_trades + losing_trades == 0
    total_pnl M
    net_profit_loss M
    pnl_before_costs M
    gross_profit M
    gross_loss M
    average_win M | winning_trades == 0
    average_loss M | losing_trades == 0
    average_win_percentage P | winning_trades == 0 | has_free_trades
    average_loss_percentage P | losing_trades == 0 | has_free_trades
    average_position_size M | total_trades == 0
    biggest_winner M | winning_trades == 0
    biggest_loser M | losing_trades == 0
    biggest_winner_trade trade | winning_trades == 0
    biggest_loser_trade trade | losing_trades == 0
    profit_factor N | losing_trades == 0
    win_loss_ratio N | winning_trades == 0 or losing_trades == 0
    max_consecutive_wins I
    max_consecutive_losses I
    current_streak I
    total_commissions M
    total_fees M
    total_costs M
    average_commission_per_trade M | total_trades == 0
""")

NAMED_TRADE = fields("""
    trade_type text
    trade_id I
    symbol text
    net_pnl M
    exit_date instant
""")

# n of the specification is `observations`; a printed deviation of 0 may be a small one.
RISK = fields("""
    return_basis text
    observations I
    sharpe_ratio N | total_trades == 0 or observations < 2 or flat | not varied
    sortino_ratio N | total_trades == 0 or observations < 2 or losing_days == 0 | downside_deviation == 0
    calmar_ratio N | observations < 21 or maximum_drawdown == 0 or ruined
    sterling_ratio N | total_trades == 0 or pnl_basis or observations < 21 or ruined
    maximum_drawdown M
    maximum_drawdown_percentage P | total_trades == 0 or pnl_basis
    maximum_drawdown_duration_days I
    maximum_drawdown_peak_date date | maximum_drawdown == 0
    maximum_drawdown_trough_date date | maximum_drawdown == 0
    maximum_drawdown_recovery_date date | maximum_drawdown == 0 | current_drawdown != 0
    current_drawdown M
    current_drawdown_duration_days I
    var_95 M | total_trades == 0 or observations < 2
    var_99 M | total_trades == 0 or observations < 2
    expected_shortfall_95 M | total_trades == 0 or observations < 2
    expected_shortfall_99 M | total_trades == 0 or observations < 2
    average_risk_per_trade M | risk_trade_count == 0
    risk_trade_count I
    risk_reward_ratio N | winning_trades == 0 or losing_trades == 0
    volatility M | total_trades == 0 or observations < 2
    downside_deviation M | total_trades == 0 or observations < 2
    volatility_annualized_percentage P | total_trades == 0 or pnl_basis or observations < 2
    downside_deviation_annualized_percentage P | total_trades == 0 or pnl_basis or observations < 2
    ulcer_index N | total_trades == 0 or pnl_basis
    recovery_factor N | maximum_drawdown == 0
    skewness N | total_trades == 0 or observations < 3 or flat | not varied
    kurtosis N | total_trades == 0 or observations < 4 or flat | not varied
    tail_ratio N | total_trades == 0 or observations < 2 | var_95 == 0
    gain_to_pain_ratio N | losing_days == 0
    t_statistic N | total_trades < 2 or break_even_trades == total_trades | trade_standard_deviation == 0
    k_ratio N | total_trades < 3 or break_even_trades == total_trades | winning_trades < 2 or losing_trades < 2
""")

PERFORMANCE = fields("""
    trade_expectancy M | total_trades == 0
    edge N | losing_trades == 0
    median_trade M | total_trades == 0
    trade_standard_deviation M | total_trades < 2
    average_hold_time_days D | total_trades == 0
    average_hold_time_winners_days D | winning_trades == 0
    average_hold_time_losers_days D | losing_trades == 0
    median_hold_time_days D | total_trades == 0
    average_position_size M | total_trades == 0
    position_size_standard_deviation M | total_trades < 2
    position_size_variability N | total_trades < 2 | average_position_size == 0
    average_position_size_after_win M | total_trades == 0 | True
    average_position_size_after_loss M | total_trades == 0 | True
    kelly_criterion N | winning_trades == 0 or losing_trades == 0
    system_quality_number N | r_trade_count < 2 | r_multiple_standard_deviation == 0
    system_quality_number_capped N | r_trade_count < 2 | r_multiple_standard_deviation == 0
    payoff_ratio N | winning_trades == 0 or losing_trades == 0
    average_r_multiple N | r_trade_count == 0
    median_r_multiple N | r_trade_count == 0
    r_multiple_standard_deviation N | r_trade_count < 2
    positive_r_multiple_count I
    negative_r_multiple_count I
    r_trade_count I
    r_distribution r_distribution
    average_planned_risk_reward N | r_trade_count == 0 | True
    consistency_ratio N | winning_trades == 0
    monthly_win_rate P | total_trades == 0
    quarterly_win_rate P | total_trades == 0
    monthly_win_rate_standard_deviation P | winning_trades + losing_trades < 2 | True
    daily_win_rate P | total_trades == 0
    trading_days I
    winning_days I
    losing_days I
    break_even_days I
    average_daily_pnl M | total_trades == 0
    best_day M | total_trades == 0
    worst_day M | total_trades == 0
    best_day_profit_share P | total_pnl <= 0
    average_trades_per_day N | total_trades == 0
    max_trades_per_day I
    trades_per_week N | total_trades == 0
    average_slippage M | total_trades == 0 | True
    commission_impact_percentage P | total_trades == 0 | pnl_before_costs == 0
    clean_trade_count I
    flawed_trade_count I
    clean_expectancy M | clean_trade_count == 0
    flawed_expectancy M | flawed_trade_count == 0
    mistake_cost M | clean_trade_count == 0 or flawed_trade_count == 0
""")
R_LABELS = ["<=-1R", "-1..0R", "0..1R", "1..2R", ">=2R"]

BUCKET = fields("""
    duration_bucket text
    trade_count I
    winning_trades I
    losing_trades I
    win_rate P
    total_pnl M
    avg_pnl M
    avg_hold_time_days D
    best_trade M
    worst_trade M
    profit_factor N | losing_trades == 0
""")
BUCKETS = ["0-1 days", "1-7 days", "1-4 weeks", "1-3 months", "3+ months"]

POINT = fields("""
    date text
    value M
    cumulative_value M
    trade_count I
""")
PERIOD_POINT = fields("""
    date text
    start_date date
    value M
    cumulative_value M
    trade_count I
""")
DRAWDOWN_POINT = fields("""
    date date
    value M
    cumulative_value M
    trade_count I
    max_value M
    percentage P | pnl_basis
""")
WIN_RATE_POINT = fields("""
    date date
    value P | trade_count < window
    cumulative_value P | trade_count < window
    trade_count I
""")
# Of a window that is full: null only without variance, or with an equity of 0 or less.
SHARPE_POINT = fields("""
    date date
    value N | False | True
    cumulative_value N | False | True
    trade_count I
""")
DAYS_OF_WEEK = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
HOURS = [f"{hour:02d}" for hour in range(24)]
SERIES = {
    "daily_pnl": (POINT, None), "weekly_pnl": (PERIOD_POINT, None), "monthly_pnl": (PERIOD_POINT, None),
    "rolling_win_rate_20": (WIN_RATE_POINT, 20), "rolling_win_rate_50": (WIN_RATE_POINT, 50),
    "rolling_win_rate_100": (WIN_RATE_POINT, 100), "rolling_sharpe_ratio_20": (SHARPE_POINT, 20),
    "rolling_sharpe_ratio_50": (SHARPE_POINT, 50), "profit_by_day_of_week": (DAYS_OF_WEEK, None),
    "profit_by_month": (MONTHS, None), "profit_by_hour": (HOURS, None), "profit_by_entry_hour": (HOURS, None),
    "drawdown_curve": (DRAWDOWN_POINT, None),
}
SERIES_SCALARS = fields("""
    cumulative_return M
    total_return_percentage P | pnl_basis or total_trades == 0
    annualized_return P | pnl_basis or total_trades == 0 or observations < 21 or ruined
    total_trades I
""")

OPTIONS = fields("""
    total_trades I
    contracts I
    call_trades I
    put_trades I
    long_trades I
    short_trades I
    premium_paid M
    premium_collected M
    net_premium M
    average_premium M | total_trades == 0
    average_dte_at_entry N | total_trades == 0
    average_iv_at_entry P | total_trades == 0 | True
    closed_count I
    expired_count I
    assigned_count I
    exercised_count I
    expired_rate P | total_trades == 0
    assigned_rate P | total_trades == 0
    exercised_rate P | total_trades == 0
    premium_capture_rate P | premium_collected == 0
    return_on_premium P | premium_paid == 0
""")

POSITIONS = fields("""
    open_count I
    open_stock_count I
    open_option_count I
    open_long_count I
    open_short_count I
    cost_basis M
    priced_count I
    unpriced_count I
    gross_exposure M | priced_count == 0
    net_exposure M | priced_count == 0
    unrealized_pnl M | priced_count == 0
    open_risk M | not any(p["initial_risk"] is not None for p in positions)
    positions positions
""")
POSITION = fields("""
    trade_type text
    trade_id I
    symbol text
    side text
    quantity price
    entry_price price
    entry_date instant
    cost_basis M
    latest_price price | False | True
    market_value M | latest_price is None
    unrealized_pnl M | latest_price is None
    unrealized_pnl_percentage P | latest_price is None or cost_basis == 0
    unrealized_r_multiple N | latest_price is None or initial_risk is None
    initial_risk M | False | True
    days_held D
""")

TRADE = fields("""
    trade_id I
    trade_type text
    symbol text
    status text
    side text
    net_pnl M | status == "open"
    pnl_before_costs M | status == "open"
    total_costs M
    return_percentage P | status == "open" or position_size == 0
    position_size M
    initial_risk M | False | True
    planned_risk_to_reward N | initial_risk is None | True
    realized_risk_to_reward N | status == "open" or initial_risk is None
    r_multiple N | status == "open" or initial_risk is None
    commission_impact P | status == "open" or pnl_before_costs == 0
    hold_time_days D | status == "open"
""")

SYMBOL = fields("""
    symbol text
    total_trades I
    stock_trades I
    option_trades I
    winning_trades I
    losing_trades I
    net_pnl M
    gross_profit M
    gross_loss M
    average_gain M | winning_trades == 0
    average_loss M | losing_trades == 0
    profit_factor N | losing_trades == 0
    win_rate P | total_trades == 0
    expectancy M | total_trades == 0
    biggest_winner M | winning_trades == 0
    biggest_loser M | losing_trades == 0
""")

CALENDAR = fields("""
    year I
    month I
    month_profit M
    trade_count I
    trading_days I
    grid_start date
    grid_end date
    days days
    weeks weeks
""")
DAY = fields("""
    date date
    profit M
    trade_count I
    win_rate P | trade_count == 0
""")
WEEK = fields("""
    week_index I
    week_start date
    week_end date
    profit M
    trade_count I
    trading_days I
""")

PLAYBOOK = fields("""
    playbook_id I
    playbook_name text
    total_trades I
    stock_trades I
    option_trades I
    win_rate P | total_trades == 0
    net_pnl M
    missed_trades I
    profit_factor N | average_loser is None
    expectancy M | total_trades == 0
    average_winner M | win_rate is None or win_rate == 0
    average_loser M | total_trades == 0 or win_rate == 100 | True
    total_trades_with_compliance_data I
    fully_compliant_trades I
    partially_compliant_trades I
    non_compliant_trades I
    fully_compliant_win_rate P | fully_compliant_trades == 0
""")

GROUP_TYPES = {
    "asset_type": "AssetType", "brokerage": "Brokerage", "day_of_week": "DayOfWeek", "dte": "Dte", "holding_time": "HoldingTime",
    "hour": "Hour", "mistake": "Mistake", "month": "Month", "option_type": "OptionType", "playbook": "Playbook",
    "position_size": "PositionSize", "side": "Side", "strategy": "Strategy", "symbol": "Symbol", "tag": "Tag",
    "time_period": "TimePeriod", "trade_direction": "TradeDirection",
}
GROUP = ["group_name", "group_type", "core_metrics", "risk_metrics", "performance_metrics"]

# Decimal strings of 16.4: the end of the path, the decimals, and the number of the sections that it equals.
TEXTS = {
    "total_pnl": ("pnl", 4, "total_pnl"), "profit_factor": ("profit-factor", 6, "profit_factor"),
    "win_rate": ("win-rate", 4, "win_rate"), "loss_rate": ("loss-rate", 4, "loss_rate"),
    "avg_gain": ("avg-gain", 4, "average_win"), "avg_loss": ("avg-loss", 4, "average_loss"),
    "biggest_winner": ("biggest-winner", 4, "biggest_winner"), "biggest_loser": ("biggest-loser", 4, "biggest_loser"),
    "avg_hold_time_winners": ("avg-hold-time-winners", 6, "average_hold_time_winners_days"),
    "avg_hold_time_losers": ("avg-hold-time-losers", 6, "average_hold_time_losers_days"),
    "risk_reward_ratio": ("risk-reward-ratio", 6, "win_loss_ratio"),
    "trade_expectancy": ("trade-expectancy", 4, "trade_expectancy"),
    "avg_position_size": ("avg-position-size", 4, "average_position_size"), "net_pnl": ("net-pnl", 4, "total_pnl"),
}

META = fields("""
    version text
    user_id text
    computed_at instant
    as_of instant
    valid_until instant
    currency text
    time_range time_range
    trade_count I
    trade_counts trade_counts
    skipped_trades object
    return_basis text
    starting_equity M | False | True
    range_opening_equity M | return_basis == "pnl"
    risk_free_rate N
""")
TIME_RANGE = fields("""
    name text
    start_date date | name == "all_time" | name == "custom"
    end_date date
    start instant | start_date is None
    end instant
    timezone text
    trading_day_start I
""")
TRADE_COUNTS = fields("""
    closed I
    stocks I
    options I
    open I
""")
ENVELOPE = ["success", "data", "meta"]
COMPREHENSIVE = ["core_metrics", "risk_metrics", "performance_metrics", "duration_performance", "time_series", "grouped_analytics",
                 "options_metrics", "open_positions"]


class Check:
    """Holds documents against the tables; `problems` are the differences found."""

    def __init__(self):
        self.problems = []

    def note(self, where, what):
        self.problems.append(f"{where}: {what}")

    def names(self, value, names, where):
        """Whether it is an object of exactly these members, in this order."""
        if not isinstance(value, dict) or list(value) != list(names):
            self.note(where, f"members {list(value) if isinstance(value, dict) else value}, expected {list(names)}")
            return False
        return True

    def value(self, value, field, where):
        if field.kind in DECIMALS:
            if not isinstance(value, (int, Decimal)) or isinstance(value, bool):
                self.note(where, f"{value!r} is no number")
            elif -Decimal(value).as_tuple().exponent > DECIMALS[field.kind]:
                self.note(where, f"{value} has more than {DECIMALS[field.kind]} decimals")
        elif field.kind in ("text", "date", "instant"):
            shape = {"text": (0, ""), "date": (10, "--"), "instant": (20, "--T::Z")}[field.kind]
            if not isinstance(value, str) or len(value) < shape[0] or any(c not in value for c in shape[1]):
                self.note(where, f"{value!r} is no {field.kind}")

    def object(self, value, table, where, **facts):
        """An object of a table's fields. facts: what its conditions need besides its own members."""
        if not self.names(value, table, where):
            return
        known = {**facts, **value}
        for name, field in table.items():
            if value[name] is not None:
                self.value(value[name], field, f"{where}.{name}")
            # pylint: disable-next=eval-used
            null, either = (bool(eval(condition, {"any": any}, known)) for condition in (field.null, field.either))
            if value[name] is None and not null and not either:
                self.note(f"{where}.{name}", "null where a number is promised")
            if value[name] is not None and null:
                self.note(f"{where}.{name}", f"{value[name]} where null is promised")

    def meta(self, meta, where):
        self.object(meta, META, where)
        self.object(meta["time_range"], TIME_RANGE, where + ".time_range")
        self.object(meta["trade_counts"], TRADE_COUNTS, where + ".trade_counts")
        for reason, count in meta["skipped_trades"].items():
            if not isinstance(count, int) or count < 1:
                self.note(where, f"skipped_trades {reason}: {count}")
        counts = meta["trade_counts"]
        if meta["trade_count"] != counts["closed"] or counts["closed"] != counts["stocks"] + counts["options"]:
            self.note(where, "counts of closed trades")

    def sections(self, core, risk, performance, where, opening_equity=None, has_free_trades=True):
        """The three sections of one selection and range; the facts the other sections need."""
        for section, table in ((core, CORE), (risk, RISK), (performance, PERFORMANCE)):
            if not self.names(section, table, where):
                return None
        facts = {**core, **risk, **performance, "has_free_trades": has_free_trades}
        facts["pnl_basis"] = risk["return_basis"] == "pnl"
        facts["flat"] = core["total_trades"] == core["break_even_trades"]
        deviation = risk["volatility" if facts["pnl_basis"] else "volatility_annualized_percentage"]
        facts["varied"] = deviation is not None and deviation > 0
        facts["ruined"] = opening_equity is not None and opening_equity + core["total_pnl"] <= 0
        self.object(core, CORE, where + ".core", **facts)
        self.object(risk, RISK, where + ".risk", **facts)
        self.object(performance, PERFORMANCE, where + ".performance", **facts)
        for name in ("biggest_winner_trade", "biggest_loser_trade"):
            if core[name] is not None:
                self.object(core[name], NAMED_TRADE, f"{where}.core.{name}")
        if [entry["label"] for entry in performance["r_distribution"]] != R_LABELS:
            self.note(where, "labels of r_distribution")
        if sum(entry["count"] for entry in performance["r_distribution"]) != performance["r_trade_count"]:
            self.note(where, "counts of r_distribution")
        return facts

    def duration(self, duration, core, where):
        if not self.names(duration, ["duration_buckets", "overall_metrics"], where):
            return
        for bucket in duration["duration_buckets"]:
            self.object(bucket, BUCKET, f"{where}.{bucket.get('duration_bucket')}")
        labels = [bucket["duration_bucket"] for bucket in duration["duration_buckets"]]
        if labels != [label for label in BUCKETS if label in labels]:
            self.note(where, f"buckets {labels}")
        if duration["overall_metrics"] != core:
            self.note(where, "overall_metrics are not core_metrics")

    def time_series(self, series, facts, where, empty=False):
        if not self.names(series, [*SERIES, *SERIES_SCALARS], where):
            return
        for name, (shape, window) in SERIES.items():
            place, part = f"{where}.{name}", series[name]
            if empty or isinstance(shape, dict):
                for point in part if isinstance(part, list) else [part] if part else []:
                    self.object(point, shape, place, **{**facts, "window": window})
            elif self.names(part, shape, place):
                for key, value in part.items():
                    self.value(value, Field(key, "M", None, None), f"{place}.{key}")
            if empty and part not in ([], {}):
                self.note(place, "not empty")
        self.object({name: series[name] for name in SERIES_SCALARS}, SERIES_SCALARS, where, **facts)

    def groups(self, groups, dimensions, where):
        """grouped_analytics of one dimension, or of several with prefixed keys."""
        for key, group in groups.items():
            place = f"{where}.{key}"
            if not self.names(group, GROUP, place):
                continue
            dimension = dimensions[0] if len(dimensions) == 1 else key.split(":")[0]
            expected = group["group_name"] if len(dimensions) == 1 else f"{dimension}:{group['group_name']}"
            if key != expected or group["group_type"] != GROUP_TYPES[dimension]:
                self.note(place, f"{group['group_name']} of {group['group_type']}")
            facts = self.sections(group["core_metrics"], group["risk_metrics"], group["performance_metrics"], place)
            if facts and not facts["pnl_basis"]:
                self.note(place, "a group has a return base")
            if dimension != "time_period" and facts and facts["total_trades"] == 0:
                self.note(place, "a group without trades")

    def positions(self, data, where):
        self.object(data, POSITIONS, where)
        for position in data["positions"]:
            self.object(position, POSITION, f"{where}.{position.get('trade_type')}:{position.get('trade_id')}")

    def calendar(self, data, where):
        self.object(data, CALENDAR, where)
        for day in data["days"]:
            self.object(day, DAY, where + ".days")
        for week in data["weeks"]:
            self.object(week, WEEK, where + ".weeks")

    def text(self, name, value, facts, where):
        """A decimal string of 16.4 against the number it equals."""
        _, decimals, number = TEXTS[name]
        expected = None if facts[number] is None else f"{Decimal(facts[number]):.{decimals}f}"
        if value != expected:
            self.note(f"{where}.{name}", f"{value!r}, expected {expected!r}")
