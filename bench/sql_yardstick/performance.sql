-- Performance metrics of one user, range and asset class, in one query.
-- $1 user; $2, $3 first instant of the range (may be -infinity) and of the day after it; $4 stocks, options or all.
-- Left out, in favour of this side: sizes after a win or a loss (a look-up of the previous close for each trade),
-- trades per week.
WITH trades AS (
    SELECT exit_date, exit_date - entry_date AS hold, commissions + fees AS costs, mistakes,
           round(entry_price * number_shares, 8) AS size,
           round(CASE trade_type WHEN 'BUY' THEN exit_price - entry_price ELSE entry_price - exit_price END
                 * number_shares, 8) AS gross,
           coalesce(initial_risk, CASE WHEN trade_type = 'BUY' AND entry_price > stop_loss
                                       THEN round((entry_price - stop_loss) * number_shares, 8)
                                       WHEN trade_type <> 'BUY' AND stop_loss > entry_price
                                       THEN round((stop_loss - entry_price) * number_shares, 8) END) AS risk,
           CASE trade_type WHEN 'BUY' THEN coalesce(profit_target, take_profit) - entry_price
                           ELSE entry_price - coalesce(profit_target, take_profit) END * number_shares AS reward,
           round(CASE trade_type WHEN 'BUY' THEN entry_price - intended_entry_price
                                 ELSE intended_entry_price - entry_price END * number_shares, 8) AS slippage
    FROM pnlcache.stock_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'options'
    UNION ALL
    SELECT exit_date, exit_date - entry_date, commissions + fees, mistakes,
           round(entry_price * number_of_contracts * multiplier, 8),
           round(CASE side WHEN 'long' THEN coalesce(exit_price, 0) - entry_price ELSE entry_price - coalesce(exit_price, 0) END
                 * number_of_contracts * multiplier, 8),
           coalesce(initial_risk,
                    CASE WHEN stop_loss IS NULL AND side = 'long' AND entry_price > 0
                         THEN round(entry_price * number_of_contracts * multiplier, 8)
                         WHEN side = 'long' AND entry_price > stop_loss
                         THEN round((entry_price - stop_loss) * number_of_contracts * multiplier, 8)
                         WHEN side <> 'long' AND stop_loss > entry_price
                         THEN round((stop_loss - entry_price) * number_of_contracts * multiplier, 8) END),
           CASE side WHEN 'long' THEN profit_target - entry_price ELSE entry_price - profit_target END
           * number_of_contracts * multiplier,
           round(CASE side WHEN 'long' THEN entry_price - intended_entry_price ELSE intended_entry_price - entry_price END
                 * number_of_contracts * multiplier, 8)
    FROM pnlcache.option_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'stocks'
),
valued AS (
    SELECT *, gross - costs AS net, (gross - costs) / risk AS r, extract(epoch FROM hold) / 86400 AS days,
           CASE WHEN reward > 0 THEN reward / risk END AS planned,
           (exit_date AT TIME ZONE 'America/New_York')::date AS day, coalesce(mistakes, '') !~ '[^ ,;]' AS clean
    FROM trades
),
daily AS (
    SELECT count(*) AS days, count(*) FILTER (WHERE pnl > 0) AS winning, count(*) FILTER (WHERE pnl < 0) AS losing,
           count(*) FILTER (WHERE pnl = 0) AS even, max(pnl) AS best, min(pnl) AS worst, max(n) AS most
    FROM (SELECT sum(net) AS pnl, count(*) AS n FROM valued GROUP BY day) d
),
monthly AS (
    SELECT 100.0 * count(*) FILTER (WHERE pnl > 0) / nullif(count(*), 0) AS won,
           stddev_samp(100.0 * wins / nullif(decided, 0)) AS deviation
    FROM (SELECT sum(net) AS pnl, count(*) FILTER (WHERE net > 0) AS wins, count(*) FILTER (WHERE net <> 0) AS decided
          FROM valued GROUP BY date_trunc('month', day)) m
),
quarterly AS (
    SELECT 100.0 * count(*) FILTER (WHERE pnl > 0) / nullif(count(*), 0) AS won
    FROM (SELECT sum(net) AS pnl FROM valued GROUP BY date_trunc('quarter', day)) q
),
sums AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE net > 0) AS wins, count(*) FILTER (WHERE net < 0) AS losses,
           sum(net) AS total, sum(net) FILTER (WHERE net > 0) AS gain, -sum(net) FILTER (WHERE net < 0) AS loss,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY net) AS median_trade, stddev_samp(net) AS net_deviation,
           avg(days) AS hold, avg(days) FILTER (WHERE net > 0) AS hold_winners, avg(days) FILTER (WHERE net < 0) AS hold_losers,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY days) AS median_hold,
           avg(size) AS size, stddev_samp(size) AS size_deviation,
           count(r) AS k, avg(r) AS mean_r, stddev_samp(r) AS r_deviation,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY r) AS median_r,
           count(*) FILTER (WHERE r > 0) AS positive_r, count(*) FILTER (WHERE r < 0) AS negative_r,
           count(*) FILTER (WHERE r <= -1) AS r_below_minus_1, count(*) FILTER (WHERE r > -1 AND r < 0) AS r_minus_1_to_0,
           count(*) FILTER (WHERE r >= 0 AND r < 1) AS r_0_to_1, count(*) FILTER (WHERE r >= 1 AND r < 2) AS r_1_to_2,
           count(*) FILTER (WHERE r >= 2) AS r_above_2,
           avg(planned) AS planned, avg(slippage) AS slippage, sum(costs) AS costs, sum(abs(gross)) AS turnover,
           count(*) FILTER (WHERE clean) AS clean, count(*) FILTER (WHERE NOT clean) AS flawed,
           avg(net) FILTER (WHERE clean) AS clean_mean, avg(net) FILTER (WHERE NOT clean) AS flawed_mean,
           sum(net) FILTER (WHERE NOT clean) AS flawed_total
    FROM valued
)
SELECT total / nullif(n, 0) AS trade_expectancy,
       total / nullif(n, 0) / (loss / nullif(losses, 0)) AS edge,
       median_trade,
       net_deviation AS trade_standard_deviation,
       hold AS average_hold_time_days, hold_winners AS average_hold_time_winners_days, hold_losers AS average_hold_time_losers_days,
       median_hold AS median_hold_time_days,
       size AS average_position_size,
       size_deviation AS position_size_standard_deviation,
       size_deviation / nullif(size, 0) AS position_size_variability,
       1.0 * wins / nullif(wins + losses, 0)
           - 1.0 * losses / nullif(wins + losses, 0) / nullif((gain / nullif(wins, 0)) / (loss / nullif(losses, 0)), 0) AS kelly_criterion,
       sqrt(k) * mean_r / nullif(r_deviation, 0) AS system_quality_number,
       sqrt(least(k, 100)) * mean_r / nullif(r_deviation, 0) AS system_quality_number_capped,
       (gain / nullif(wins, 0)) / (loss / nullif(losses, 0)) AS payoff_ratio,
       mean_r AS average_r_multiple, median_r AS median_r_multiple, r_deviation AS r_multiple_standard_deviation,
       positive_r AS positive_r_multiple_count, negative_r AS negative_r_multiple_count, k AS r_trade_count,
       r_below_minus_1, r_minus_1_to_0, r_0_to_1, r_1_to_2, r_above_2,
       planned AS average_planned_risk_reward,
       1.0 * wins / nullif(n, 0) * (1 - coalesce(loss, 0) / gain) AS consistency_ratio,
       monthly.won AS monthly_win_rate, quarterly.won AS quarterly_win_rate,
       monthly.deviation AS monthly_win_rate_standard_deviation,
       100.0 * winning / nullif(days, 0) AS daily_win_rate,
       days AS trading_days, winning AS winning_days, losing AS losing_days, even AS break_even_days,
       total / nullif(days, 0) AS average_daily_pnl,
       best AS best_day, worst AS worst_day,
       CASE WHEN total > 0 THEN 100 * best / total END AS best_day_profit_share,
       1.0 * n / nullif(days, 0) AS average_trades_per_day,
       coalesce(most, 0) AS max_trades_per_day,
       slippage AS average_slippage,
       100 * costs / nullif(turnover, 0) AS commission_impact_percentage,
       clean AS clean_trade_count, flawed AS flawed_trade_count,
       clean_mean AS clean_expectancy, flawed_mean AS flawed_expectancy,
       clean_mean * flawed - flawed_total AS mistake_cost
FROM sums, daily, monthly, quarterly
