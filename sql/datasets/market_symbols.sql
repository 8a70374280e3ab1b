-- name: market-symbols
-- path: /api/market/symbols
-- scope: shared
-- key: symbols:list:$H
-- ttl: 21600
-- tags: prices
-- refresh: reference

SELECT symbol, min(date) AS first_date, max(date) AS last_date, count(*) AS bars
FROM pnlcache.daily_bars
GROUP BY symbol
ORDER BY symbol
