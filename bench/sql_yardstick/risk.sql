-- Risk metrics of one user, range and asset class (P&L basis: no starting equity), in one query.
-- $1 user; $2, $3 first instant of the range (may be -infinity) and of the day after it; $4 stocks, options or all.
-- Left out, in favour of this side: dates and durations of drawdowns.
WITH trades AS (
    SELECT id, false AS is_option, exit_date,
           round(CASE trade_type WHEN 'BUY' THEN exit_price - entry_price ELSE entry_price - exit_price END
                 * number_shares, 8) - commissions - fees AS net,
           coalesce(initial_risk, CASE WHEN trade_type = 'BUY' AND entry_price > stop_loss
                                       THEN round((entry_price - stop_loss) * number_shares, 8)
                                       WHEN trade_type <> 'BUY' AND stop_loss > entry_price
                                       THEN round((stop_loss - entry_price) * number_shares, 8) END) AS risk
    FROM pnlcache.stock_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'options'
    UNION ALL
    SELECT id, true, exit_date,
           round(CASE side WHEN 'long' THEN coalesce(exit_price, 0) - entry_price ELSE entry_price - coalesce(exit_price, 0) END
                 * number_of_contracts * multiplier, 8) - commissions - fees,
           coalesce(initial_risk,
                    CASE WHEN stop_loss IS NULL AND side = 'long' AND entry_price > 0
                         THEN round(entry_price * number_of_contracts * multiplier, 8)
                         WHEN side = 'long' AND entry_price > stop_loss
                         THEN round((entry_price - stop_loss) * number_of_contracts * multiplier, 8)
                         WHEN side <> 'long' AND stop_loss > entry_price
                         THEN round((stop_loss - entry_price) * number_of_contracts * multiplier, 8) END)
    FROM pnlcache.option_trades
    WHERE user_id = $1 AND exit_date >= $2 AND exit_date < $3 AND $4 <> 'stocks'
),
by_day AS (
    SELECT (exit_date AT TIME ZONE 'America/New_York')::date AS day, sum(net) AS pnl FROM trades GROUP BY 1
),
first_exit AS (
    SELECT least((SELECT min(exit_date) FROM pnlcache.stock_trades WHERE user_id = $1 AND $4 <> 'options'),
                 (SELECT min(exit_date) FROM pnlcache.option_trades WHERE user_id = $1 AND $4 <> 'stocks')) AS at
),
calendar AS (
    SELECT day::date AS day
    FROM first_exit, generate_series((greatest($2, at) AT TIME ZONE 'America/New_York')::date::timestamp,
                                     ($3 AT TIME ZONE 'America/New_York')::date - interval '1 day', interval '1 day') AS day
    WHERE at IS NOT NULL AND extract(isodow FROM day) < 6
    UNION
    SELECT day FROM by_day
),
days AS (
    SELECT coalesce(pnl, 0) AS p, row_number() OVER (ORDER BY coalesce(pnl, 0)) AS position, count(*) OVER () AS n
    FROM calendar LEFT JOIN by_day USING (day)
),
sums AS (
    SELECT count(*) AS n, avg(p)::float8 AS mean, stddev_samp(p)::float8 AS deviation,
           sqrt((sum(least(p, 0) ^ 2) FILTER (WHERE n > 1) / nullif(count(*), 0))::float8) AS downside,
           sum(p) AS total, -sum(least(p, 0)) AS pain,
           percentile_cont(0.05) WITHIN GROUP (ORDER BY p) FILTER (WHERE n > 1) AS var_95,
           percentile_cont(0.01) WITHIN GROUP (ORDER BY p) FILTER (WHERE n > 1) AS var_99,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY p) FILTER (WHERE n > 1) AS top_95,
           avg(p) FILTER (WHERE n > 1 AND position <= (n - 1) * 5 / 100 + 1) AS shortfall_95,
           avg(p) FILTER (WHERE n > 1 AND position <= (n - 1) / 100 + 1) AS shortfall_99
    FROM days
),
moments AS (
    SELECT avg((p::float8 - mean) ^ 2) AS m2, avg((p::float8 - mean) ^ 3) AS m3, avg((p::float8 - mean) ^ 4) AS m4
    FROM days, sums
),
points AS (
    SELECT exit_date, sum(sum(net)) OVER (ORDER BY exit_date) AS value FROM trades GROUP BY exit_date
),
peaks AS (
    SELECT exit_date, value, greatest(0, max(value) OVER (ORDER BY exit_date)) AS peak FROM points
),
drawdown AS (
    SELECT coalesce(max(peak - value), 0) AS deepest,
           coalesce((array_agg(peak - value ORDER BY exit_date DESC))[1], 0) AS last FROM peaks
),
curve AS (
    SELECT (row_number() OVER w)::float8 AS position, (sum(net) OVER w)::float8 AS value
    FROM trades WINDOW w AS (ORDER BY exit_date, is_option, id)
),
line AS (
    SELECT count(*) AS n, regr_slope(value, position) AS slope, regr_sxx(value, position) AS sxx,
           regr_syy(value, position) - regr_sxy(value, position) ^ 2 / nullif(regr_sxx(value, position), 0) AS residue
    FROM curve
),
per_trade AS (
    SELECT count(*) AS n, avg(net)::float8 AS mean, stddev_samp(net)::float8 AS deviation, avg(risk) AS average_risk,
           count(risk) AS risked, avg(net) FILTER (WHERE net > 0) / -avg(net) FILTER (WHERE net < 0) AS win_loss_ratio
    FROM trades
)
SELECT s.n AS observations,
       s.mean / nullif(s.deviation, 0) * sqrt(252) AS sharpe_ratio,
       s.mean / nullif(s.downside, 0) * sqrt(252) AS sortino_ratio,
       CASE WHEN s.n >= 21 THEN s.total * 252 / s.n / nullif(d.deepest, 0) END AS calmar_ratio,
       d.deepest AS maximum_drawdown,
       d.last AS current_drawdown,
       s.var_95, s.var_99,
       s.shortfall_95 AS expected_shortfall_95, s.shortfall_99 AS expected_shortfall_99,
       t.average_risk AS average_risk_per_trade,
       t.risked AS risk_trade_count,
       t.win_loss_ratio AS risk_reward_ratio,
       s.deviation AS volatility,
       s.downside AS downside_deviation,
       s.total / nullif(d.deepest, 0) AS recovery_factor,
       CASE WHEN s.n > 2 AND m.m2 > 0 THEN m.m3 / m.m2 ^ 1.5 * sqrt(s.n::float8 * (s.n - 1)) / (s.n - 2) END AS skewness,
       CASE WHEN s.n > 3 AND m.m2 > 0
            THEN (s.n - 1) / ((s.n - 2)::float8 * (s.n - 3)) * ((s.n + 1) * (m.m4 / m.m2 ^ 2 - 3) + 6) END AS kurtosis,
       abs(s.top_95) / nullif(abs(s.var_95), 0) AS tail_ratio,
       s.total / nullif(s.pain, 0) AS gain_to_pain_ratio,
       t.mean / nullif(t.deviation / sqrt(t.n), 0) AS t_statistic,
       CASE WHEN l.n > 2 AND l.residue > 0 THEN l.slope / sqrt(l.residue / (l.n - 2) / l.sxx) END AS k_ratio
FROM sums s, moments m, drawdown d, line l, per_trade t
