-- name: market-quotes
-- path: /api/market/quotes
-- scope: shared
-- key: market:quotes:$H
-- ttl: 120
-- tags: prices
-- refresh: market
-- params:
--   symbols  list 100 symbol required

SELECT symbol, price, observed_at, last_session, previous_close, change, change_percent
FROM pnlcache.share_prices
WHERE symbol = ANY (:symbols)
ORDER BY symbol
