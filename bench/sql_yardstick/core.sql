-- Core metrics of one user, range and asset class, in one aggregate query.
-- $1 user; $2, $3 first instant of the range (may be -infinity) and of the day after it; $4 stocks, options or all.
WITH trades AS (
    SELECT id, false AS is_option, symbol, exit_date, commissions, fees,
           round(entry_price * number_shares, 8) AS size,
           round(CASE trade_type WHEN 'BUY' THEN exit_price - entry_price ELSE entry_price - exit_price END
                 * number_shares, 8) AS gross
    FROM pnlcache.stock_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'options'
    UNION ALL
    SELECT id, true, symbol, exit_date, commissions, fees,
           round(entry_price * number_of_contracts * multiplier, 8),
           round(CASE side WHEN 'long' THEN coalesce(exit_price, 0) - entry_price ELSE entry_price - coalesce(exit_price, 0) END
                 * number_of_contracts * multiplier, 8)
    FROM pnlcache.option_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'stocks'
),
valued AS (
    SELECT *, gross - commissions - fees AS net, sign(gross - commissions - fees) AS outcome FROM trades
),
numbered AS (
    SELECT outcome, row_number() OVER (ORDER BY exit_date, is_option, id) AS position,
           row_number() OVER (PARTITION BY outcome ORDER BY exit_date, is_option, id) AS position_in_outcome
    FROM valued
),
runs AS (
    SELECT outcome, count(*) AS length, max(position) AS last FROM numbered GROUP BY outcome, position - position_in_outcome
)
SELECT count(*) AS total_trades,
       count(*) FILTER (WHERE outcome > 0) AS winning_trades,
       count(*) FILTER (WHERE outcome < 0) AS losing_trades,
       count(*) FILTER (WHERE outcome = 0) AS break_even_trades,
       100.0 * count(*) FILTER (WHERE outcome > 0) / nullif(count(*), 0) AS win_rate,
       100.0 * count(*) FILTER (WHERE outcome < 0) / nullif(count(*), 0) AS loss_rate,
       100.0 * count(*) FILTER (WHERE outcome > 0) / nullif(count(*) FILTER (WHERE outcome <> 0), 0) AS win_rate_ex_breakeven,
       coalesce(sum(net), 0) AS total_pnl,
       coalesce(sum(net), 0) AS net_profit_loss,
       coalesce(sum(gross), 0) AS pnl_before_costs,
       coalesce(sum(net) FILTER (WHERE outcome > 0), 0) AS gross_profit,
       coalesce(sum(net) FILTER (WHERE outcome < 0), 0) AS gross_loss,
       avg(net) FILTER (WHERE outcome > 0) AS average_win,
       avg(net) FILTER (WHERE outcome < 0) AS average_loss,
       avg(100 * net / size) FILTER (WHERE outcome > 0 AND size > 0) AS average_win_percentage,
       avg(100 * net / size) FILTER (WHERE outcome < 0 AND size > 0) AS average_loss_percentage,
       avg(size) AS average_position_size,
       max(net) FILTER (WHERE outcome > 0) AS biggest_winner,
       min(net) FILTER (WHERE outcome < 0) AS biggest_loser,
       (SELECT id FROM valued WHERE outcome > 0 ORDER BY net DESC, exit_date, is_option, id LIMIT 1) AS biggest_winner_id,
       (SELECT id FROM valued WHERE outcome < 0 ORDER BY net, exit_date, is_option, id LIMIT 1) AS biggest_loser_id,
       CASE WHEN count(*) FILTER (WHERE outcome < 0) > 0
            THEN coalesce(sum(net) FILTER (WHERE outcome > 0), 0) / -sum(net) FILTER (WHERE outcome < 0) END AS profit_factor,
       avg(net) FILTER (WHERE outcome > 0) / -avg(net) FILTER (WHERE outcome < 0) AS win_loss_ratio,
       (SELECT coalesce(max(length), 0) FROM runs WHERE outcome > 0) AS max_consecutive_wins,
       (SELECT coalesce(max(length), 0) FROM runs WHERE outcome < 0) AS max_consecutive_losses,
       coalesce((SELECT outcome * length FROM runs ORDER BY last DESC LIMIT 1), 0) AS current_streak,
       coalesce(sum(commissions), 0) AS total_commissions,
       coalesce(sum(fees), 0) AS total_fees,
       coalesce(sum(commissions + fees), 0) AS total_costs,
       avg(commissions) AS average_commission_per_trade
FROM valued
