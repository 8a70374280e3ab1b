# Prints the path of every null in an analytics document where the metrics specification promises a number, for any number
# of documents, one after the other:
#
#     pnlcache-worker job precompute --all --print | cut -f2 | jq -r -f tests/promised_numbers.jq
#     curl -s -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/analytics/comprehensive | jq -r -f tests/promised_numbers.jq
#
# A number that the tables give a condition for is judged by the counts beside it. What needs more than that is
# left to tests/integration/specification.py.

def rule(condition; text): text | split("\\s+"; null) | map(select(. != "") | {(.): condition}) | add;

# By name: what must be true of the counts around it for the value to be promised.
(rule("always"; "total_trades winning_trades losing_trades break_even_trades total_pnl net_profit_loss gross_profit
    gross_loss max_consecutive_wins max_consecutive_losses current_streak total_commissions total_fees total_costs observations
    return_basis maximum_drawdown maximum_drawdown_duration_days current_drawdown current_drawdown_duration_days risk_trade_count
    positive_r_multiple_count negative_r_multiple_count r_trade_count r_distribution trading_days winning_days losing_days
    break_even_days max_trades_per_day clean_trade_count flawed_trade_count trade_count avg_pnl avg_hold_time_days best_trade
    worst_trade cumulative_return contracts call_trades put_trades long_trades short_trades premium_paid premium_collected
    net_premium closed_count expired_count assigned_count exercised_count open_count open_stock_count open_option_count
    open_long_count open_short_count cost_basis priced_count unpriced_count quantity entry_price days_held stock_trades
    option_trades month_profit profit missed_trades total_trades_with_compliance_data fully_compliant_trades
    partially_compliant_trades non_compliant_trades position_size max_value closed stocks options open risk_free_rate")
+ rule("closed"; "pnl_before_costs net_pnl hold_time_days")
+ rule("trades"; "win_rate loss_rate average_position_size average_commission_per_trade trade_expectancy median_trade
    average_hold_time_days median_hold_time_days monthly_win_rate quarterly_win_rate daily_win_rate average_daily_pnl best_day
    worst_day average_trades_per_day trades_per_week average_premium average_dte_at_entry expired_rate assigned_rate
    exercised_rate expectancy avg_position_size")
+ rule("wins"; "average_win average_gain biggest_winner biggest_winner_trade average_hold_time_winners_days consistency_ratio
    avg_gain avg_hold_time_winners")
+ rule("losses"; "average_loss biggest_loser biggest_loser_trade average_hold_time_losers_days profit_factor edge avg_loss
    avg_hold_time_losers")
+ rule("both"; "win_loss_ratio payoff_ratio kelly_criterion risk_reward_ratio")
+ rule("two trades"; "trade_standard_deviation position_size_standard_deviation")
+ rule("two days"; "var_95 var_99 expected_shortfall_95 expected_shortfall_99 volatility downside_deviation")
+ rule("equity"; "maximum_drawdown_percentage ulcer_index total_return_percentage")
+ rule("drawdown"; "recovery_factor maximum_drawdown_peak_date maximum_drawdown_trough_date")
+ rule("risks"; "average_risk_per_trade average_r_multiple median_r_multiple")
+ rule("priced"; "gross_exposure net_exposure unrealized_pnl market_value")) as $rules

| def holds(condition):
    {"always": true, "trades": (.trades > 0), "wins": (.wins > 0), "losses": (.losses > 0), "both": (.wins > 0 and .losses > 0),
     "two trades": (.trades > 1), "two days": (.trades > 0 and .days > 1), "equity": (.trades > 0 and .basis == "equity"),
     "drawdown": (.drawdown > 0), "risks": (.risks > 0), "priced": (.priced > 0), "closed": (.status != "open")}[condition];

# An object's own counts, and those of the sections in it, in place of the ones around it.
def counts_of($around):
    [., .core_metrics?, .risk_metrics?, .performance_metrics?] | map(objects) | add
    | $around + ({
        trades: (.total_trades // .trade_count), wins: .winning_trades, losses: .losing_trades, days: .observations,
        drawdown: .maximum_drawdown, risks: (.r_trade_count // .risk_trade_count), basis: .return_basis, status: .status,
        priced: (if has("latest_price") then (if .latest_price == null then 0 else 1 end) else .priced_count end)
    } | with_entries(select(.value | type == "number" or type == "string")));

def broken($path; $around):
    if type == "object" then
        counts_of($around) as $counts
        | to_entries[] | .key as $key
        | if .value == null then select($rules[$key] as $rule | $rule and ($counts | holds($rule))) | $path + [$key] | join(".")
          else .value | select(type == "object" or type == "array") | broken($path + [$key]; $counts) end
    else .[] | select(type == "object") | broken($path; $around) end;

({wins: 0, losses: 0, days: 0, drawdown: 0, risks: 0, priced: 0} + (.meta | {trades: .trade_count, basis: .return_basis})) as $counts
| (.data, .meta) as $part | (if $part == .data then "data" else "meta" end) as $name
| $part | broken([$name]; $counts)
