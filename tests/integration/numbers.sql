-- The class E numbers of core metrics (metrics.md sections 2-5 and 7) for one user, asset and range, straight from the
-- definitions, in numeric. It shares no code with the programs: that is its point.
--
-- Parameters (psycopg2): user, asset (all, stocks, options), as_of, range.
-- The 30 zeros make numeric division carry 30 decimals, so that rounding the quotient is rounding the ratio.
WITH account AS (
    SELECT coalesce(s.timezone, 'America/New_York') AS zone, coalesce(s.trading_day_start, 0) AS starts
    FROM (SELECT 1) AS one LEFT JOIN account_settings AS s ON s.user_id = %(user)s
), trade AS (
    SELECT 'stock' AS kind, id, symbol, entry_date, exit_date, commissions, fees, mistakes,
           round(sign * (exit_price - entry_price) * number_shares, 8) AS gross,
           round(entry_price * number_shares, 8) AS size,
           coalesce(initial_risk, CASE WHEN sign * (entry_price - stop_loss) > 0
                                       THEN nullif(round(sign * (entry_price - stop_loss) * number_shares, 8), 0) END) AS risk,
           CASE WHEN intended_entry_price > 0 THEN round(sign * (entry_price - intended_entry_price) * number_shares, 8) END AS slippage,
           NULL AS side, NULL AS option_type, NULL AS status, 0 AS contracts, NULL::date AS expires, NULL::numeric AS iv
    FROM (SELECT *, CASE trade_type WHEN 'BUY' THEN 1 ELSE -1 END AS sign FROM stocks) AS stocks
    WHERE user_id = %(user)s AND NOT is_deleted AND %(asset)s IN ('all', 'stocks')
    UNION ALL
    SELECT 'option', id, symbol, entry_date, exit_date, commissions, fees, mistakes,
           round(sign * (coalesce(exit_price, 0) - entry_price) * units, 8),
           round(entry_price * units, 8),
           CASE WHEN initial_risk IS NOT NULL THEN initial_risk
                WHEN stop_loss IS NOT NULL THEN CASE WHEN sign * (entry_price - stop_loss) > 0 THEN sign * (entry_price - stop_loss) * units END
                WHEN side = 'long' THEN nullif(entry_price * units, 0) END,
           CASE WHEN intended_entry_price > 0 THEN sign * (entry_price - intended_entry_price) * units END,
           side, option_type, status, number_of_contracts, expiration_date, implied_volatility
    FROM (SELECT *, CASE side WHEN 'long' THEN 1 ELSE -1 END AS sign, number_of_contracts::numeric * multiplier AS units FROM options) AS options
    WHERE user_id = %(user)s AND NOT is_deleted AND %(asset)s IN ('all', 'options')
), days AS (
    SELECT %(as_of)s::timestamptz AS as_of, zone, starts,
           pg_temp.trading_day(%(as_of)s::timestamptz, zone, starts) AS today
    FROM account
), bounds AS (
    SELECT days.*, CASE %(range)s
               WHEN 'today' THEN today
               WHEN '7d' THEN today - 6
               WHEN '30d' THEN today - 29
               WHEN '90d' THEN today - 89
               WHEN '6m' THEN (today - interval '6 months')::date + 1
               WHEN '1y' THEN (today - interval '12 months')::date + 1
               WHEN 'ytd' THEN date_trunc('year', today)::date
           END AS first_day
    FROM days
), closed AS (
    SELECT trade.*, gross - commissions - fees AS net, sign(gross - commissions - fees) AS outcome,
           extract(epoch FROM exit_date - entry_date)::numeric * 1000000 AS held_us,
           EXISTS (SELECT FROM regexp_split_to_table(mistakes, '[,;]') AS m WHERE btrim(m, E' \t\n\r') <> '') AS flawed,
           greatest(0, expires - pg_temp.trading_day(entry_date, zone, starts)) AS dte,
           row_number() OVER (ORDER BY exit_date, kind = 'option', id) AS position
    FROM trade, bounds
    WHERE exit_date <= as_of AND entry_date <= as_of
      AND (first_day IS NULL OR pg_temp.trading_day(exit_date, zone, starts) >= first_day)
      AND pg_temp.trading_day(exit_date, zone, starts) <= today
), runs AS (
    -- consecutive trades of the same outcome share position minus rank within the outcome
    SELECT outcome, count(*) AS length, max(position) AS last
    FROM (SELECT outcome, position, position - row_number() OVER (PARTITION BY outcome ORDER BY position) AS run FROM closed) AS r
    GROUP BY outcome, run
), sums AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE net > 0) AS w, count(*) FILTER (WHERE net < 0) AS l,
           count(*) FILTER (WHERE net = 0) AS b,
           coalesce(sum(net), 0) AS net, coalesce(sum(gross), 0) AS gross,
           coalesce(sum(net) FILTER (WHERE net > 0), 0) AS profit, coalesce(sum(net) FILTER (WHERE net < 0), 0) AS loss,
           coalesce(sum(size), 0) AS size, coalesce(sum(commissions), 0) AS commissions, coalesce(sum(fees), 0) AS fees,
           max(net) FILTER (WHERE net > 0) AS best, min(net) FILTER (WHERE net < 0) AS worst,
           sum(held_us) FILTER (WHERE net > 0) AS held_w, sum(held_us) FILTER (WHERE net < 0) AS held_l,
           0.000000000000000000000000000000 AS zeros
    FROM closed
)
SELECT n AS total_trades, w AS winning_trades, l AS losing_trades, b AS break_even_trades,
       round((100 * w + zeros) / nullif(n, 0), 4) AS win_rate,
       round((100 * l + zeros) / nullif(n, 0), 4) AS loss_rate,
       round((100 * w + zeros) / nullif(w + l, 0), 4) AS win_rate_ex_breakeven,
       round(net, 4) AS total_pnl, round(net, 4) AS net_profit_loss, round(gross, 4) AS pnl_before_costs,
       round(profit, 4) AS gross_profit, round(loss, 4) AS gross_loss,
       round((profit + zeros) / nullif(w, 0), 4) AS average_win, round((loss + zeros) / nullif(l, 0), 4) AS average_loss,
       round((size + zeros) / nullif(n, 0), 4) AS average_position_size,
       round(best, 4) AS biggest_winner, round(worst, 4) AS biggest_loser,
       round((profit + zeros) / nullif(-loss, 0), 6) AS profit_factor,
       CASE WHEN w > 0 AND l > 0 THEN round((profit * l + zeros) / (-loss * w), 6) END AS win_loss_ratio,
       coalesce((SELECT max(length) FROM runs WHERE outcome > 0), 0) AS max_consecutive_wins,
       coalesce((SELECT max(length) FROM runs WHERE outcome < 0), 0) AS max_consecutive_losses,
       coalesce((SELECT (outcome * length)::bigint FROM runs WHERE last = n), 0) AS current_streak,
       round(commissions, 4) AS total_commissions, round(fees, 4) AS total_fees,
       round(commissions + fees, 4) AS total_costs,
       round((commissions + zeros) / nullif(n, 0), 4) AS average_commission_per_trade,
       (SELECT jsonb_build_object('trade_type', kind, 'trade_id', id, 'symbol', symbol, 'net_pnl', round(net, 4))
        FROM closed WHERE net = best ORDER BY position LIMIT 1) AS biggest_winner_trade,
       (SELECT jsonb_build_object('trade_type', kind, 'trade_id', id, 'symbol', symbol, 'net_pnl', round(net, 4))
        FROM closed WHERE net = worst ORDER BY position LIMIT 1) AS biggest_loser_trade,
       -- only the summaries show these
       round((net + zeros) / nullif(n, 0), 4) AS trade_expectancy,
       round((held_w + zeros) / (nullif(w, 0) * 86400000000), 6) AS avg_hold_time_winners,
       round((held_l + zeros) / (nullif(l, 0) * 86400000000), 6) AS avg_hold_time_losers
FROM sums
