-- name: market-symbol
-- path: /api/market/symbols/{symbol}
-- scope: shared
-- key: symbol:info:$symbol
-- ttl: 3600
-- tags: symbols, prices, earnings
-- refresh: market
-- returns: row
-- params:
--   symbol  symbol

-- The year is the 365 days up to the last bar. A bar without high or low counts with its close.
WITH bars AS (
    SELECT max(date) AS last_date, min(date) AS first_date, count(*) AS bars FROM pnlcache.daily_bars WHERE symbol = :symbol
), year AS (
    SELECT max(coalesce(high, close)) AS year_high, min(coalesce(low, close)) AS year_low, round(avg(volume))::bigint AS year_average_volume
    FROM pnlcache.daily_bars
    WHERE symbol = :symbol AND date > (SELECT last_date FROM bars) - 365
)
SELECT w.symbol, i.name, i.kind, i.exchange, i.currency, i.sector, i.industry, first_date, last_date, bars, year_high, year_low,
       year_average_volume,
       (SELECT min(date) FROM pnlcache.earnings AS e WHERE e.symbol = w.symbol AND e.date > last_date) AS next_earnings
FROM (SELECT :symbol AS symbol) AS w LEFT JOIN pnlcache.symbol_info AS i USING (symbol), bars, year
WHERE bars > 0 OR i.symbol IS NOT NULL
