-- name: market-indicators
-- path: /api/market/indicators
-- scope: shared
-- ttl: 3600
-- tags: prices
-- refresh: market
-- compute: indicators
-- params:
--   symbol           symbol required
--   days             integer 1..3650 = 100
--   sma              integer 1..400 = 20
--   ema              integer 1..400 = 20
--   rsi              integer 1..400 = 14
--   macd_fast        integer 1..400 = 12
--   macd_slow        integer 1..400 = 26
--   macd_signal      integer 1..400 = 9
--   bollinger        integer 2..400 = 20
--   bollinger_width  decimal 0.1..10 = 2
--   atr              integer 1..400 = 14
--   volatility       integer 2..400 = 20

-- All bars, so that what averages carry along from the beginning is the same however many are shown.
SELECT date, high, low, close
FROM pnlcache.daily_bars
WHERE symbol = :symbol
