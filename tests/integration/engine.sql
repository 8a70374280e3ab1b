-- Risk, performance and duration numbers (metrics.md 6, 8-10) of one range, in numeric, from the temporary table
-- "history" that test_engine_sql.py fills: one row per closed trade of the selection. One JSON object.
-- Parameters (psycopg2): user, asset, range, today.
WITH bounds AS (
    SELECT t AS last_day, CASE %(range)s
               WHEN 'today' THEN t WHEN '7d' THEN t - 6 WHEN '30d' THEN t - 29 WHEN '90d' THEN t - 89
               WHEN '6m' THEN (t - interval '6 months')::date + 1 WHEN '1y' THEN (t - interval '12 months')::date + 1
               WHEN 'ytd' THEN date_trunc('year', t)::date END AS first_day
    FROM (SELECT %(today)s::date AS t) AS now
), account AS (
    SELECT starting_equity + (SELECT coalesce(sum(net), 0) FROM history WHERE day < first_day) AS e0, starting_equity,
           coalesce(market_holidays, '{}') AS holidays
    FROM bounds LEFT JOIN account_settings ON user_id = %(user)s
), closed AS (
    SELECT history.* FROM history, bounds WHERE first_day IS NULL OR day >= first_day
), exits AS (
    SELECT day, sum(net) AS p, count(*) AS n FROM closed GROUP BY day
), observed AS (
    SELECT d::date AS day, coalesce(p, 0) AS p
    FROM bounds, account, generate_series(greatest(first_day, (SELECT min(day) FROM history))::timestamp,
             CASE WHEN EXISTS (SELECT FROM history) THEN last_day END::timestamp, '1 day') AS d
         LEFT JOIN exits ON exits.day = d::date
    WHERE exits.day IS NOT NULL OR (extract(isodow FROM d) < 6 AND d::date <> ALL (holidays))
), ranked AS (
    SELECT day, p, row_number() OVER (ORDER BY p) - 1 AS i, count(*) OVER () AS n,
           coalesce(sum(p) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM observed
), basis AS (
    SELECT %(asset)s = 'all' AND coalesce(starting_equity > 0 AND e0 > 0, false)
           AND NOT EXISTS (SELECT FROM ranked WHERE before + e0 <= 0) AS equity, e0
    FROM (SELECT starting_equity, CASE WHEN first_day IS NULL THEN starting_equity ELSE e0 END AS e0 FROM account, bounds) AS a
), sums AS (
    SELECT exit_date, day, sum(sum(net)) OVER (ORDER BY exit_date) AS value FROM closed GROUP BY exit_date, day
), peaks AS (
    SELECT *, greatest(0, max(value) OVER (ORDER BY exit_date)) AS peak FROM sums
), points AS (
    SELECT *, peak - value AS depth,
           coalesce(max(day) FILTER (WHERE peak = value) OVER (ORDER BY exit_date), min(day) OVER ()) AS peak_day,
           min(day) FILTER (WHERE peak = value) OVER (ORDER BY exit_date ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS recovery
    FROM peaks
), deepest AS (
    SELECT * FROM points WHERE depth > 0 ORDER BY depth DESC, exit_date LIMIT 1
), last AS (
    SELECT * FROM points ORDER BY exit_date DESC LIMIT 1
), tails AS (
    SELECT c, min(n) AS n, sum(p) FILTER (WHERE i <= (n - 1) / c) / ((min(n) - 1) / c + 1 + zeros) AS shortfall,
           sum(p * CASE WHEN i = (n - 1) / c THEN c - (n - 1) %% c WHEN i = (n - 1) / c + 1 THEN (n - 1) %% c ELSE 0 END)
           / (c + zeros) AS var
    FROM ranked, (VALUES (20), (100)) AS q (c), (SELECT 0.000000000000000000000000000000 AS zeros) AS z
    WHERE EXISTS (SELECT FROM closed)
    GROUP BY c, zeros HAVING min(n) >= 2
), totals AS (
    SELECT count(*) AS n, sum(net) AS net, 0.000000000000000000000000000000 AS zeros FROM closed
), buckets AS (
    SELECT bucket, min(held_us) AS first, count(*) AS n, count(*) FILTER (WHERE net > 0) AS w,
           count(*) FILTER (WHERE net < 0) AS l, sum(net) AS net, sum(held_us) AS held, max(net) AS best, min(net) AS worst,
           sum(greatest(net, 0)) AS profit, sum(least(net, 0)) AS loss
    FROM (SELECT *, CASE WHEN held_us < 86400000000 THEN '0-1 days' WHEN held_us < 7 * 86400000000 THEN '1-7 days'
                         WHEN held_us < 28 * 86400000000 THEN '1-4 weeks' WHEN held_us < 90 * 86400000000 THEN '1-3 months'
                         ELSE '3+ months' END AS bucket FROM closed) AS b
    GROUP BY bucket
)
SELECT jsonb_build_object('risk', jsonb_build_object(
           'return_basis', CASE WHEN equity THEN 'equity' ELSE 'pnl' END,
           'observations', (SELECT count(*) FROM observed),
           'maximum_drawdown', round(coalesce((SELECT depth FROM deepest), 0), 4),
           'maximum_drawdown_percentage',
               (SELECT round(max((100 * depth + zeros) / (e0 + peak)), 4) FROM points WHERE equity),
           'maximum_drawdown_peak_date', (SELECT peak_day FROM deepest),
           'maximum_drawdown_trough_date', (SELECT day FROM deepest),
           'maximum_drawdown_recovery_date', (SELECT recovery FROM deepest),
           'maximum_drawdown_duration_days',
               coalesce((SELECT max(coalesce(recovery, last_day) - peak_day) FROM points, bounds WHERE depth > 0), 0),
           'current_drawdown', round(coalesce((SELECT depth FROM last), 0), 4),
           'current_drawdown_duration_days', coalesce((SELECT last_day - peak_day FROM last, bounds WHERE depth > 0), 0),
           'recovery_factor', (SELECT round((net + zeros) / depth, 6) FROM deepest),
           'var_95', (SELECT round(var, 4) FROM tails WHERE c = 20), 'var_99', (SELECT round(var, 4) FROM tails WHERE c = 100),
           'expected_shortfall_95', (SELECT round(shortfall, 4) FROM tails WHERE c = 20),
           'expected_shortfall_99', (SELECT round(shortfall, 4) FROM tails WHERE c = 100)),
       'performance', jsonb_build_object(
           'trade_expectancy', round((net + zeros) / nullif(n, 0), 4),
           'trading_days', (SELECT count(*) FROM exits), 'winning_days', (SELECT count(*) FROM exits WHERE p > 0),
           'losing_days', (SELECT count(*) FROM exits WHERE p < 0), 'break_even_days', (SELECT count(*) FROM exits WHERE p = 0),
           'best_day', (SELECT round(max(p), 4) FROM exits), 'worst_day', (SELECT round(min(p), 4) FROM exits),
           'max_trades_per_day', (SELECT coalesce(max(exits.n), 0) FROM exits),
           'monthly_win_rate', (SELECT round((100 * count(*) FILTER (WHERE m > 0) + zeros) / nullif(count(*), 0), 4)
                FROM (SELECT sum(p) AS m FROM exits GROUP BY date_trunc('month', day)) AS months),
           'average_position_size_after_win', (SELECT round((sum(size) + zeros) / count(*), 4) FROM closed WHERE previous > 0 HAVING count(*) > 0),
           'average_position_size_after_loss', (SELECT round((sum(size) + zeros) / count(*), 4) FROM closed WHERE previous < 0 HAVING count(*) > 0)),
       'duration', (SELECT coalesce(jsonb_agg(jsonb_build_object('duration_bucket', bucket, 'trade_count', b.n, 'winning_trades', w,
           'losing_trades', l, 'win_rate', round((100 * w + zeros) / b.n, 4), 'total_pnl', round(b.net, 4),
           'avg_pnl', round((b.net + zeros) / b.n, 4), 'avg_hold_time_days', round((held + zeros) / (b.n * 86400000000), 6),
           'best_trade', round(best, 4), 'worst_trade', round(worst, 4),
           'profit_factor', round((profit + zeros) / nullif(-loss, 0), 6)) ORDER BY first), '[]') FROM buckets AS b))::text
FROM totals, basis
