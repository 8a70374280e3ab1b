-- name: market-price
-- path: /api/market/price/{symbol}
-- scope: shared
-- key: price:latest:$symbol
-- ttl: 300
-- tags: prices
-- refresh: market
-- returns: row
-- params:
--   symbol  symbol

SELECT symbol, price, observed_at, last_session, previous_close, change, change_percent
FROM pnlcache.share_prices
WHERE symbol = :symbol
