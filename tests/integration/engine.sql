-- The class E numbers of risk, performance, duration and options metrics (metrics.md 6, 8-10, 13) of one range, in numeric, from
-- the temporary table "history" that test_engine_sql.py fills: one row per closed trade of the selection. One JSON object.
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
    SELECT count(*) AS n, sum(net) AS net, count(*) FILTER (WHERE net > 0) AS w, count(*) FILTER (WHERE net < 0) AS l,
           coalesce(sum(net) FILTER (WHERE net > 0), 0) AS profit, coalesce(-sum(net) FILTER (WHERE net < 0), 0) AS loss,
           sum(size) AS size, sum(commissions + fees) AS costs, sum(abs(gross)) AS turnover, sum(held_us) AS held,
           sum(held_us) FILTER (WHERE net > 0) AS held_w, sum(held_us) FILTER (WHERE net < 0) AS held_l,
           count(risk) AS k, sum(risk) AS risk, count(slippage) AS slipped, sum(slippage) AS slippage,
           count(*) FILTER (WHERE NOT flawed) AS clean, sum(net) FILTER (WHERE NOT flawed) AS clean_net,
           count(*) FILTER (WHERE flawed) AS flawed, sum(net) FILTER (WHERE flawed) AS flawed_net,
           86400000000 AS day_us, 0.000000000000000000000000000000 AS zeros
    FROM closed
), medians AS ( -- of an even number the mean of the two in the middle
    SELECT avg(net) FILTER (WHERE by_net IN ((n + 1) / 2, n / 2 + 1)) AS net,
           avg(held_us) FILTER (WHERE by_hold IN ((n + 1) / 2, n / 2 + 1)) AS held,
           sum(r) FILTER (WHERE by_r IN ((k + 1) / 2, k / 2 + 1)) / count(*) FILTER (WHERE by_r IN ((k + 1) / 2, k / 2 + 1)) AS r
    FROM (SELECT *, row_number() OVER (ORDER BY net) AS by_net, row_number() OVER (ORDER BY held_us) AS by_hold,
                 CASE WHEN risk IS NOT NULL THEN row_number() OVER (PARTITION BY risk IS NULL ORDER BY r) END AS by_r
          FROM (SELECT n, k, closed.net, held_us, closed.risk, (closed.net + zeros) / closed.risk AS r FROM closed, totals) AS c) AS ordered
    HAVING count(*) > 0
), months AS (
    SELECT date_trunc('month', day) AS month, sum(p) AS p FROM exits GROUP BY 1
), quarters AS (
    SELECT date_trunc('quarter', day) AS quarter, sum(p) AS p FROM exits GROUP BY 1
), day_sums AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE p > 0) AS w, count(*) FILTER (WHERE p < 0) AS l, max(p) AS best, min(p) AS worst,
           coalesce(max(n), 0) AS most, -sum(p) FILTER (WHERE p < 0) AS pain, (SELECT last_day - min(day) + 1 FROM observed, bounds GROUP BY last_day) AS span
    FROM exits
), options AS (
    SELECT count(*) AS n, coalesce(sum(contracts), 0) AS contracts, count(*) FILTER (WHERE option_type = 'Call') AS calls,
           count(*) FILTER (WHERE option_type = 'Put') AS puts, count(*) FILTER (WHERE side = 'long') AS longs,
           count(*) FILTER (WHERE side = 'short') AS shorts, coalesce(sum(size) FILTER (WHERE side = 'long'), 0) AS paid,
           coalesce(sum(size) FILTER (WHERE side = 'short'), 0) AS collected, sum(net) FILTER (WHERE side = 'long') AS long_net,
           sum(net) FILTER (WHERE side = 'short') AS short_net, sum(dte) AS dte, sum(iv) AS iv, count(iv) AS n_iv,
           count(*) FILTER (WHERE status = 'closed') AS closed, count(*) FILTER (WHERE status = 'expired') AS expired,
           count(*) FILTER (WHERE status = 'assigned') AS assigned, count(*) FILTER (WHERE status = 'exercised') AS exercised
    FROM closed WHERE kind = 'option'
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
           'expected_shortfall_99', (SELECT round(shortfall, 4) FROM tails WHERE c = 100),
           'average_risk_per_trade', round((risk + zeros) / nullif(k, 0), 4), 'risk_trade_count', k,
           'risk_reward_ratio', CASE WHEN w > 0 THEN round((profit * l + zeros) / nullif(loss * w, 0), 6) END,
           'gain_to_pain_ratio', (SELECT round((net + zeros) / pain, 6) FROM day_sums))
           || CASE WHEN equity THEN '{}' ELSE jsonb_build_object('calmar_ratio', (SELECT round((net * 252 + zeros) / (depth * days), 6)
               FROM deepest, (SELECT count(*) AS days FROM observed) AS o WHERE days >= 21)) END,
       'performance', jsonb_build_object(
           'trade_expectancy', round((net + zeros) / nullif(n, 0), 4), 'edge', round((net * l + zeros) / nullif(n * loss, 0), 6),
           'median_trade', (SELECT round(medians.net, 4) FROM medians), 'median_r_multiple', (SELECT round(r, 6) FROM medians),
           'median_hold_time_days', (SELECT round((medians.held + zeros) / day_us, 6) FROM medians),
           'average_hold_time_days', round((held + zeros) / nullif(n * day_us, 0), 6),
           'average_hold_time_winners_days', round((held_w + zeros) / nullif(w * day_us, 0), 6),
           'average_hold_time_losers_days', round((held_l + zeros) / nullif(l * day_us, 0), 6),
           'average_position_size', round((size + zeros) / nullif(n, 0), 4),
           'kelly_criterion', CASE WHEN l > 0 THEN round((w * (profit - loss) + zeros) / nullif((w + l) * profit, 0), 6) END,
           'payoff_ratio', CASE WHEN w > 0 THEN round((profit * l + zeros) / nullif(loss * w, 0), 6) END,
           'consistency_ratio', round((w * (profit - loss) + zeros) / nullif(n * profit, 0), 6),
           'r_trade_count', k, 'average_slippage', round((slippage + zeros) / nullif(slipped, 0), 4),
           'commission_impact_percentage', round((100 * costs + zeros) / nullif(turnover, 0), 4),
           'clean_trade_count', clean, 'flawed_trade_count', flawed, 'clean_expectancy', round((clean_net + zeros) / nullif(clean, 0), 4),
           'flawed_expectancy', round((flawed_net + zeros) / nullif(flawed, 0), 4),
           'mistake_cost', CASE WHEN flawed > 0 THEN round((clean_net * flawed + zeros) / nullif(clean, 0) - flawed_net, 4) END)
       || (SELECT jsonb_build_object(
           'positive_r_multiple_count', count(*) FILTER (WHERE c.net > 0), 'negative_r_multiple_count', count(*) FILTER (WHERE c.net < 0),
           'r_distribution', jsonb_build_array(
               jsonb_build_object('label', '<=-1R', 'count', count(*) FILTER (WHERE c.net <= -c.risk)),
               jsonb_build_object('label', '-1..0R', 'count', count(*) FILTER (WHERE c.net > -c.risk AND c.net < 0)),
               jsonb_build_object('label', '0..1R', 'count', count(*) FILTER (WHERE c.net >= 0 AND c.net < c.risk)),
               jsonb_build_object('label', '1..2R', 'count', count(*) FILTER (WHERE c.net >= c.risk AND c.net < 2 * c.risk)),
               jsonb_build_object('label', '>=2R', 'count', count(*) FILTER (WHERE c.net >= 2 * c.risk)))) FROM closed AS c WHERE risk IS NOT NULL)
       || (SELECT jsonb_build_object(
           'daily_win_rate', round((100 * d.w + zeros) / nullif(d.n, 0), 4), 'trading_days', d.n, 'winning_days', d.w, 'losing_days', d.l,
           'break_even_days', d.n - d.w - d.l, 'average_daily_pnl', round((totals.net + zeros) / nullif(d.n, 0), 4),
           'best_day', round(best, 4), 'worst_day', round(worst, 4),
           'best_day_profit_share', CASE WHEN totals.net > 0 THEN round((100 * best + zeros) / totals.net, 4) END,
           'average_trades_per_day', round((totals.n + zeros) / nullif(d.n, 0), 6), 'max_trades_per_day', most,
           'trades_per_week', CASE WHEN totals.n > 0 THEN round((7 * totals.n + zeros) / span, 6) END,
           'monthly_win_rate', (SELECT round((100 * count(*) FILTER (WHERE p > 0) + zeros) / nullif(count(*), 0), 4) FROM months),
           'quarterly_win_rate', (SELECT round((100 * count(*) FILTER (WHERE p > 0) + zeros) / nullif(count(*), 0), 4) FROM quarters))
           FROM day_sums AS d)
       || jsonb_build_object(
           'average_position_size_after_win', (SELECT round((sum(size) + zeros) / count(*), 4) FROM closed WHERE previous > 0 HAVING count(*) > 0),
           'average_position_size_after_loss', (SELECT round((sum(size) + zeros) / count(*), 4) FROM closed WHERE previous < 0 HAVING count(*) > 0)),
       'options', (SELECT jsonb_build_object(
           'total_trades', o.n, 'contracts', contracts, 'call_trades', calls, 'put_trades', puts, 'long_trades', longs,
           'short_trades', shorts, 'premium_paid', round(paid, 4), 'premium_collected', round(collected, 4),
           'net_premium', round(collected - paid, 4), 'average_premium', round((paid + collected + zeros) / nullif(o.n, 0), 4),
           'average_dte_at_entry', round((dte + zeros) / nullif(o.n, 0), 6), 'average_iv_at_entry', round((iv + zeros) / nullif(n_iv, 0), 4),
           'closed_count', o.closed, 'expired_count', expired, 'assigned_count', assigned, 'exercised_count', exercised,
           'expired_rate', round((100 * expired + zeros) / nullif(o.n, 0), 4), 'assigned_rate', round((100 * assigned + zeros) / nullif(o.n, 0), 4),
           'exercised_rate', round((100 * exercised + zeros) / nullif(o.n, 0), 4),
           'premium_capture_rate', round((100 * short_net + zeros) / nullif(collected, 0), 4),
           'return_on_premium', round((100 * long_net + zeros) / nullif(paid, 0), 4)) FROM options AS o),
       'duration', (SELECT coalesce(jsonb_agg(jsonb_build_object('duration_bucket', bucket, 'trade_count', b.n, 'winning_trades', w,
           'losing_trades', l, 'win_rate', round((100 * w + zeros) / b.n, 4), 'total_pnl', round(b.net, 4),
           'avg_pnl', round((b.net + zeros) / b.n, 4), 'avg_hold_time_days', round((held + zeros) / (b.n * 86400000000), 6),
           'best_trade', round(best, 4), 'worst_trade', round(worst, 4),
           'profit_factor', round((profit + zeros) / nullif(-loss, 0), 6)) ORDER BY first), '[]') FROM buckets AS b))::text
FROM totals, basis
