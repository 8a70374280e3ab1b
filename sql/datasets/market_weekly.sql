-- name: market-weekly
-- path: /api/market/historical/weekly
-- scope: shared
-- ttl: 3600
-- tags: prices
-- refresh: market
-- params:
--   symbol  symbol required
--   weeks   integer 1..1040 = 52

-- ISO weeks, from Monday; the last one may still be going on.
SELECT date_trunc('week', date)::date AS week, min(date) AS first_date, max(date) AS last_date,
       (array_agg(open ORDER BY date))[1] AS open, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY date DESC))[1] AS close, sum(volume)::bigint AS volume, count(*) AS sessions
FROM pnlcache.daily_bars
WHERE symbol = :symbol
  AND date >= (SELECT date_trunc('week', max(date))::date FROM pnlcache.daily_bars WHERE symbol = :symbol) - 7 * (:weeks::integer - 1)
GROUP BY 1
ORDER BY 1
