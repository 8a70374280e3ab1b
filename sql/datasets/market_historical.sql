-- name: market-historical
-- path: /api/market/historical
-- scope: shared
-- ttl: 3600
-- tags: prices
-- refresh: market
-- params:
--   symbol  symbol required
--   days    integer 1..3650 = 30

SELECT date, open, high, low, close, volume
FROM (SELECT date, open, high, low, close, volume FROM pnlcache.daily_bars
      WHERE symbol = :symbol ORDER BY date DESC LIMIT :days) AS recent
ORDER BY date
